//! Deliveries: what is owed to whom, and what was tried.

mod attempt;
mod chain;
mod heal;
mod id;
mod message;
mod tls;

pub use attempt::{
    Answer, Attempt, ErrorClass, Exchange, KEPT_HEADERS, MAX_BODY_BYTES, MAX_HEADER_BYTES,
};
pub use chain::{Completed, Failure, MAX_QUEUE_DELAY_MS, Pending, Settled, Success, Terms};
pub use heal::{heals_new_at, heals_queued_at};
pub use id::{DeliveryId, InvalidDeliveryId};
pub use message::{DeliveryMessage, InvalidMessage};
pub use tls::{TlsFault, TlsFaults};

use crate::cursor::CLOCK_SKEW_MS;
use crate::event::Source;
use crate::time::{Millis, TimeScale};

/// How long a claim holds: longer than the function that makes it may run (40 s), so that whoever
/// takes it over afterwards finds nobody at it.
pub const CLAIM_MS: u64 = 60_000;
/// How much of an event's type is kept with a delivery, in characters.
const MAX_TYPE_CHARS: usize = 128;

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryStatus {
    /// There is an attempt to come.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It did not, and no more attempts are made.
    Failed,
    /// The endpoint was disabled or deleted before it took it.
    Cancelled,
}

impl DeliveryStatus {
    /// Every status that there is.
    pub const ALL: [DeliveryStatus; 4] = [
        DeliveryStatus::Pending,
        DeliveryStatus::Delivered,
        DeliveryStatus::Failed,
        DeliveryStatus::Cancelled,
    ];

    /// Its word, in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Failed => "failed",
            DeliveryStatus::Cancelled => "cancelled",
        }
    }

    /// Reads what [`DeliveryStatus::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<DeliveryStatus> {
        DeliveryStatus::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// One event that is owed to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// How it stands.
    pub status: DeliveryStatus,
    /// The number of the last attempt that was claimed; 0 before the first.
    pub attempts: u16,
    /// The number of the last attempt whose outcome is known.
    pub recorded: u16,
    /// Until when the attempt that was claimed last may be under way.
    pub claimed_until: Millis,
    /// Whether the next attempt is the only one, whatever the schedule says.
    pub once: bool,
    /// When `requeue` sends it unless something has happened to it; none when it is settled.
    pub due_at: Option<Millis>,
    /// When it was created.
    pub created_at: Millis,
    /// Since when there is no attempt to come.
    pub settled_at: Option<Millis>,
    /// The event's type, or its beginning.
    pub event_type: String,
    /// Where the event came from.
    pub source: Source,
    /// Until when it is kept.
    pub expires_at: Millis,
}

impl Delivery {
    /// One that was not tried yet.
    #[must_use]
    pub fn new(owed: &Owed, now: Millis, scale: TimeScale) -> Delivery {
        let due_at = owed.due_at.unwrap_or_else(|| heals_new_at(now, scale));
        Delivery {
            id: owed.id,
            status: DeliveryStatus::Pending,
            attempts: 0,
            recorded: 0,
            claimed_until: Millis(0),
            once: false,
            due_at: Some(due_at),
            created_at: now,
            settled_at: None,
            event_type: owed.event_type.chars().take(MAX_TYPE_CHARS).collect(),
            source: owed.source,
            expires_at: due_at.plus(owed.keep_ms),
        }
    }

    /// The number of the attempt to come, if there is one: that whose outcome nobody knows.
    #[must_use]
    pub fn next_attempt(&self) -> u16 {
        self.recorded.saturating_add(1)
    }

    /// Whether the attempt under way is one that was asked for, and the last: what was not tried
    /// before it was asked for has its schedule still before it.
    pub(super) fn is_last_asked(&self) -> bool {
        self.once && self.attempts > 1
    }

    /// Whether an attempt may be under way.
    #[must_use]
    pub fn is_claimed(&self, now: Millis) -> bool {
        // A claim that ends further ahead was made by a clock that was ahead.
        let latest = now.plus(CLAIM_MS + CLOCK_SKEW_MS);
        self.attempts > self.recorded && (now..=latest).contains(&self.claimed_until)
    }

    /// Asks for the attempt to come.
    #[must_use]
    pub fn message(&self) -> DeliveryMessage {
        DeliveryMessage::new(self.id, self.next_attempt())
    }
}

/// A delivery that is to be, unless it is already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Its name.
    pub id: DeliveryId,
    /// The event's type.
    pub event_type: String,
    /// Where the event came from.
    pub source: Source,
    /// How long its row is kept: see [`RetrySchedule::keep_ms`](crate::RetrySchedule::keep_ms).
    pub keep_ms: u64,
    /// Until when it is put off, since its endpoint takes nothing until then; none when its message
    /// is sent at once.
    pub due_at: Option<Millis>,
}
