//! Which events are late: sent when clients hold cursors that lie so far ahead of them that a resume
//! would not look back to them. ("Why nothing is missed" and "Clocks", `ARCHITECTURE.md`.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::cursor::LOOK_BACK_MS;
use domain::{DAY_MS, Millis};

/// How long a push may take, from its decision that a batch is not late to its last message: what
/// is not sent by then is given up, well before the function's own time limit would repeat the
/// batch for everybody.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// What was stored longer ago than this may be sent later than a resume looks back: that is noted
/// first. ("Why nothing is missed", `ARCHITECTURE.md`.)
const LATE_MS: u64 = LOOK_BACK_MS - TIME_LIMIT.as_secs() * 1_000;
/// Until when a note on late records holds: until the push has ended, and every other one has seen
/// the connections that this one saw.
const NOTE_MS: u64 = 30_000;
/// How long after it was marked a connection may still get other events: the lists of connections
/// are a second old at most.
const LISTED_MS: u64 = 2_000;

/// The furthest time that a cursor of this environment's pushes may name: the present, unless the
/// clock that stamped an event was ahead, or ours was set back since.
#[derive(Debug, Default)]
pub(crate) struct Reached(AtomicU64);

impl Reached {
    /// The same once events up to `newest` are sent at `now`. What is more than a day ahead is no
    /// clock's error, and a resume with such a cursor is refused.
    pub(crate) fn with(&self, newest: Millis, now: Millis) -> Millis {
        let most = now.plus(DAY_MS);
        let newest = newest.max(now).min(most);
        let before = self.0.fetch_max(newest.0, Ordering::Relaxed);
        Millis(before).min(most).max(newest)
    }
}

/// Whether an event counts as late, by our clock.
pub(crate) fn is_late(received_at: Millis, now: Millis) -> bool {
    received_at < now.minus(LATE_MS)
}

/// The times of a batch that decide whether it is late.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// When the first of its events was stored, by whichever clock is further behind.
    pub(crate) from: Millis,
    /// What cursors may name when it is sent.
    pub(crate) reached: Millis,
}

impl Span {
    pub(crate) fn new(oldest: Millis, reached: Millis, now: Millis) -> Span {
        Span {
            from: oldest.min(now),
            reached,
        }
    }

    /// Whether it may be sent later than a resume looks back.
    pub(crate) fn is_late(self) -> bool {
        is_late(self.from, self.reached)
    }

    /// The same for what was given up, to a connection that then got other events up to `ended`.
    pub(crate) fn was_late(self, ended: Millis) -> bool {
        self.reached.max(ended).plus(LISTED_MS) > self.from.plus(LOOK_BACK_MS)
    }

    /// Until when a note on it holds that is made at `now`.
    pub(crate) fn noted_until(self, now: Millis) -> Millis {
        self.reached.max(now).plus(NOTE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_300_000_000);

    fn span(oldest: Millis, newest: Millis, now: Millis, reached: &Reached) -> Span {
        Span::new(oldest, reached.with(newest, now), now)
    }

    #[test]
    fn a_batch_is_late_by_our_clock() {
        let is_late = |age| {
            let at = NOW.minus(age);
            span(at, at, NOW, &Reached::default()).is_late()
        };
        assert!(!is_late(0) && !is_late(LATE_MS));
        assert!(is_late(LATE_MS + 1) && is_late(3_600_000));
    }

    #[test]
    fn an_event_of_a_clock_that_is_ahead_makes_the_batch_and_those_after_it_late() {
        let reached = Reached::default();
        let ahead = NOW.plus(180_000);
        let first = span(ahead, ahead, NOW, &reached);
        assert!(first.is_late());
        assert_eq!(first.from, NOW);
        assert!(first.noted_until(NOW) > ahead);
        let second = span(NOW.plus(1_000), NOW.plus(1_000), NOW.plus(1_000), &reached);
        assert!(second.is_late() && second.noted_until(NOW) > ahead);
        let later = ahead.plus(1_000);
        assert!(!span(later, later, later, &reached).is_late());
    }

    #[test]
    fn after_the_clock_was_set_back_everything_is_late_until_it_has_caught_up() {
        let reached = Reached::default();
        assert!(!span(NOW, NOW, NOW, &reached).is_late());
        let back = NOW.minus(3_600_000);
        let span = span(back, back, back, &reached);
        assert!(span.is_late());
        assert_eq!(span.noted_until(back), NOW.plus(NOTE_MS));
    }

    #[test]
    fn a_time_that_no_clock_means_is_not_remembered() {
        let reached = Reached::default();
        let year = NOW.plus(365 * DAY_MS);
        assert_eq!(reached.with(year, NOW), NOW.plus(DAY_MS));
        let later = NOW.plus(2 * DAY_MS);
        assert_eq!(reached.with(later, later), later);
    }
}
