//! The client that has sent a message.

use std::sync::atomic::AtomicU64;

use domain::{Cursor, CursorKind, Position};
use platform::connections::{Connections, Posted};
use store::StoreError;

use crate::action::Bad;
use crate::answer::Answer;
use crate::deps::Deps;

/// One client, for the time of one message.
pub(crate) struct Client<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) id: &'a str,
    pub(crate) connections: Connections,
    /// How many events were sent to it.
    pub(crate) replayed: AtomicU64,
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Bad(#[from] Bad),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The client cannot be answered.
    #[error("the client is gone")]
    Gone,
}

impl Client<'_> {
    pub(crate) async fn answer(&self, answer: &Answer) {
        match answer {
            // The next ping asks again, and who does not hear that leaves by itself.
            Answer::Pong | Answer::Gap { .. } => {
                let text = answer.to_json();
                self.connections.post(self.id, text.as_bytes()).await;
            }
            Answer::Subscribed { .. }
            | Answer::Unsubscribed
            | Answer::Continue { .. }
            | Answer::Live { .. }
            | Answer::Error(_) => {
                // It is closed then.
                let _ = self.send(&answer.to_json()).await;
            }
        }
    }

    /// Sends a part of a replay, or what a client waits for. One that cannot take it is closed: it
    /// would wait for the rest for ever, and resumes when it comes back.
    pub(crate) async fn send(&self, message: &str) -> Result<(), Failure> {
        match self.connections.post(self.id, message.as_bytes()).await {
            Posted::Sent => Ok(()),
            Posted::Gone => Err(Failure::Gone),
            Posted::GivenUp => {
                self.connections.close(self.id).await;
                Err(Failure::Gone)
            }
        }
    }

    pub(crate) fn cursor(&self, position: Position, kind: CursorKind) -> String {
        self.deps.feed.encode(Cursor { position, kind })
    }
}
