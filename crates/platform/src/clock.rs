//! The one place that reads the clocks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Millis;
use domain::time::Moment;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How much time was let pass, in milliseconds: none, but in tests.
static PASSED: AtomicU64 = AtomicU64::new(0);
/// How far the wall clock was set back, in milliseconds: not at all, but in tests.
static SET_BACK: AtomicU64 = AtomicU64::new(0);

/// Wakes tasks that wait for a time of this clock.
static MOVED: Notify = Notify::const_new();

/// The wall clock's time.
#[must_use]
pub fn now() -> Millis {
    system()
        .plus(PASSED.load(Ordering::Relaxed))
        .minus(SET_BACK.load(Ordering::Relaxed))
}

/// The present moment by both clocks, for telling the age of a copy.
#[must_use]
pub fn moment() -> Moment {
    Moment::new(now(), Instant::now())
}

/// A time that never goes backwards, whatever becomes of the wall clock: the wall clock's when the
/// process first asked, and what has passed since then. For waits within one process.
#[must_use]
pub fn steady() -> Millis {
    static START: OnceLock<(Millis, Instant)> = OnceLock::new();
    let (wall, start) = START.get_or_init(|| (system(), Instant::now()));
    wall.plus(millis(start.elapsed()).0)
        .plus(PASSED.load(Ordering::Relaxed))
}

/// Lets time pass at once, for the whole process and for good: for tests of what takes minutes. What
/// is under way has then taken that long, so let nothing be that could not have. Timers go on as
/// before.
pub fn advance(by: Duration) {
    PASSED.fetch_add(millis(by).0, Ordering::Relaxed);
    MOVED.notify_waiters();
}

/// Sets the wall clock back, for the whole process and for good: for tests. No time passes by that.
pub fn set_back(by: Duration) {
    SET_BACK.fetch_add(millis(by).0, Ordering::Relaxed);
}

/// Ends when time is let pass from now on, for tasks that wait for a time of this clock by a timer.
pub fn moved() -> Notified<'static> {
    MOVED.notified()
}

#[expect(
    clippy::disallowed_methods,
    reason = "everybody else takes the time as an argument"
)]
fn system() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    millis(since)
}

fn millis(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
