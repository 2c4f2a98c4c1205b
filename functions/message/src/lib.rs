//! Woken by a message from a WebSocket client. Does what the client asks: `subscribe`,
//! `unsubscribe`, `resume`, `ping`. It answers through API Gateway's management API, and writes
//! what the client wants into its row.
//!
//! A client that is asked for nothing it could understand gets an `error` message and keeps its
//! connection.

mod action;
mod answer;
mod resume;

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use domain::{Cursor, CursorKind, Feed, Filter, Position};
use http::StatusCode;
use lambda_runtime::{Error, LambdaEvent};
use platform::connections::{Connections, Posted};
use platform::http::websocket;
use platform::telemetry::Chain;
use platform::{
    Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init, metrics,
};
use store::{Connection, ConnectionSession, FeedReader, StoreError};

use crate::action::{Action, Bad};
use crate::answer::Answer;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    session: ConnectionSession,
    reader: FeedReader,
    feed: Feed,
    /// Where the connections are is in each event: a variable that named the API would make a
    /// circle in the template, as the API names this function.
    aws: Aws,
    metrics: Metrics,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`, `EVENTS_TABLE`, `FEED_SHARDS`, `RETENTION_DAYS`, `FEED_ID` and
    /// `METRICS_STACK`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        Ok(Deps {
            session: ConnectionSession::new(
                aws.dynamodb(),
                config::required(lookup, "CONNECTIONS_TABLE")?,
            ),
            reader: FeedReader::new(
                aws.dynamodb(),
                config::required(lookup, "EVENTS_TABLE")?,
                config::required_parsed(lookup, "FEED_SHARDS")?,
                config::required_parsed(lookup, "RETENTION_DAYS")?,
            ),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            aws: aws.clone(),
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = self.session.get("init").await;
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::ConnectionsTable, ConnectionSession::ACTIONS),
        Permission::new(Resource::EventsTable, FeedReader::TABLE_ACTIONS),
        Permission::new(Resource::EventsFeedIndex, FeedReader::INDEX_ACTIONS),
        Permission::new(
            Resource::Connections { method: "POST" },
            Connections::ACTIONS,
        ),
        Permission::new(
            Resource::Connections { method: "DELETE" },
            Connections::ACTIONS,
        ),
    ]
}

/// One client, for the time of one message.
struct Client<'a> {
    deps: &'a Deps,
    id: &'a str,
    connections: Connections,
    /// How many events were sent to it.
    replayed: AtomicU64,
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Bad(#[from] Bad),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The client cannot be answered.
    #[error("the client is gone")]
    Gone,
}

/// Does what the message asks, and answers the client.
///
/// # Errors
/// None: the client is told what failed.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<ApiGatewayWebsocketProxyRequest>,
) -> Result<ApiGatewayProxyResponse, Error> {
    let request_id = &event.context.request_id;
    let payload = &event.payload;
    let id = match platform::websocket::connection_id(payload) {
        Ok(id) => id,
        Err(error) => return Ok(error.into_websocket()),
    };
    let context = &payload.request_context;
    let (api_id, stage) = (
        context.apiid.as_deref().unwrap_or_default(),
        context.stage.as_deref().unwrap_or_default(),
    );
    let client = Client {
        deps,
        id,
        connections: Connections::new(deps.aws.connections(api_id, stage)),
        replayed: AtomicU64::new(0),
    };
    let action = action::read(payload.body.as_deref().unwrap_or_default());
    let name = action.as_ref().map_or("unreadable", Action::name);
    let is_resume = matches!(action, Ok(Action::Resume(_)));
    let answer = match act(&client, action).await {
        Ok(answer) => answer,
        Err(Failure::Bad(bad)) => Some(Answer::Error(bad)),
        Err(Failure::Store(error)) => {
            tracing::error!(request.id = request_id, connection.id = id, action = name, error = %Chain(&error), "A message failed.");
            Some(Answer::Error(Bad::internal(request_id)))
        }
        Err(Failure::Gone) => None,
    };
    count(&client, is_resume, answer.as_ref());
    if let Some(answer) = answer {
        client.answer(&answer).await;
    }
    tracing::info!(
        request.id = request_id,
        connection.id = id,
        action = name,
        "A message was served."
    );
    Ok(websocket(StatusCode::OK))
}

fn count(client: &Client<'_>, is_resume: bool, answer: Option<&Answer>) {
    let is_incomplete = matches!(answer, Some(Answer::Live { recovered, .. }) if !recovered);
    let replayed = client.replayed.load(Ordering::Relaxed);
    client.deps.metrics.record(
        clock::now(),
        &[
            (metrics::RESUMES, is_resume.into()),
            (metrics::EVENTS_REPLAYED, replayed),
            (metrics::RESUMES_NOT_RECOVERED, is_incomplete.into()),
        ],
    );
}

async fn act(client: &Client<'_>, action: Result<Action, Bad>) -> Result<Option<Answer>, Failure> {
    let Some(row) = client.deps.session.get(client.id).await? else {
        // Nobody pushes to a connection without a row: better closed than deaf.
        client.connections.close(client.id).await;
        return Err(Failure::Gone);
    };
    if !row.rights.hold(clock::now()) {
        // Its next ticket has newer rights, or is refused.
        client.connections.close(client.id).await;
        return Err(Failure::Gone);
    }
    match action? {
        Action::Ping => Ok(Some(ping(client, &row))),
        Action::Unsubscribe => {
            client.deps.session.unsubscribe(client.id).await?;
            Ok(Some(Answer::Unsubscribed))
        }
        Action::Subscribe { filter, with_data } => {
            subscribe(client, &row, &filter, with_data).await.map(Some)
        }
        Action::Resume(from) => resume::resume(client, &row, from).await.map(Some),
    }
}

/// A client that missed something learns it here, and from where to resume.
fn ping(client: &Client<'_>, row: &Connection) -> Answer {
    match row.missed_since {
        Some(since) => Answer::Gap {
            cursor: client.deps.feed.cursor_at(Position::start_of(since)),
        },
        None => Answer::Pong,
    }
}

async fn subscribe(
    client: &Client<'_>,
    row: &Connection,
    filter: &str,
    with_data: bool,
) -> Result<Answer, Failure> {
    let filter: Filter = filter.parse().map_err(Bad::filter)?;
    row.rights.narrow(&filter).map_err(Bad::forbidden)?;
    let filter = filter.to_string();
    client
        .deps
        .session
        .subscribe(client.id, &filter, with_data)
        .await?;
    let now = Position::start_of(clock::now());
    Ok(Answer::Subscribed {
        filter,
        cursor: client.deps.feed.cursor_at(now),
    })
}

impl Client<'_> {
    async fn answer(&self, answer: &Answer) {
        match answer {
            // The next ping asks again, and who does not hear that leaves by itself.
            Answer::Pong | Answer::Gap { .. } => {
                let text = answer.to_json();
                self.connections.post(self.id, text.as_bytes()).await;
            }
            Answer::Subscribed { .. }
            | Answer::Unsubscribed
            | Answer::Continue { .. }
            | Answer::Live { .. }
            | Answer::Error(_) => {
                // It is closed then.
                let _ = self.send(&answer.to_json()).await;
            }
        }
    }

    /// Sends a part of a replay, or what a client waits for. One that cannot take it is closed: it
    /// would wait for the rest for ever, and resumes when it comes back.
    async fn send(&self, message: &str) -> Result<(), Failure> {
        match self.connections.post(self.id, message.as_bytes()).await {
            Posted::Sent => Ok(()),
            Posted::Gone => Err(Failure::Gone),
            Posted::GivenUp => {
                self.connections.close(self.id).await;
                Err(Failure::Gone)
            }
        }
    }

    fn cursor(&self, position: Position, kind: CursorKind) -> String {
        self.deps.feed.encode(Cursor { position, kind })
    }
}
