//! How often the feed is read.

use std::time::Duration;

use tokio::time::Instant;

/// How soon the feed is read again after something new; each time that there is nothing, it takes
/// twice as long, up to the second. `docs/COST.md` says what a reader's hour costs.
const BUSY: Duration = Duration::from_millis(250);
const QUIET: Duration = Duration::from_secs(2);

/// How long to wait before the feed is read again.
#[derive(Debug)]
pub(crate) struct Pace(Duration);

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace(BUSY)
    }

    /// Something was there.
    pub(crate) fn is_busy(&mut self) {
        self.0 = BUSY;
    }

    /// Nothing was there: how long to wait, but no longer than until `end`.
    pub(crate) fn pause(&mut self, end: Instant) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(QUIET);
        pause.min(end.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_feed_is_read_ever_more_rarely_and_a_busy_one_often_again() {
        let end = Instant::now() + Duration::from_secs(3_600);
        let mut pace = Pace::new();
        let mut pauses: Vec<_> = (0..5).map(|_| pace.pause(end)).collect();
        pace.is_busy();
        pauses.push(pace.pause(end));
        assert_eq!(
            pauses,
            [250, 500, 1_000, 2_000, 2_000, 250].map(Duration::from_millis)
        );
        assert_eq!(pace.pause(Instant::now()), Duration::ZERO);
    }
}
