//! What a test can have SQS do that the real one does now and then. All off by default.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Switches that take effect at once.
#[derive(Debug, Default)]
pub struct Faults {
    throttle: AtomicU64,
    fail: AtomicU64,
    fail_after: AtomicU64,
    fail_entries: AtomicU64,
    duplicate: AtomicU64,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// `RequestThrottled`.
    Throttled,
    /// 500, and nothing was done.
    Before,
    /// 500, and it was done.
    After,
}

impl Faults {
    /// Throttles the next `calls`, of whichever operation.
    pub fn throttle_next(&self, calls: u64) {
        self.throttle.store(calls, Relaxed);
    }

    /// Fails the next `calls` with `InternalFailure`, before anything is done.
    pub fn fail_next(&self, calls: u64) {
        self.fail.store(calls, Relaxed);
    }

    /// Fails the next `calls` in the same way, but after they were done: an answer that is lost.
    pub fn fail_next_after(&self, calls: u64) {
        self.fail_after.store(calls, Relaxed);
    }

    /// Of the next `batches`, does only every other entry, from the first on; the rest come back as
    /// failed.
    pub fn fail_half_of_next(&self, batches: u64) {
        self.fail_entries.store(batches, Relaxed);
    }

    /// Delivers the next `messages` that are received for the first time twice, however soon the
    /// first of the two is deleted.
    pub fn duplicate_next(&self, messages: u64) {
        self.duplicate.store(messages, Relaxed);
    }

    pub(super) fn failure_of_this_call(&self) -> Option<Failure> {
        [
            (&self.throttle, Failure::Throttled),
            (&self.fail, Failure::Before),
            (&self.fail_after, Failure::After),
        ]
        .into_iter()
        .find_map(|(left, failure)| take_one(left).then_some(failure))
    }

    pub(super) fn halves_this_batch(&self) -> bool {
        take_one(&self.fail_entries)
    }

    pub(super) fn duplicates_this_message(&self) -> bool {
        take_one(&self.duplicate)
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.load(Relaxed) > 0
        && left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
}
