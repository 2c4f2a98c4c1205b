//! The one place that reads the clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Millis;
use domain::time::Moment;

/// How much time was let pass, in milliseconds: none, but in tests.
static PASSED: AtomicU64 = AtomicU64::new(0);
/// How far the wall clock was set back, in milliseconds: not at all, but in tests.
static SET_BACK: AtomicU64 = AtomicU64::new(0);

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

/// Lets time pass at once, for the whole process and for good: for tests of what takes minutes. What
/// is under way has then taken that long, so let nothing be that could not have. Timers go on as
/// before.
pub fn advance(by: Duration) {
    PASSED.fetch_add(millis(by).0, Ordering::Relaxed);
}

/// Sets the wall clock back, for the whole process and for good: for tests. No time passes by that.
pub fn set_back(by: Duration) {
    SET_BACK.fetch_add(millis(by).0, Ordering::Relaxed);
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
