//! Woken each minute. Decides which deliveries are due: retries that are too far away for the queue,
//! what was put off, and what was lost. What it writes: when each of them is due again, and a
//! message for it; and that what is owed to deleted endpoints is cancelled.

mod deleted;

use std::time::Duration;

use domain::health::HealthState;
use domain::{Delivery, Millis, TimeScale};
use futures::{StreamExt, stream};
use lambda_runtime::{Error, LambdaEvent};
use platform::queue::{Message, Queue};
use platform::telemetry::Chain;
use platform::{
    Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init, metrics,
};
use serde_json::{Value, json};
use store::{DeletedEndpoints, Due, DueDeliveries, EndpointCache, KnownEndpoint, StoreError};
use tokio::time::Instant;

/// Until when deliveries are taken, and then until when their messages are sent: less than the
/// function's time limit, and than the minute until the next one begins.
const TAKE_LIMIT: Duration = Duration::from_secs(35);
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How many endpoints are looked at, and how many deliveries of each are taken, at once.
const ENDPOINTS: usize = 16;
const TAKES: usize = 16;
/// The most deliveries of one endpoint that a minute queues: with more it would rather be slow than
/// forgotten.
const MOST: usize = 3_000;
/// How many are looked for, taken and sent in one piece.
const PIECE: usize = 100;
/// How often in a minute each of a few permits is taken at least: an attempt has 15 s.
const TURNS: usize = 4;
const SECONDS: usize = 60;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    endpoints: EndpointCache,
    deleted: DeletedEndpoints,
    due: DueDeliveries,
    queue: Queue,
    metrics: Metrics,
}

impl Deps {
    /// Reads `DELIVERIES_QUEUE`, `DELIVERIES_TABLE`, `ENDPOINTS_TABLE`, `METRICS_STACK` and
    /// `TIME_SCALE`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let (endpoints, deliveries) = (
            config::required(lookup, "ENDPOINTS_TABLE")?,
            config::required(lookup, "DELIVERIES_TABLE")?,
        );
        let scale = TimeScale::new(config::required_parsed(lookup, "TIME_SCALE")?);
        Ok(Deps {
            endpoints: EndpointCache::new(aws.dynamodb(), endpoints.clone()),
            deleted: DeletedEndpoints::new(aws.dynamodb(), endpoints),
            due: DueDeliveries::new(aws.dynamodb(), deliveries, scale),
            queue: Queue::new(aws.sqs(), lookup, "DELIVERIES_QUEUE")?,
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = self.endpoints.current(clock::now()).await;
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EndpointsTable, EndpointCache::ACTIONS),
        Permission::new(Resource::EndpointsTable, DeletedEndpoints::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DueDeliveries::ACTIONS),
        Permission::new(Resource::DeliveriesIndex, DueDeliveries::INDEX_ACTIONS),
        Permission::new(Resource::DeliveriesQueue, Queue::ACTIONS),
    ]
}

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
        .map(|known| endpoint(deps, known, end))
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

/// Queues what is due of one endpoint, as much as it may get; how much that was. One endpoint's
/// failure is none of the others' business.
async fn endpoint(deps: &Deps, known: &KnownEndpoint, end: Instant) -> usize {
    let room = room(known, clock::now());
    let (mut queued, mut last) = (0, None);
    while queued < room && Instant::now() < end {
        match piece(deps, known, last, (room - queued).min(PIECE)).await {
            Ok((count, looked_at)) => {
                queued += count;
                last = looked_at;
                if last.is_none() {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(endpoint.id = %known.endpoint.id, error = %Chain(&error), "Deliveries that are due could not be queued.");
                break;
            }
        }
    }
    queued
}

/// How many attempts of an endpoint a minute has room for. One that is disabled takes none, but its
/// deliveries are looked at once more, to be cancelled.
fn room(known: &KnownEndpoint, now: Millis) -> usize {
    let rate = known.endpoint.settings.rate_limit;
    let by_rate = rate.map_or(MOST, |rate| rate.get() as usize * SECONDS);
    if !known.endpoint.is_enabled() {
        return MOST;
    }
    let by_health = match (known.health.state(now), known.health.capacity(now)) {
        (HealthState::Open { .. } | HealthState::HalfOpen, Some(capacity)) => capacity,
        (_, Some(capacity)) => capacity * TURNS,
        (_, None) => MOST,
    };
    by_rate.min(by_health).min(MOST)
}

/// Takes some of what is due behind `after` and sends it; how much was sent, and what was looked at
/// last, which others may have taken: the next piece begins behind it. Without it there is none: all
/// was looked at, or not all could be sent.
async fn piece(
    deps: &Deps,
    known: &KnownEndpoint,
    after: Option<Due>,
    limit: usize,
) -> Result<(usize, Option<Due>), StoreError> {
    let now = clock::now();
    let due = deps.due.due(known.endpoint.id, after, Some(now), limit);
    let due = due.await?;
    let mut last = due.last().copied();
    let takes: Vec<_> = due.into_iter().map(|due| deps.due.take(due, now)).collect();
    let taken = stream::iter(takes).buffer_unordered(TAKES);
    let taken: Vec<_> = taken.collect().await;
    let deliveries: Vec<_> = taken.iter().flatten().flatten().collect();
    let messages: Vec<_> = deliveries.iter().copied().map(message).collect();
    let mut sent = messages.len();
    // What was taken is sent, whatever became of the others.
    if let Err(error) = deps
        .queue
        .send(&messages, Instant::now() + SEND_LIMIT)
        .await
    {
        sent -= error.unsent.len();
        last = None;
        let unsent = error.unsent.iter().filter_map(|at| deliveries.get(*at));
        give_back(deps, unsent.copied()).await;
        tracing::warn!(endpoint.id = %known.endpoint.id, error = %Chain(&error), "Deliveries that are due could not be sent, and are due again soon.");
    }
    match taken.into_iter().find_map(Result::err) {
        Some(error) if sent == 0 => Err(error),
        Some(_) | None => Ok((sent, last)),
    }
}

/// What was not sent is due now; what cannot be given back is due again a little later.
async fn give_back(deps: &Deps, unsent: impl Iterator<Item = &Delivery>) {
    let now = clock::now();
    let back: Vec<_> = unsent
        .map(|delivery| deps.due.give_back(delivery, now))
        .collect();
    let mut back = stream::iter(back).buffer_unordered(TAKES);
    while let Some(given) = back.next().await {
        if let Err(error) = given {
            tracing::warn!(error = %Chain(&error), "A delivery that could not be sent is due again later.");
        }
    }
}

fn message(delivery: &Delivery) -> Message {
    let message = delivery.message();
    Message {
        body: message.to_json(),
        group: message.group(),
        delay: Duration::ZERO,
    }
}
