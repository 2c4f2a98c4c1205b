//! A bound on how often something is done.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

const SECOND: u64 = 1_000_000_000;

/// Gives turns, so many a second. What was not used lately may be used at once, but no more than
/// a quarter of a second's: at 500 a second, the `push` of the four shards that a new table has take
/// 500 of the 5,000 requests that an account may burst, or of the 1,250 in some regions, and leave
/// the rest to the intake. ("Quotas for configuring and running a WebSocket API": 10,000 requests a
/// second, burst 5,000, for all APIs of account and region; 2,500 and 1,250 in some regions.)
///
/// The time of the next turn is all its state (the generic cell rate algorithm).
#[derive(Debug)]
pub struct Rate {
    start: Instant,
    /// Between two turns, in nanoseconds.
    interval: u64,
    /// When the next turn is due, in nanoseconds since the start.
    next: AtomicU64,
}

impl Rate {
    const BURST: u64 = SECOND / 4;

    /// So many turns a second, and those of the last quarter still to be used.
    #[must_use]
    pub fn per_second(turns: NonZeroU32) -> Rate {
        let now = Instant::now();
        Rate {
            start: now
                .checked_sub(Duration::from_nanos(Self::BURST))
                .unwrap_or(now),
            interval: SECOND / u64::from(turns.get()),
            next: AtomicU64::new(0),
        }
    }

    /// Waits for the next turn. Answers false, at once, when there is none before the deadline.
    pub async fn turn(&self, deadline: Instant) -> bool {
        let now = self.nanos(Instant::now());
        let last = self.nanos(deadline).max(now);
        let earliest = (now + self.interval).saturating_sub(Self::BURST.max(self.interval));
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                let turn = next.max(earliest);
                (turn <= last).then_some(turn + self.interval)
            });
        let Ok(next) = taken else {
            return false;
        };
        let turn = next.max(earliest);
        if turn > now {
            sleep_until(self.start + Duration::from_nanos(turn)).await;
        }
        true
    }

    fn nanos(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn rate(turns: u32) -> Rate {
        Rate::per_second(NonZeroU32::new(turns).unwrap())
    }

    const FOREVER: Duration = Duration::from_secs(3_600);

    /// How long so many turns take that are asked for at once.
    async fn time(rate: &Rate, turns: usize) -> Duration {
        let start = Instant::now();
        let all = join_all((0..turns).map(|_| rate.turn(start + FOREVER))).await;
        assert_eq!(all, vec![true; turns]);
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarter_of_a_second_may_come_at_once_and_the_rest_at_the_rate() {
        let rate = rate(2_000);
        assert_eq!(time(&rate, 500).await, Duration::ZERO);
        // Timers are as fine as a millisecond.
        assert_eq!(time(&rate, 2_000).await, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_for_long_is_no_more_than_a_quarter_of_a_second() {
        let rate = rate(100);
        assert_eq!(time(&rate, 25).await, Duration::ZERO);
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(time(&rate, 25).await, Duration::ZERO);
        assert_eq!(time(&rate, 1).await, Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_one_gives_one_at_once() {
        let rate = rate(1);
        assert_eq!(time(&rate, 1).await, Duration::ZERO);
        assert_eq!(time(&rate, 3).await, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_be_too_late_is_told_at_once_and_takes_no_turn() {
        let rate = rate(1);
        let deadline = Instant::now() + Duration::from_secs(2);
        let start = Instant::now();
        let turns = join_all((0..100).map(|_| rate.turn(deadline))).await;
        assert_eq!(turns.iter().filter(|is_given| **is_given).count(), 3);
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert_eq!(time(&rate, 1).await, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_without_end_never_waits() {
        assert_eq!(time(&rate(u32::MAX), 100_000).await, Duration::ZERO);
    }
}
