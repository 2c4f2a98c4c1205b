//! Woken each minute. Decides which deliveries are due: retries that are too far away for the queue,
//! what was put off, and what was lost. What it writes: when each of them is due again, and a
//! message for it; and that what is owed to deleted endpoints is cancelled.

mod deleted;
mod deps;
mod due;

use std::time::Duration;

use futures::{StreamExt, stream};
use lambda_runtime::{Error, LambdaEvent};
use platform::{clock, metrics};
use serde_json::{Value, json};
use tokio::time::Instant;

pub use deps::{Deps, permissions};

/// Until when deliveries are taken. With the time for sending the last, it is less than the function's
/// time limit, and than the minute until the next one begins.
const TAKE_LIMIT: Duration = Duration::from_secs(35);
/// How many endpoints are looked at at once.
const ENDPOINTS: usize = 16;

/// Queues what is due.
///
/// # Errors
/// When nothing can be found out. What could not be queued is due again soon.
pub async fn handle(deps: &Deps, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let end = Instant::now() + TAKE_LIMIT;
    let known = deps.endpoints.current(clock::now()).await?;
    // Collected first: a stream over the closure itself cannot be sent between threads.
    let mut all: Vec<_> = known.all().collect();
    // Not always the same first: with much to do, the last get no turn.
    fastrand::shuffle(&mut all);
    let endpoints: Vec<_> = all
        .into_iter()
        .map(|known| due::endpoint(deps, known, end))
        .collect();
    let requeueing = stream::iter(endpoints).buffer_unordered(ENDPOINTS);
    let (requeued, cancelled) = tokio::join!(
        requeueing.collect::<Vec<usize>>(),
        deleted::cancel_all(deps, end)
    );
    let count: usize = requeued.iter().sum();
    let endpoints = requeued.iter().filter(|count| **count > 0).count();
    deps.metrics.record(
        clock::now(),
        &[
            (metrics::DELIVERIES_REQUEUED, count as u64),
            (metrics::DELIVERIES_CANCELLED, cancelled as u64),
        ],
    );
    tracing::info!(
        request.id = event.context.request_id,
        deliveries.requeued = count,
        deliveries.cancelled = cancelled,
        endpoints,
        "Deliveries that are due were queued."
    );
    Ok(json!({ "requeued": count }))
}
