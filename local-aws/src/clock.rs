//! The one place of this library that reads the clocks. Tests move them.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// How much time was let pass, in milliseconds: none, but in tests.
static PASSED: AtomicU64 = AtomicU64::new(0);
/// How far the wall clock was set back, in milliseconds: not at all, but in tests.
static SET_BACK: AtomicU64 = AtomicU64::new(0);

/// Wakes tasks that wait for a time of this clock.
static MOVED: Notify = Notify::const_new();

/// Milliseconds since 1970-01-01T00:00:00Z. JSON has them as RFC 3339 in UTC, with as many
/// fractional digits as are needed (none or three).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// This point in time, `ms` earlier, but not before 1970.
    #[must_use]
    pub fn minus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_sub(ms))
    }

    /// This point in time, `ms` later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// The same as jiff has it; the last that it knows for what is later.
    pub(crate) fn timestamp(self) -> jiff::Timestamp {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = self.timestamp();
        if self.0.is_multiple_of(1_000) {
            write!(f, "{timestamp}")
        } else {
            write!(f, "{timestamp:.3}")
        }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The wall clock's time.
#[must_use]
pub fn now() -> Millis {
    system()
        .plus(PASSED.load(Ordering::Relaxed))
        .minus(SET_BACK.load(Ordering::Relaxed))
}

/// A time that never goes backwards, whatever becomes of the wall clock: the wall clock's when the
/// process first asked, and what has passed since then. For waits within one process.
pub(crate) fn steady() -> Millis {
    static START: OnceLock<(Millis, Instant)> = OnceLock::new();
    let (wall, start) = START.get_or_init(|| (system(), Instant::now()));
    wall.plus(millis(start.elapsed()).0)
        .plus(PASSED.load(Ordering::Relaxed))
}

/// Lets time pass at once, for the whole process and for good: for tests of what takes minutes.
/// What is under way has then taken that long, so let nothing be that could not have: hold the
/// functions (`Faults::hold_functions`). Timers go on as before.
pub fn advance(by: Duration) {
    PASSED.fetch_add(millis(by).0, Ordering::Relaxed);
    MOVED.notify_waiters();
}

/// Sets the wall clock back, for the whole process and for good: for tests. No time passes by that.
pub fn set_back(by: Duration) {
    SET_BACK.fetch_add(millis(by).0, Ordering::Relaxed);
}

/// Ends when time is let pass from now on, for tasks that wait for a time of this clock by a timer.
pub(crate) fn moved() -> Notified<'static> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_rfc_3339_in_utc() {
        let shown = |ms| Millis(ms).to_string();
        assert_eq!(shown(1_795_300_002_000), "2026-11-21T22:26:42Z");
        assert_eq!(shown(1_795_300_002_120), "2026-11-21T22:26:42.120Z");
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
    }
}
