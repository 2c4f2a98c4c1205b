//! Counts of how the messages of a batch ended.

use domain::Millis;
use domain::delivery::ErrorClass;
use domain::retry::Next;
use platform::{Metrics, metrics};

use crate::served::{End, Served};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) attempts: usize,
    pub(crate) dropped: usize,
    pub(crate) put_off: usize,
    pub(crate) cancelled: usize,
    pub(crate) again: usize,
    delivered: usize,
    failed: usize,
    /// The failed attempts of each kind.
    by_class: Vec<(&'static str, u64)>,
    latency_ms: u64,
}

impl Counts {
    pub(crate) fn of(served: &[Served]) -> Counts {
        let mut counts = Counts::default();
        for one in served {
            match one.end {
                End::Attempted {
                    error,
                    next,
                    latency_ms,
                } => {
                    counts.attempts += 1;
                    counts.count_error(error);
                    match next {
                        Next::Delivered => counts.delivered += 1,
                        Next::Failed(_) => counts.failed += 1,
                        Next::Retry { .. } => {}
                    }
                    counts.latency_ms = counts.latency_ms.max(latency_ms.unwrap_or(0));
                }
                End::Dropped => counts.dropped += 1,
                End::PutOff => counts.put_off += 1,
                End::Cancelled => counts.cancelled += 1,
                End::Again => counts.again += 1,
            }
        }
        counts
    }

    fn count_error(&mut self, error: Option<ErrorClass>) {
        let Some(class) = error.map(ErrorClass::as_str) else {
            return;
        };
        match self.by_class.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => self.by_class.push((class, 1)),
        }
    }

    pub(crate) fn failed_attempts(&self) -> u64 {
        self.by_class.iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn record(&self, metrics: &Metrics, now: Millis) {
        let values = [
            (metrics::ATTEMPTS, self.attempts as u64),
            (metrics::ATTEMPTS_DROPPED, self.dropped as u64),
            (metrics::DELIVERIES_DELIVERED, self.delivered as u64),
            (metrics::DELIVERIES_FAILED, self.failed as u64),
            (metrics::DELIVERIES_CANCELLED, self.cancelled as u64),
            (metrics::DELIVERIES_PUT_OFF, self.put_off as u64),
            (metrics::DELIVERY_LATENCY, self.latency_ms),
        ];
        metrics.record_by(now, &values, metrics::ATTEMPTS_FAILED, &self.by_class);
    }
}
