//! Woken by the stream of the events table, with the events that were just stored. Decides which
//! endpoints want which of them. What it writes: a delivery for each event and endpoint, a message
//! in the queue for each of these, and a note on each record that cannot be dispatched.
//!
//! Everything may come twice: a delivery that is there and was never tried gets its message again,
//! since the function may have died before it was sent.

mod batch;
mod owed;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use domain::delivery::Owed;
use domain::{EventId, HOUR_MS, Millis, TimeScale};
use lambda_runtime::{Error, LambdaEvent};
use platform::queue::{Message, NotSent, Queue};
use platform::telemetry::Chain;
use platform::{
    Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init, metrics, stream,
};
use store::{DeliveryCreator, EndpointCache, Endpoints, ParkedRecords, StoreError};
use tokio::time::Instant;

use crate::batch::{Batch, Record};

/// How many deliveries are created, and then sent, at once: a batch of events may come to 100,000 of
/// them, which would be too many to hold, and the first would wait for the last.
const PIECE: usize = 500;
/// Until when another piece is begun. It may be written for 15 s and sent for 15 s: together less
/// than the function's own time limit.
const BEGIN_LIMIT: Duration = Duration::from_secs(25);
const SEND_LIMIT: Duration = Duration::from_secs(15);
/// How long what is said of a parked record is kept.
const PARKED_DAYS: u32 = 30;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    endpoints: EndpointCache,
    deliveries: DeliveryCreator,
    parked: ParkedRecords,
    queue: Queue,
    retention_ms: u64,
    metrics: Metrics,
}

impl Deps {
    /// Reads `ATTEMPT_RETENTION_HOURS`, `DELIVERIES_QUEUE`, `DELIVERIES_TABLE`, `ENDPOINTS_TABLE`,
    /// `METRICS_STACK` and `TIME_SCALE`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let deliveries = config::required(lookup, "DELIVERIES_TABLE")?;
        let hours: u32 = config::required_parsed(lookup, "ATTEMPT_RETENTION_HOURS")?;
        let scale = TimeScale::new(config::required_parsed(lookup, "TIME_SCALE")?);
        Ok(Deps {
            endpoints: EndpointCache::new(
                aws.dynamodb(),
                config::required(lookup, "ENDPOINTS_TABLE")?,
            ),
            deliveries: DeliveryCreator::new(aws.dynamodb(), deliveries.clone(), scale),
            parked: ParkedRecords::new(aws.dynamodb(), deliveries, PARKED_DAYS),
            queue: Queue::new(aws.sqs(), lookup, "DELIVERIES_QUEUE")?,
            retention_ms: u64::from(hours) * HOUR_MS,
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
        Permission::new(Resource::DeliveriesTable, DeliveryCreator::ACTIONS),
        Permission::new(Resource::DeliveriesTable, ParkedRecords::ACTIONS),
        Permission::new(Resource::DeliveriesQueue, Queue::ACTIONS),
    ]
}

/// Queues a delivery of each of the batch's new events to each endpoint that wants it.
///
/// # Errors
/// None: what has to come again is in the answer.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<dynamodb::Event>,
) -> Result<DynamoDbEventResponse, Error> {
    let request_id = &event.context.request_id;
    let now = clock::now();
    let batch = Batch::decode(event.payload.records, now);
    let dispatched = dispatch(deps, &batch, now).await;
    deps.metrics.record(
        clock::now(),
        &[
            (metrics::DELIVERIES_QUEUED, dispatched.queued as u64),
            (metrics::RECORDS_PARKED, dispatched.parked as u64),
        ],
    );
    for failure in &dispatched.failures {
        tracing::error!(request.id = request_id, error = %Chain(failure), "A batch could not be dispatched; Lambda will retry it.");
    }
    tracing::info!(
        request.id = request_id,
        batch.size = batch.records.len(),
        batch.stale = batch.stale,
        deliveries.queued = dispatched.queued,
        deliveries.known = dispatched.known,
        records.parked = dispatched.parked,
        "A batch was dispatched."
    );
    // Lambda goes on at the first that failed; what comes after it comes twice.
    let first = batch
        .records
        .iter()
        .find(|record| dispatched.comes_again(record));
    Ok(match first {
        None => stream::done(),
        Some(record) => stream::retry_from(record.sequence_number.clone()),
    })
}

/// Why records come again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} deliveries could not be stored in time")]
    Unstored(usize),
    #[error("there was no time for all of it")]
    OutOfTime,
    #[error(transparent)]
    NotSent(#[from] NotSent),
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Dispatched {
    queued: usize,
    /// Deliveries that had been tried before.
    known: usize,
    parked: usize,
    failures: Vec<Failure>,
    /// The events whose records have to come again.
    again: BTreeSet<EventId>,
    /// Records that could not be parked, by their sequence numbers.
    unparked: Vec<Option<String>>,
    is_all_again: bool,
}

impl Dispatched {
    fn comes_again(&self, record: &Record) -> bool {
        match &record.event {
            Ok(event) => self.is_all_again || self.again.contains(&event.id),
            Err(_) => self.unparked.contains(&record.sequence_number),
        }
    }
}

async fn dispatch(deps: &Deps, batch: &Batch, now: Millis) -> Dispatched {
    let mut done = Dispatched::default();
    park_unreadable(deps, batch, now, &mut done).await;
    if batch.events().next().is_none() {
        return done;
    }
    let endpoints = match deps.endpoints.current(now).await {
        Ok(endpoints) => endpoints,
        Err(error) => {
            done.failures.push(error.into());
            done.is_all_again = true;
            return done;
        }
    };
    let end = Instant::now() + BEGIN_LIMIT;
    let mut owed = owed::owed(batch.events(), &endpoints, deps.retention_ms, now);
    // Lambda goes on at the first event that has to come again: nothing is done behind it.
    while done.again.is_empty() {
        let piece: Vec<_> = owed.by_ref().take(PIECE).collect();
        let Some(first) = piece.first() else {
            break;
        };
        if Instant::now() < end {
            queue_each(deps, &piece, &endpoints, now, &mut done).await;
        } else {
            done.again.insert(first.id.event);
            done.failures.push(Failure::OutOfTime);
        }
    }
    done
}

/// Queues deliveries, and parks the events of those that DynamoDB refuses.
async fn queue_each(
    deps: &Deps,
    owed: &[Owed],
    endpoints: &Endpoints,
    now: Millis,
    done: &mut Dispatched,
) {
    match queue(deps, owed, endpoints, now, done).await {
        Ok(()) => {}
        // One delivery spoils it for all: each event for itself.
        Err(StoreError::Refused { .. } | StoreError::Corrupt(_)) => {
            for owed in owed.chunk_by(|one, next| one.id.event == next.id.event) {
                match queue(deps, owed, endpoints, now, done).await {
                    Ok(()) => {}
                    Err(StoreError::Refused { .. } | StoreError::Corrupt(_)) => {
                        park(deps, owed[0].id.event, now, done).await;
                    }
                    Err(error) => failed(owed, error, done),
                }
            }
        }
        Err(error) => failed(owed, error, done),
    }
}

/// Nothing is known of these deliveries: their events have to come again.
fn failed(owed: &[Owed], error: StoreError, done: &mut Dispatched) {
    done.again.extend(owed.iter().map(|owed| owed.id.event));
    done.failures.push(error.into());
}

/// Creates deliveries, and sends the messages of those that need one.
///
/// # Errors
/// When nothing is known of any of them.
async fn queue(
    deps: &Deps,
    owed: &[Owed],
    endpoints: &Endpoints,
    now: Millis,
    done: &mut Dispatched,
) -> Result<(), StoreError> {
    let created = deps.deliveries.create(owed, now).await?;
    done.known += created.existing.len();
    if !created.failed.is_empty() {
        done.again.extend(created.failed.iter().map(|id| id.event));
        done.failures.push(Failure::Unstored(created.failed.len()));
    }
    let sent: Vec<_> = created
        .to_send
        .into_iter()
        .filter(|delivery| owed::open_until(endpoints, delivery.id.endpoint, now).is_none())
        .collect();
    let messages: Vec<_> = sent
        .iter()
        .map(|delivery| Message::for_attempt(&delivery.message(), 0))
        .collect();
    done.queued += sent.len();
    if let Err(error) = deps
        .queue
        .send(&messages, Instant::now() + SEND_LIMIT)
        .await
    {
        done.queued -= error.unsent.len();
        let unsent = error.unsent.iter().filter_map(|at| sent.get(*at));
        done.again.extend(unsent.map(|delivery| delivery.id.event));
        done.failures.push(error.into());
    }
    Ok(())
}

async fn park_unreadable(deps: &Deps, batch: &Batch, now: Millis, done: &mut Dispatched) {
    for record in &batch.records {
        if let Err(unreadable) = &record.event {
            let parked = deps.parked.park(&unreadable.id, &unreadable.reason, now);
            match parked.await {
                Ok(()) => done.parked += 1,
                Err(error) => {
                    done.unparked.push(record.sequence_number.clone());
                    done.failures.push(error.into());
                }
            }
        }
    }
}

/// Parks the record of an event whose deliveries DynamoDB refuses.
async fn park(deps: &Deps, event: EventId, now: Millis, done: &mut Dispatched) {
    tracing::error!(event.id = %event, "DynamoDB refuses the deliveries of an event, which is parked.");
    match deps
        .parked
        .park(&event.to_string(), "DynamoDB refuses its deliveries", now)
        .await
    {
        Ok(()) => done.parked += 1,
        Err(error) => {
            done.again.insert(event);
            done.failures.push(error.into());
        }
    }
}
