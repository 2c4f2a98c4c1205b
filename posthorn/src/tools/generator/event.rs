//! An invented event.

use super::kind::Kind;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    /// The message's id; `None` for sync and inbound events.
    pub message_id: Option<String>,
    /// The event as Mandrill writes it.
    pub json: String,
}
