//! Woken by the HTTP API's routes, but for the webhook's. Answers to who may see them events and what
//! is owed of them to endpoints. Stores published events, endpoints, and deliveries that are asked for.

mod answer;
mod body;
mod call;
mod caller;
mod deliveries;
mod docs;
mod endpoints;
mod event;
mod history;
mod idempotency;
mod ingest;
mod kind;
mod listing;
mod messages;
mod page;
mod payload;
mod publish;
mod response;
mod router;
mod routes;
mod schema;
mod state;
mod tickets;
mod types;

use std::sync::Arc;

use axum::Router;
use lambda_runtime::{Error, LambdaEvent};
use platform::cors::Origins;
use platform::queue::Queue;
use platform::tokens::Tokens;
use platform::{Aws, ConfigError, Lookup, Permission, Resource, init};
use store::{
    DeliveryCreator, DeliveryReader, DeliveryRetry, EndpointEditor, EndpointReader, EventPublisher,
    EventReader, FeedReader, LateNotes, MessageReader, OversizedReader, OversizedWriter,
};
use tower_service::Service;

pub use answer::Answer;
pub use platform::payload::Payload;

use state::State;

/// What pages of other origins may ask with.
const METHODS: &str = "DELETE, GET, HEAD, PATCH, POST";
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key";

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    state: Arc<State>,
    router: Router,
    origins: Origins,
}

impl Deps {
    /// Reads `ALLOW_PRIVATE_ENDPOINTS`, `ATTEMPT_RETENTION_HOURS`, `CONNECTIONS_TABLE`,
    /// `CORS_ORIGINS`, `DELIVERIES_QUEUE`, `DELIVERIES_TABLE`, `ENDPOINTS_TABLE`, `EVENTS_TABLE`,
    /// `FEED_ID`, `FEED_SHARDS`, `OVERSIZED_BUCKET`, `RETENTION_DAYS`, `SECRET_ID`, `TAIL_URL`,
    /// `TIME_SCALE` and `WEBSOCKET_URL`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let state = Arc::new(State::new(aws, lookup)?);
        Ok(Deps {
            router: router::router(state.clone()),
            state,
            origins: Origins::read(lookup, METHODS, HEADERS)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = tokio::join!(self.state.tokens.open(), self.state.reader.open());
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EventsTable, FeedReader::TABLE_ACTIONS),
        Permission::new(Resource::EventsTable, EventReader::ACTIONS),
        Permission::new(Resource::EventsTable, MessageReader::ACTIONS),
        Permission::new(Resource::EventsTable, EventPublisher::ACTIONS),
        Permission::new(Resource::OversizedObjects, OversizedReader::ACTIONS),
        Permission::new(Resource::OversizedObjects, OversizedWriter::ACTIONS),
        Permission::new(Resource::OversizedBucket, OversizedReader::BUCKET_ACTIONS),
        Permission::new(Resource::EventsFeedIndex, FeedReader::INDEX_ACTIONS),
        Permission::new(Resource::ConnectionsTable, LateNotes::ACTIONS),
        Permission::new(Resource::EndpointsTable, EndpointReader::ACTIONS),
        Permission::new(Resource::EndpointsTable, EndpointEditor::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DeliveryReader::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DeliveryCreator::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DeliveryRetry::ACTIONS),
        Permission::new(Resource::DeliveriesIndex, DeliveryReader::INDEX_ACTIONS),
        Permission::new(Resource::DeliveriesQueue, Queue::ACTIONS),
        Permission::new(Resource::Secret, Tokens::ACTIONS),
    ]
}

/// Answers a request.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(deps: &Deps, event: LambdaEvent<Payload>) -> Result<Answer, Error> {
    let request_id = event.context.request_id;
    let asked = payload::Asked::of(&event.payload);
    let cors = deps.origins.headers(&asked.headers);
    let response = match payload::request(event.payload, &request_id, &asked) {
        // A router is always ready.
        Ok(request) => match deps.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Err(error) => response::refusal(error),
    };
    let answer = answer::of(response, &asked, cors).await?;
    tracing::info!(
        request.id = request_id,
        http.method = asked.method,
        http.status = answer.status_code,
        body_bytes = answer.body.len(),
        "A request was answered."
    );
    Ok(answer)
}
