//! What Posthorn decides: the event and its identity, positions in the feed, filters, what
//! somebody may see, and how events are put into socket messages.
//!
//! No I/O, no clock, no randomness: everything here is a function of its arguments.

pub mod address;
pub mod cursor;
pub mod event;
pub mod filter;
pub mod frame;
pub mod id;
mod mask;
pub mod redacted;
pub mod rights;
pub mod time;

pub use cursor::{Cursor, CursorError, CursorKind, Feed, Position};
pub use event::{Content, Detail, Event, Source};
pub use filter::{Filter, FilterError};
pub use id::EventId;
pub use redacted::Redacted;
pub use rights::{PrivateField, Rights, Scope, Scopes, View};
pub use time::Millis;
