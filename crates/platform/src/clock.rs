//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Millis;

/// What time it is.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "everybody else takes the time as an argument"
)]
pub fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
