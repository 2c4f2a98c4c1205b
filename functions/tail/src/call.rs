//! What is asked, and the time that there is for it.

use std::time::Duration;

use domain::Millis;
use http::HeaderMap;
use platform::clock;
use tokio::time::Instant;

/// How long before Lambda ends the function a reader is sent away, so that it can be told where to
/// go on.
pub(crate) const HAND_OVER_MS: u64 = 2_000;

/// What was asked, and by when there has to be an answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request_id: String,
    pub(crate) headers: HeaderMap,
    /// As it came, without the question mark.
    pub(crate) query: String,
    /// By the gateway's clock.
    pub(crate) received_at: Millis,
    /// By the clock that nobody sets.
    pub(crate) ends_at: Instant,
}

/// How long a read of the feed may take: half of what is left then is for the answer.
pub(crate) fn time_left(ends_at: Instant) -> Duration {
    ends_at.saturating_duration_since(Instant::now()) + Duration::from_millis(HAND_OVER_MS / 2)
}

/// When a time of the wall clock will have come.
pub(crate) fn instant(time: Millis) -> Instant {
    Instant::now() + Duration::from_millis(time.0.saturating_sub(clock::now().0))
}
