//! Woken by the stream of the events table, with the events that were just stored. Decides which
//! connections want which of them, and sends them through API Gateway's management API.
//!
//! It never fails a batch for one connection: who missed something is told so and resumes. What
//! it writes: it deletes connections that are gone, marks those that missed something, and notes
//! when it is late.

mod batch;
mod broadcast;
mod choosing;
mod counts;
mod directory;
mod late;

use std::time::Duration;

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use domain::cursor::LOOK_BACK_MS;
use domain::{Feed, Millis};
use lambda_runtime::{Error, LambdaEvent};
use platform::connections::Connections;
use platform::rate::Rate;
use platform::telemetry::Chain;
use platform::{
    Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init, stream,
};
use store::{ConnectionList, StoreError};
use tokio::time::{Instant, timeout_at};

use crate::batch::Batch;
use crate::broadcast::Sent;
use crate::choosing::Limits;
use crate::directory::Directory;
use crate::late::{Reached, Span};

/// How long a push may take, from its decision that a batch is not late to its last message: what
/// is not sent by then is given up, well before the function's own time limit would repeat the
/// batch for everybody.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// What was stored longer ago than this may be sent later than a resume looks back: that is noted
/// first. ("Why nothing is missed", `ARCHITECTURE.md`.)
const LATE_MS: u64 = LOOK_BACK_MS - TIME_LIMIT.as_secs() * 1_000;
/// Until when a note on late records holds: until the push has ended, and every other one has seen
/// the connections that this one saw.
const NOTE_MS: u64 = 30_000;
/// How long after it was marked a connection may still get other events: the lists of connections
/// are a second old at most.
const LISTED_MS: u64 = 2_000;
/// For marking who missed something, after the time is up.
const GRACE: Duration = Duration::from_secs(20);
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    list: ConnectionList,
    directory: Directory,
    connections: Connections,
    /// Of messages: the account's requests are for the intake, too.
    rate: Rate,
    limits: Limits,
    feed: Feed,
    reached: Reached,
    retention_ms: u64,
    metrics: Metrics,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`, `FEED_ID`, `METRICS_STACK`, `PUSH_RATE`, `RETENTION_DAYS`,
    /// `WEBSOCKET_API_ID` and `WEBSOCKET_STAGE`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let api_id = config::required(lookup, "WEBSOCKET_API_ID")?;
        let stage = config::required(lookup, "WEBSOCKET_STAGE")?;
        let table = config::required(lookup, "CONNECTIONS_TABLE")?;
        let retention_days: u32 = config::required_parsed(lookup, "RETENTION_DAYS")?;
        Ok(Deps {
            list: ConnectionList::new(aws.dynamodb(), table),
            directory: Directory::default(),
            connections: Connections::new(aws.connections(&api_id, &stage)),
            rate: Rate::per_second(config::required_parsed(lookup, "PUSH_RATE")?),
            limits: Limits::default(),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            reached: Reached::default(),
            retention_ms: u64::from(retention_days) * DAY_MS,
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let list = self.directory.connections(&self.list, clock::now());
            let _ = tokio::join!(list, self.connections.open());
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::ConnectionsTable, ConnectionList::ACTIONS),
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

/// Sends the batch's new events to everybody who wants them.
///
/// # Errors
/// None: what has to come again is in the answer.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<dynamodb::Event>,
) -> Result<DynamoDbEventResponse, Error> {
    let request_id = &event.context.request_id;
    let first = event
        .payload
        .records
        .first()
        .and_then(|record| record.change.sequence_number.clone());
    // In this order: whether the batch is late is decided as of when the time begins to run.
    let deadline = Instant::now() + TIME_LIMIT;
    let now = clock::now();
    let batch = Batch::decode(event.payload.records, now);
    // In time, or as if DynamoDB had not answered: the batch comes again.
    let pushed = timeout_at(deadline + GRACE, push(deps, &batch, now, deadline)).await;
    let pushed = pushed.unwrap_or(Err(Failure::OutOfTime));
    counts::record(deps, &batch, now, &pushed);
    match pushed {
        Ok(sent) => {
            tracing::info!(
                request.id = request_id,
                batch.size = batch.events.len(),
                batch.discarded = batch.discarded,
                batch.stale = batch.stale,
                connections = sent.connections,
                messages.sent = sent.sent,
                messages.gone = sent.gone,
                messages.given_up = sent.given_up,
                lag_ms = batch
                    .oldest()
                    .map(|oldest| clock::now().0.saturating_sub(oldest.0)),
                "A batch was pushed."
            );
            Ok(stream::done())
        }
        Err(error) => {
            tracing::error!(request.id = request_id, error = %Chain(&error), "A batch could not be pushed and comes again.");
            Ok(stream::retry_from(first))
        }
    }
}

/// Why a batch has to come again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} connections that missed a message could not be marked", .0.unmarked)]
    Unmarked(Sent),
    #[error("it took too long")]
    OutOfTime,
}

async fn push(deps: &Deps, batch: &Batch, now: Millis, deadline: Instant) -> Result<Sent, Failure> {
    let Some((oldest, newest)) = batch.oldest().zip(batch.newest()) else {
        return Ok(Sent::default());
    };
    let span = Span::new(oldest, deps.reached.with(newest, now), now);
    if span.is_late() {
        note_late(deps, span, now).await?;
    }
    let known = deps.directory.connections(&deps.list, now).await?;
    let (events, audiences) = (&batch.events, &known.audiences);
    let sent = broadcast::broadcast(deps, events, audiences, (now, oldest), deadline).await;
    // Who lost its connection, and the mark with it, comes back with a cursor from the time until
    // which it got other events.
    let ended = clock::now();
    if sent.given_up > 0 && span.was_late(ended) {
        note_late(deps, span, ended).await?;
    }
    broadcast::close(deps, &known.ended, deadline).await;
    // Nobody else would ever tell them.
    if sent.unmarked > 0 {
        return Err(Failure::Unmarked(sent));
    }
    Ok(sent)
}

async fn note_late(deps: &Deps, span: Span, now: Millis) -> Result<(), StoreError> {
    let until = span.noted_until(now);
    let keep_until = until.plus(deps.retention_ms);
    deps.list.note_late(span.from, until, keep_until).await
}
