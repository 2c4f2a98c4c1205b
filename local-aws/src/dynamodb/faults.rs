//! What a test can make this DynamoDB do that the real one does now and then. All off by default.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One whole call, in the millionths in which the share of throttled calls is counted.
const ONE_CALL: u64 = 1_000_000;

/// Switches that take effect with the next call.
#[derive(Debug, Default)]
pub struct Faults {
    index_lag_ms: AtomicU64,
    throttle_next: AtomicU64,
    throttle_share: AtomicU64,
    /// The share summed over calls; each time it passes one call, that call is throttled.
    throttle_sum: AtomicU64,
    fail_share: AtomicU64,
    fail_sum: AtomicU64,
    fails_after: AtomicBool,
    latency_ms: AtomicU64,
}

/// When a call fails that is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing was done.
    Before,
    /// All was done, and the answer is lost.
    After,
}

impl Faults {
    /// A query of an index leaves out the items written less than `lag` ago.
    ///
    /// An item is recognised by its table key, so a query that projects the key away is answered in full.
    pub fn set_index_lag(&self, lag: Duration) {
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.index_lag_ms.store(lag_ms, Relaxed);
    }

    /// Throttles the next `calls` of the calls that can be throttled: writes and `BatchGetItem`.
    ///
    /// A batch of two or more is half done, the rest comes back as `UnprocessedItems` or `UnprocessedKeys`;
    /// any other call fails with `ProvisionedThroughputExceededException`.
    pub fn throttle_next(&self, calls: u64) {
        self.throttle_next.store(calls, Relaxed);
    }

    /// Throttles this share (0 to 1) of the same calls, evenly: 0.25 is every fourth.
    pub fn throttle_share(&self, share: f64) {
        self.throttle_share.store(millionths(share), Relaxed);
    }

    /// Fails this share (0 to 1) of all calls with `InternalServerError`, evenly, and of those every other one only
    /// after it was done.
    pub fn fail_share(&self, share: f64) {
        self.fail_share.store(millionths(share), Relaxed);
    }

    /// Lets each call wait so long before it is done.
    pub fn set_latency(&self, latency: Duration) {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.latency_ms.store(latency_ms, Relaxed);
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        match self.latency_ms.load(Relaxed) {
            0 => None,
            latency_ms => Some(Duration::from_millis(latency_ms)),
        }
    }

    pub(super) fn failure_of_this_call(&self) -> Option<Failure> {
        if !passes_a_call(&self.fail_share, &self.fail_sum) {
            return None;
        }
        let is_after = self.fails_after.fetch_not(Relaxed);
        Some(if is_after {
            Failure::After
        } else {
            Failure::Before
        })
    }

    pub(super) fn index_lag(&self) -> Option<Duration> {
        match self.index_lag_ms.load(Relaxed) {
            0 => None,
            lag_ms => Some(Duration::from_millis(lag_ms)),
        }
    }

    pub(super) fn throttles_this_call(&self) -> bool {
        if self.throttle_next.load(Relaxed) > 0 {
            let taken = self
                .throttle_next
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            return taken.is_ok();
        }
        passes_a_call(&self.throttle_share, &self.throttle_sum)
    }
}

fn millionths(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * ONE_CALL as f64) as u64
}

/// Adds a share to its sum, and says whether that has passed a whole call.
fn passes_a_call(share: &AtomicU64, sum: &AtomicU64) -> bool {
    let share = share.load(Relaxed);
    if share == 0 {
        return false;
    }
    let before = sum.fetch_add(share, Relaxed);
    before / ONE_CALL != (before + share) / ONE_CALL
}

/// The items written lately, kept only while an index lag is set.
#[derive(Debug, Default)]
pub(super) struct RecentWrites {
    written: HashMap<String, Instant>,
}

impl RecentWrites {
    /// More recent writes than this are forgotten when they are older than the lag.
    const TIDY_AT: usize = 50_000;

    pub(super) fn add(&mut self, item: String, lag: Duration) {
        if self.written.len() >= Self::TIDY_AT {
            self.written.retain(|_, at| at.elapsed() < lag);
        }
        // A test that writes still more within one lag sees its newest items at once.
        if self.written.len() < Self::TIDY_AT {
            self.written.insert(item, Instant::now());
        }
    }

    /// The index has caught up.
    pub(super) fn forget(&mut self) {
        self.written.clear();
    }

    fn hides(&self, item: &str, lag: Duration) -> bool {
        self.written.get(item).is_some_and(|at| at.elapsed() < lag)
    }

    /// Takes the hidden items out of a Query answer. `LastEvaluatedKey` stays: the page is short, as in AWS.
    pub(super) fn hide(
        &self,
        answer: &mut Value,
        lag: Duration,
        name: impl Fn(&Value) -> Option<String>,
    ) {
        let Some(items) = answer.get_mut("Items").and_then(Value::as_array_mut) else {
            return;
        };
        let before = items.len();
        items.retain(|item| !name(item).is_some_and(|name| self.hides(&name, lag)));
        let hidden = (before - items.len()) as u64;
        for count in ["Count", "ScannedCount"] {
            if let Some(number) = answer.get(count).and_then(Value::as_u64) {
                answer[count] = number.saturating_sub(hidden).into();
            }
        }
    }
}

/// The two halves of a batch request: what is done, and what is answered as unprocessed (`None` when the batch has
/// only one entry). `entries` finds the list of one table: its write requests, or its keys.
pub(super) fn halve_batch(
    request: &Value,
    entries: impl Fn(&mut Value) -> Option<&mut Vec<Value>>,
) -> Option<(Value, Value)> {
    let mut done = request.clone();
    let mut left = request["RequestItems"].clone();
    let mut place = 0_usize;
    let (mut kept, mut refused) = (0, 0);
    for (table, done_table) in done["RequestItems"].as_object_mut()? {
        let left_table = entries(left.get_mut(table)?)?;
        let done_table = entries(done_table)?;
        let all = std::mem::take(done_table);
        left_table.clear();
        for entry in all {
            let half = if place.is_multiple_of(2) {
                &mut *done_table
            } else {
                &mut *left_table
            };
            half.push(entry);
            place += 1;
        }
        kept += done_table.len();
        refused += left_table.len();
    }
    // A table without entries is malformed in a request and absent from an answer.
    for half in [&mut done["RequestItems"], &mut left] {
        let half = half.as_object_mut()?;
        half.retain(|_, table| entries(table).is_some_and(|list| !list.is_empty()));
    }
    (kept > 0 && refused > 0).then_some((done, left))
}
