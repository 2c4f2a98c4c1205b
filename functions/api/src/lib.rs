//! Woken by the HTTP API's routes, but for the webhook's. Answers events to who may see them, and
//! stores those that are published.

mod answer;
mod body;
mod caller;
mod docs;
mod event;
mod history;
mod idempotency;
mod kind;
mod messages;
mod page;
mod payload;
mod publish;
mod routes;
mod schema;
mod tickets;
mod types;

use std::sync::{Arc, OnceLock};

use axum::Router;
use domain::Feed;
use lambda_runtime::{Error, LambdaEvent};
use platform::cors::Origins;
use platform::tokens::Tokens;
use platform::{Aws, ConfigError, Lookup, Permission, Resource, config, init};
use store::{
    EventPublisher, EventReader, FeedReader, LateNotes, MessageReader, OversizedReader,
    OversizedWriter,
};
use tower_service::Service;

pub use answer::Answer;
pub use platform::payload::Payload;

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

/// What the routes work with.
#[derive(Debug)]
struct State {
    reader: FeedReader,
    events: EventReader,
    messages: MessageReader,
    publisher: EventPublisher,
    late: LateNotes,
    feed: Feed,
    tokens: Tokens,
    /// The address that browsers connect to.
    websocket_url: String,
    /// The address of long poll and Server-Sent Events, unless the deployment is without them.
    tail_url: Option<String>,
    /// What describes all this, once somebody has asked for it.
    document: OnceLock<String>,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`, `CORS_ORIGINS`, `EVENTS_TABLE`, `FEED_ID`, `FEED_SHARDS`, `OVERSIZED_BUCKET`,
    /// `RETENTION_DAYS`, `SECRET_ID`, `TAIL_URL` and `WEBSOCKET_URL`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let state = Arc::new(State::new(aws, lookup)?);
        Ok(Deps {
            router: routes::router(state.clone()),
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

impl State {
    fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<State, ConfigError> {
        let table = config::required(lookup, "EVENTS_TABLE")?;
        let feed_shards = config::required_parsed(lookup, "FEED_SHARDS")?;
        let retention_days = config::required_parsed(lookup, "RETENTION_DAYS")?;
        let bucket = config::required(lookup, "OVERSIZED_BUCKET")?;
        Ok(State {
            reader: FeedReader::new(aws.dynamodb(), table.clone(), feed_shards, retention_days),
            events: EventReader::new(
                aws.dynamodb(),
                table.clone(),
                retention_days,
                OversizedReader::new(aws.s3(), bucket.clone()),
            ),
            messages: MessageReader::new(aws.dynamodb(), table.clone(), retention_days),
            publisher: EventPublisher::new(
                aws.dynamodb(),
                table,
                feed_shards,
                retention_days,
                OversizedWriter::new(aws.s3(), bucket),
            ),
            late: LateNotes::new(
                aws.dynamodb(),
                config::required(lookup, "CONNECTIONS_TABLE")?,
            ),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            tokens: Tokens::new(aws, lookup)?,
            websocket_url: config::required(lookup, "WEBSOCKET_URL")?,
            // AWS writes a function's URL with a slash at its end.
            tail_url: config::optional(lookup, "TAIL_URL")
                .map(|url| url.trim_end_matches('/').to_owned()),
            document: OnceLock::new(),
        })
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
        Err(error) => routes::refusal(error),
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
