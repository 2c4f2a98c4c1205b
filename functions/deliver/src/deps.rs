//! What the function works with, and the rights that it needs for that.

use domain::{Feed, TimeScale};
use platform::queue::Queue;
use platform::{Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init};
use store::{
    DeliveryClaim, DeliveryRecord, EndpointCache, EventPublisher, EventReader, HealthKeeper,
    OversizedReader, OversizedWriter,
};

use crate::events::Events;
use crate::post;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    pub(crate) endpoints: EndpointCache,
    pub(crate) health: HealthKeeper,
    pub(crate) claims: DeliveryClaim,
    pub(crate) records: DeliveryRecord,
    pub(crate) events: Events,
    pub(crate) queue: Queue,
    pub(crate) client: post::Client,
    pub(crate) scale: TimeScale,
    pub(crate) metrics: Metrics,
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
