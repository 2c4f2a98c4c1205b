//! Times under a rate limit.

use domain::Millis;

/// What there was under a rate limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slots {
    /// One time for each attempt, in order; the first may be now.
    Taken(Vec<Millis>),
    /// Others have taken all for longer than a message can wait in the queue: ask again then.
    Full {
        /// When there may be some.
        until: Millis,
    },
}
