//! What can go wrong, by what the caller can do about it.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// AWS takes no more at present; later it may.
    #[error("AWS is throttling {operation}")]
    Throttled {
        /// The call.
        operation: &'static str,
    },
    /// DynamoDB refuses the request as it stands; it will do so again.
    #[error("DynamoDB refuses {operation}")]
    Refused {
        /// The call.
        operation: &'static str,
        /// What it says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// AWS does not answer, or not as it should; later it may.
    #[error("AWS did not accept {operation}")]
    Unavailable {
        /// The call.
        operation: &'static str,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An item that nobody can have written; it will be so again.
    #[error("an item cannot be read: {0}")]
    Corrupt(&'static str),
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Throttled { .. } | StoreError::Unavailable { .. } => true,
            StoreError::Refused { .. } | StoreError::Corrupt(_) => false,
        }
    }

    /// A call that did not end before the caller had to.
    pub(crate) fn too_slow(operation: &'static str) -> StoreError {
        StoreError::Unavailable {
            operation,
            source: "it took too long".into(),
        }
    }
}

/// Sorts a failed call by what can be done about it.
pub(crate) fn classify<E, R>(operation: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "SlowDown"
            // Somebody else is writing the same item in a transaction: soon it is done.
            | "TransactionConflictException"
            | "TransactionInProgressException",
        ) => StoreError::Throttled { operation },
        Some("ValidationException") => StoreError::Refused {
            operation,
            source: error.into(),
        },
        _ => StoreError::Unavailable {
            operation,
            source: error.into(),
        },
    }
}

/// Whether a call failed only because its condition did not hold.
pub(crate) fn is_condition_failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}
