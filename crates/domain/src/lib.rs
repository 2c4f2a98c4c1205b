//! What Posthorn decides: the event and its identity, positions in the feed, filters, what
//! somebody may see, how events are put into socket messages, and which endpoint is sent what, how
//! often, signed by what.
//!
//! No I/O, no clock, no randomness: everything here is a function of its arguments.

pub mod address;
mod chain;
pub mod cursor;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod filter;
pub mod frame;
pub mod health;
pub mod id;
mod mask;
pub mod redacted;
pub mod retry;
pub mod rights;
pub mod signing;
pub mod time;

pub use chain::Chain;
pub use cursor::{Cursor, CursorError, CursorKind, Feed, Position};
pub use delivery::{Delivery, DeliveryId, DeliveryStatus};
pub use endpoint::{Endpoint, EndpointId};
pub use event::{Content, Detail, Event, Source};
pub use filter::{Filter, FilterError};
pub use health::Health;
pub use id::EventId;
pub use redacted::Redacted;
pub use retry::RetrySchedule;
pub use rights::{PrivateField, Rights, Scope, Scopes, View};
pub use time::{DAY_MS, HOUR_MS, Millis, TimeScale};
