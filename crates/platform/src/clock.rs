//! The one place that reads the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::Millis;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How far this process is ahead of the machine's clock, in milliseconds: not at all, but in tests.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// Tells who waits for a time that it may have come.
static MOVED: Notify = Notify::const_new();

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
    millis(since).plus(AHEAD.load(Ordering::Relaxed))
}

/// Lets time pass at once, for the whole process and for good: for tests of what takes minutes. What
/// is under way has then taken that long, so let nothing be that could not have. Timers go on as
/// before.
pub fn advance(by: Duration) {
    AHEAD.fetch_add(millis(by).0, Ordering::Relaxed);
    MOVED.notify_waiters();
}

/// Ends when time is let pass from now on: for who waits until a time of this clock by a timer.
pub fn moved() -> Notified<'static> {
    MOVED.notified()
}

fn millis(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
