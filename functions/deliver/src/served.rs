//! How the messages of a batch end.

use domain::delivery::ErrorClass;
use domain::retry::Next;
use store::StoreError;

use crate::inbox::Asked;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its id in SQS.
    pub(crate) message_id: String,
    pub(crate) end: End,
}

/// How a message ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// An attempt was made and is on record.
    Attempted {
        /// How it failed, if it did.
        error: Option<ErrorClass>,
        next: Next,
        /// From when its event was received, if the endpoint took it at the first attempt.
        latency_ms: Option<u64>,
    },
    /// There was nothing to do: the attempt was made already, or the delivery is cancelled or does
    /// not exist.
    Dropped,
    /// The attempt is postponed.
    PutOff,
    /// Its endpoint is deleted or disabled.
    Cancelled,
    /// Something that it needs did not answer: SQS retries the message.
    Again,
}

impl Served {
    pub(crate) fn again(message_id: String) -> Served {
        Served {
            message_id,
            end: End::Again,
        }
    }

    pub(crate) fn is_retried(&self) -> bool {
        self.end == End::Again
    }

    /// A message whose call of DynamoDB failed.
    ///
    /// # Errors
    /// The message, if the call may succeed soon. Otherwise SQS retries it, until it is a dead letter.
    pub(crate) fn failed(asked: Asked, error: &StoreError) -> Result<Served, Asked> {
        if error.is_transient() {
            return Err(asked);
        }
        Ok(Served::again(asked.message_id))
    }

    pub(crate) fn new(asked: Asked, end: End) -> Served {
        Served {
            message_id: asked.message_id,
            end,
        }
    }
}
