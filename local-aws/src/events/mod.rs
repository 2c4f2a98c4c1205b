//! What invokes functions besides requests: event source mappings and schedules.

mod mapping;
pub(crate) mod queue;
pub(crate) mod schedule;
pub(crate) mod stream;
