//! What the routes work with.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::endpoint::{Endpoint, PrivateAddresses};
use domain::{Delivery, Feed, HOUR_MS, TimeScale};
use platform::http::HttpError;
use platform::queue::{Message, Queue};
use platform::tokens::Tokens;
use platform::{Aws, ConfigError, Lookup, config};
use store::{
    DeliveryCreator, DeliveryReader, DeliveryRetry, EndpointEditor, EndpointReader, EventPublisher,
    EventReader, FeedReader, LateNotes, MessageReader, OversizedReader, OversizedWriter,
};
use tokio::time::Instant;

use crate::call::Call;

/// How long sending may take. What is not sent by then is sent by `requeue`.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// What every route has at hand.
pub(crate) type Shared = Arc<State>;

/// What the routes work with.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) reader: FeedReader,
    pub(crate) events: EventReader,
    pub(crate) messages: MessageReader,
    pub(crate) publisher: EventPublisher,
    pub(crate) late: LateNotes,
    pub(crate) endpoints: EndpointReader,
    pub(crate) editor: EndpointEditor,
    pub(crate) deliveries: DeliveryReader,
    pub(crate) creator: DeliveryCreator,
    pub(crate) retry: DeliveryRetry,
    queue: Queue,
    /// Where endpoints may be.
    pub(crate) private: PrivateAddresses,
    attempt_retention_ms: u64,
    pub(crate) feed: Feed,
    pub(crate) tokens: Tokens,
    /// The address that browsers connect to.
    pub(crate) websocket_url: String,
    /// The address of long poll and Server-Sent Events, unless the deployment is without them.
    pub(crate) tail_url: Option<String>,
    /// What describes all this, once somebody has asked for it.
    pub(crate) document: OnceLock<String>,
}

impl State {
    pub(crate) fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<State, ConfigError> {
        let events = config::required(lookup, "EVENTS_TABLE")?;
        let endpoints = config::required(lookup, "ENDPOINTS_TABLE")?;
        let deliveries = config::required(lookup, "DELIVERIES_TABLE")?;
        let feed_shards = config::required_parsed(lookup, "FEED_SHARDS")?;
        let retention_days = config::required_parsed(lookup, "RETENTION_DAYS")?;
        let bucket = config::required(lookup, "OVERSIZED_BUCKET")?;
        let scale = TimeScale::new(config::required_parsed(lookup, "TIME_SCALE")?);
        let attempt_hours: u64 = config::required_parsed(lookup, "ATTEMPT_RETENTION_HOURS")?;
        let dynamodb = || aws.dynamodb();
        Ok(State {
            reader: FeedReader::new(dynamodb(), events.clone(), feed_shards, retention_days),
            events: EventReader::new(
                dynamodb(),
                events.clone(),
                retention_days,
                OversizedReader::new(aws.s3(), bucket.clone()),
            ),
            messages: MessageReader::new(dynamodb(), events.clone(), retention_days),
            publisher: EventPublisher::new(
                dynamodb(),
                events,
                feed_shards,
                retention_days,
                OversizedWriter::new(aws.s3(), bucket),
            ),
            late: LateNotes::new(dynamodb(), config::required(lookup, "CONNECTIONS_TABLE")?),
            endpoints: EndpointReader::new(dynamodb(), endpoints.clone()),
            editor: EndpointEditor::new(dynamodb(), endpoints),
            deliveries: DeliveryReader::new(dynamodb(), deliveries.clone()),
            creator: DeliveryCreator::new(dynamodb(), deliveries.clone(), scale),
            retry: DeliveryRetry::new(dynamodb(), deliveries, scale),
            queue: Queue::new(aws.sqs(), lookup, "DELIVERIES_QUEUE")?,
            private: private_addresses(lookup)?,
            attempt_retention_ms: attempt_hours * HOUR_MS,
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            tokens: Tokens::new(aws, lookup)?,
            websocket_url: config::required(lookup, "WEBSOCKET_URL")?,
            // AWS writes a function's URL with a slash at its end.
            tail_url: config::optional(lookup, "TAIL_URL")
                .map(|url| url.trim_end_matches('/').to_owned()),
            document: OnceLock::new(),
        })
    }

    /// How long a delivery to this endpoint is kept from its last change on.
    pub(crate) fn keep_ms(&self, endpoint: &Endpoint) -> u64 {
        let schedule = &endpoint.settings.schedule;
        schedule.keep_ms(self.attempt_retention_ms)
    }

    /// Has these deliveries tried at once. What is not sent in time is tried within the hour.
    pub(crate) async fn send(&self, call: &Call, deliveries: &[Delivery]) -> Result<(), HttpError> {
        let message = |delivery: &Delivery| Message::for_attempt(&delivery.message(), 0);
        let messages: Vec<_> = deliveries.iter().map(message).collect();
        let sent = self
            .queue
            .send(&messages, Instant::now() + SEND_LIMIT)
            .await;
        sent.map_err(|error| HttpError::unavailable(&call.request_id, &error))
    }
}

fn private_addresses(lookup: Lookup<'_>) -> Result<PrivateAddresses, ConfigError> {
    let is_allowed: bool = config::required_parsed(lookup, "ALLOW_PRIVATE_ENDPOINTS")?;
    Ok(match is_allowed {
        true => PrivateAddresses::Allowed,
        false => PrivateAddresses::Refused,
    })
}
