//! Invoked with messages of the queue of deliveries, each of which asks for one attempt. Decides
//! whether its endpoint takes attempts now, makes the attempt if it is the first to claim it, and
//! decides what follows. Writes the attempt and its delivery, the message for the next attempt, the
//! endpoint's health, and events about endpoints that fail or recover.
//!
//! A function never waits for a retry to be due, and an attempt that hangs does not delay the record
//! of another.

mod admit;
mod attempt;
mod counts;
mod events;
mod guard;
mod inbox;
mod later;
mod notices;
mod post;
mod record;
mod serve;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use domain::{Feed, Millis, TimeScale};
use futures::future::join_all;
use lambda_runtime::{Error, LambdaEvent};
use platform::queue::Queue;
use platform::telemetry::Chain;
use platform::{Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init, sqs};
use store::{
    DeliveryClaim, DeliveryRecord, EndpointCache, EventPublisher, EventReader, HealthKeeper,
    OversizedReader, OversizedWriter, StoreError,
};

use crate::counts::Counts;
use crate::events::Events;
use crate::inbox::{Asked, Inbox};
use crate::record::Recorder;
use crate::serve::Served;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    endpoints: EndpointCache,
    health: HealthKeeper,
    claims: DeliveryClaim,
    records: DeliveryRecord,
    events: Events,
    queue: Queue,
    client: post::Client,
    scale: TimeScale,
    metrics: Metrics,
}

impl Deps {
    /// Reads `ALLOW_PRIVATE_ENDPOINTS`, `ATTEMPT_RETENTION_HOURS`, `DELIVERIES_QUEUE`,
    /// `DELIVERIES_TABLE`, `ENDPOINTS_TABLE`, `EVENTS_TABLE`, `FEED_ID`, `FEED_SHARDS`,
    /// `METRICS_STACK`, `OVERSIZED_BUCKET`, `RETENTION_DAYS` and `TIME_SCALE`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let endpoints = config::required(lookup, "ENDPOINTS_TABLE")?;
        let deliveries = config::required(lookup, "DELIVERIES_TABLE")?;
        let events = config::required(lookup, "EVENTS_TABLE")?;
        let bucket = config::required(lookup, "OVERSIZED_BUCKET")?;
        let days = config::required_parsed(lookup, "RETENTION_DAYS")?;
        let scale = TimeScale::new(config::required_parsed(lookup, "TIME_SCALE")?);
        let feed = Feed::new(config::required(lookup, "FEED_ID")?);
        let oversized = OversizedReader::new(aws.s3(), bucket.clone());
        let publisher = EventPublisher::new(
            aws.dynamodb(),
            events.clone(),
            config::required_parsed(lookup, "FEED_SHARDS")?,
            days,
            OversizedWriter::new(aws.s3(), bucket),
        );
        let reader = EventReader::new(aws.dynamodb(), events, days, oversized);
        Ok(Deps {
            endpoints: EndpointCache::new(aws.dynamodb(), endpoints.clone()),
            health: HealthKeeper::new(aws.dynamodb(), endpoints, publisher, clock::now, scale),
            claims: DeliveryClaim::new(aws.dynamodb(), deliveries.clone()),
            records: DeliveryRecord::new(
                aws.dynamodb(),
                deliveries,
                config::required_parsed(lookup, "ATTEMPT_RETENTION_HOURS")?,
            ),
            events: Events::new(reader, feed),
            queue: Queue::new(aws.sqs(), lookup, "DELIVERIES_QUEUE")?,
            client: post::Client::new(config::required_parsed(lookup, "ALLOW_PRIVATE_ENDPOINTS")?)?,
            scale,
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

/// The rights that the function needs: those of what is in its `Deps`. What it publishes is small
/// and never goes to S3.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EndpointsTable, EndpointCache::ACTIONS),
        Permission::new(Resource::EndpointsTable, HealthKeeper::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DeliveryClaim::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DeliveryRecord::ACTIONS),
        Permission::new(Resource::DeliveriesQueue, Queue::ACTIONS),
        Permission::new(Resource::EventsTable, EventReader::ACTIONS),
        Permission::new(Resource::EventsTable, EventPublisher::ACTIONS),
        Permission::new(Resource::OversizedObjects, OversizedReader::ACTIONS),
        Permission::new(Resource::OversizedBucket, OversizedReader::BUCKET_ACTIONS),
    ]
}

/// Makes the attempts that the messages ask for, as far as they may be made now.
///
/// # Errors
/// None: the answer names the messages that SQS has to retry.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let request_id = &event.context.request_id;
    let now = clock::now();
    let Inbox { asked, unreadable } = Inbox::read(event.payload.records);
    let size = asked.len() + unreadable.len();
    let served = match deliver(deps, asked.clone(), now).await {
        Ok(served) => served,
        Err(error) => {
            tracing::error!(request.id = request_id, error = %Chain(&error), "Deliveries could not be made, and are attempted later.");
            later::again(deps, None, asked, 0).await
        }
    };
    let counts = Counts::of(&served);
    counts.record(&deps.metrics, clock::now());
    tracing::info!(
        request.id = request_id,
        batch.size = size,
        batch.retried = counts.again + unreadable.len(),
        attempts.made = counts.attempts,
        attempts.failed = counts.failed_attempts(),
        attempts.dropped = counts.dropped,
        deliveries.put_off = counts.put_off,
        deliveries.cancelled = counts.cancelled,
        "Deliveries were attempted."
    );
    // SQS retries an unreadable message until it is a dead letter, for which there is an alarm.
    let retried = served.into_iter().filter(Served::is_retried);
    Ok(sqs::retry(
        retried.map(|served| served.message_id).chain(unreadable),
    ))
}

async fn deliver(deps: &Deps, asked: Vec<Asked>, now: Millis) -> Result<Vec<Served>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let events = asked.iter().map(|asked| asked.message.id.event).collect();
    let (endpoints, events) =
        tokio::try_join!(deps.endpoints.current(now), deps.events.find(events, now),)?;
    let (recorder, recording) = Recorder::new(deps);
    let groups = inbox::by_endpoint(asked).into_iter();
    let serving = groups.map(|(endpoint, asked)| {
        let (known, recorder) = (endpoints.get(endpoint), recorder.clone());
        let events = &events;
        async move { serve::serve(deps, known, asked, events, &recorder).await }
    });
    let serving = join_all(serving);
    drop(recorder);
    let (served, ()) = tokio::join!(serving, recording);
    Ok(served.into_iter().flatten().collect())
}
