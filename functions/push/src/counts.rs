//! What a push counts.

use domain::Millis;
use platform::{clock, metrics};

use crate::batch::Batch;
use crate::broadcast::Sent;
use crate::deps::Deps;
use crate::failure::Failure;
use crate::late::is_late;

/// What was sent counts whatever comes of the batch, and its records when they do not come again.
pub(crate) fn record(deps: &Deps, batch: &Batch, now: Millis, pushed: &Result<Sent, Failure>) {
    let (sent, is_done) = match pushed {
        Ok(sent) => (*sent, true),
        Err(Failure::Unmarked(sent)) => (*sent, false),
        Err(Failure::Store(_) | Failure::OutOfTime) => return,
    };
    let latency = match (batch.oldest(), sent.last) {
        // A message that was taken within the same millisecond counts, too.
        (Some(oldest), Some(last)) => last.0.saturating_sub(oldest.0).max(1),
        _ => 0,
    };
    let records = |records: usize| if is_done { records as u64 } else { 0 };
    let late = batch.events.iter();
    let late = late.filter(|event| is_late(event.received_at, now)).count();
    deps.metrics.record(
        clock::now(),
        &[
            (metrics::MESSAGES_PUSHED, sent.sent as u64),
            (metrics::CONNECTIONS_GONE, sent.gone as u64),
            (metrics::MESSAGES_GIVEN_UP, sent.given_up as u64),
            (metrics::PUSH_LATENCY, latency),
            (metrics::LATE_RECORDS, records(late)),
            (metrics::STALE_RECORDS, records(batch.stale)),
            (metrics::DISCARDED_RECORDS, records(batch.discarded)),
        ],
    );
}
