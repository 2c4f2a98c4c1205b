//! What happened so far, counted in constant space.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tools::generator::Kind;

/// Neighbouring buckets of answer times differ by 2 %.
const BUCKET_RATIO: f64 = 1.02;

/// Complaints come at most this often, however many POSTs fail at once.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Stats {
    began: Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    begun: u64,
    accepted: u64,
    events: u64,
    retried: u64,
    doubled: u64,
    kinds: BTreeMap<Kind, u64>,
    answers: AnswerTimes,
    complained: Option<Instant>,
    has_given_up: bool,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            counts: Mutex::default(),
        }
    }

    pub(super) fn batch_begun(&self) {
        self.counts().begun += 1;
    }

    pub(super) fn accepted(&self, kinds: &[Kind]) {
        let mut counts = self.counts();
        counts.accepted += 1;
        counts.events += kinds.len() as u64;
        for kind in kinds {
            *counts.kinds.entry(*kind).or_default() += 1;
        }
    }

    pub(super) fn doubled(&self) {
        self.counts().doubled += 1;
    }

    pub(super) fn retried(&self) {
        self.counts().retried += 1;
    }

    pub(super) fn answered(&self, after: Duration) {
        self.counts().answers.record(after);
    }

    /// Whether the last complaint is long enough ago.
    pub(super) fn may_complain(&self) -> bool {
        let mut counts = self.counts();
        let may = counts
            .complained
            .is_none_or(|last| last.elapsed() >= COMPLAINT_PAUSE);
        if may {
            counts.complained = Some(Instant::now());
        }
        may
    }

    /// A batch will not be posted again.
    pub(super) fn give_up(&self) {
        self.counts().has_given_up = true;
    }

    pub(super) fn has_given_up(&self) -> bool {
        self.counts().has_given_up
    }

    pub(super) fn has_accepted(&self) -> bool {
        self.counts().accepted > 0
    }

    pub(super) fn never_accepted(&self) -> u64 {
        let counts = self.counts();
        counts.begun - counts.accepted
    }

    pub(super) fn progress(&self) -> String {
        let counts = self.counts();
        let pending = counts.begun - counts.accepted;
        format!(
            "{} events in {} batches accepted, {pending} on the way, {} retried, {:.0} events/s, p95 {}",
            counts.events,
            counts.accepted,
            counts.retried,
            self.events_per_second(&counts),
            milliseconds(counts.answers.quantile(0.95)),
        )
    }

    pub(super) fn summary(&self) -> String {
        let counts = self.counts();
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = self.events_per_second(&counts);
        let mut text = format!(
            "batches     {} begun, {} accepted",
            counts.begun, counts.accepted
        );
        let _ = writeln!(
            text,
            ", {} retried, {} posted twice",
            counts.retried, counts.doubled
        );
        let _ = writeln!(
            text,
            "events      {} accepted in {seconds:.1} s, {rate:.1} events/s",
            counts.events
        );
        let [p50, p95, max] =
            [0.5, 0.95, 1.0].map(|part| milliseconds(counts.answers.quantile(part)));
        let _ = write!(
            text,
            "answers     {} with p50 {p50}, p95 {p95}, max {max}\nkinds      ",
            counts.answers.count
        );
        for (kind, count) in &counts.kinds {
            let _ = write!(text, " {kind} {count}");
        }
        text
    }

    fn events_per_second(&self, counts: &Counts) -> f64 {
        counts.events as f64 / self.began.elapsed().as_secs_f64().max(0.001)
    }

    /// Counters stay meaningful even if a thread panicked between two of them.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A histogram over the logarithm of the time.
#[derive(Debug, Default)]
struct AnswerTimes {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    max: Duration,
}

impl AnswerTimes {
    fn record(&mut self, time: Duration) {
        let micros = (time.as_micros() as f64).max(1.0);
        *self
            .buckets
            .entry(micros.log(BUCKET_RATIO).ceil() as u32)
            .or_default() += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// The time within which this part of the answers came, at most 2 % too large; `None` without answers.
    fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        bucket.map(|(bucket, _)| {
            let micros = BUCKET_RATIO.powi(*bucket as i32) as u64;
            Duration::from_micros(micros).min(self.max)
        })
    }
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_two_percent() {
        let mut times = AnswerTimes::default();
        assert_eq!(times.quantile(0.5), None);
        (1..=1_000).for_each(|time| times.record(Duration::from_millis(time)));
        for (part, expected) in [(0.5, 500.0), (0.95, 950.0), (1.0, 1_000.0)] {
            let found = times.quantile(part).unwrap().as_secs_f64() * 1_000.0;
            assert!((found / expected - 1.0).abs() < 0.021, "{part}: {found}");
        }
    }

    #[test]
    fn what_was_begun_and_not_accepted_is_missed() {
        let stats = Stats::new();
        stats.batch_begun();
        stats.batch_begun();
        stats.accepted(&[Kind::Send, Kind::Open, Kind::Send]);
        assert_eq!(stats.never_accepted(), 1);
        assert!(
            stats.summary().ends_with(" send 2 open 1"),
            "{}",
            stats.summary()
        );
    }
}
