//! Woken by its Function URL. Lets a reader wait for events over plain HTTP, where sockets do not
//! get through: a long poll, or a stream of Server-Sent Events. It writes nothing.
//!
//! It reads the feed again and again until there is something, for as long as the reader waits:
//! who waits is paid for by the second, so that the function has a concurrency of its own.

mod ask;
mod poll;
mod sse;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Cursor, CursorKind, Event, Feed, Millis, Position, Rights};
use http::{Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use lambda_http::{Error, Request, RequestExt, Response};
use platform::cors::Origins;
use platform::http::{HttpError, empty};
use platform::tokens::Tokens;
use platform::{Aws, ConfigError, Lookup, Permission, Resource, clock, config, init};
use store::{FeedReader, Follow, LateNotes, StoreError};

use crate::ask::Ask;

/// What is answered, whole or piece by piece.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long before Lambda ends the function a reader is sent away, so that it can be told where to
/// go on.
const HAND_OVER_MS: u64 = 2_000;
/// How soon the feed is read again after something new; each time that there is nothing, it takes
/// twice as long, up to the second. `docs/COST.md` says what a reader's hour costs.
const BUSY: Duration = Duration::from_millis(250);
const QUIET: Duration = Duration::from_secs(2);

/// What pages of other origins may ask with.
const METHODS: &str = "GET";
const HEADERS: &str = "Authorization, Last-Event-ID";

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    reader: FeedReader,
    late: LateNotes,
    feed: Feed,
    tokens: Tokens,
    origins: Origins,
    heartbeat: Duration,
}

impl Deps {
    /// Reads `EVENTS_TABLE`, `FEED_SHARDS`, `RETENTION_DAYS`, `FEED_ID`, `CONNECTIONS_TABLE`,
    /// `SECRET_ID`, `CORS_ORIGINS` and `HEARTBEAT_SECONDS`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        Ok(Deps {
            reader: FeedReader::new(
                aws.dynamodb(),
                config::required(lookup, "EVENTS_TABLE")?,
                config::required_parsed(lookup, "FEED_SHARDS")?,
                config::required_parsed(lookup, "RETENTION_DAYS")?,
            ),
            late: LateNotes::new(
                aws.dynamodb(),
                config::required(lookup, "CONNECTIONS_TABLE")?,
            ),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            tokens: Tokens::new(aws, lookup)?,
            origins: Origins::read(lookup, METHODS, HEADERS)?,
            heartbeat: Duration::from_secs(config::required_parsed(lookup, "HEARTBEAT_SECONDS")?),
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            tokio::join!(self.tokens.open(), self.reader.open());
        })
        .await;
    }

    /// Follows the feed from a cursor on.
    async fn follow(&self, cursor: Cursor) -> Result<Follow, StoreError> {
        let late_since = match cursor.kind {
            // Such a cursor may be of an event that was pushed while others were late.
            CursorKind::Seen | CursorKind::Replayed { .. } => {
                self.late.since(cursor.position.received_at).await?
            }
            CursorKind::Polled { .. } => None,
        };
        Ok(self.reader.follow(cursor, late_since))
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EventsTable, FeedReader::TABLE_ACTIONS),
        Permission::new(Resource::EventsFeedIndex, FeedReader::INDEX_ACTIONS),
        Permission::new(Resource::ConnectionsTable, LateNotes::ACTIONS),
        Permission::new(Resource::Secret, Tokens::ACTIONS),
    ]
}

/// Answers a request.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(deps: &Arc<Deps>, request: Request) -> Result<Response<Body>, Error> {
    let context = request.lambda_context_ref();
    let request_id = context.map(|context| context.request_id.clone());
    let request_id = request_id.unwrap_or_default();
    let ends_at = context.map_or(u64::MAX, |context| context.deadline);
    let ends_at = Millis(ends_at).minus(HAND_OVER_MS);
    let cors = deps.origins.headers(request.headers());
    let mut response = match *request.method() {
        Method::OPTIONS => Ok(whole(empty(StatusCode::NO_CONTENT))),
        Method::GET => answer(deps, &request_id, &request, ends_at).await,
        _ => Err(HttpError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "only GET is answered here",
        )),
    }
    .unwrap_or_else(|error| whole(error.into_response()));
    response.headers_mut().extend(cors);
    Ok(response)
}

async fn answer(
    deps: &Arc<Deps>,
    request_id: &str,
    request: &Request,
    ends_at: Millis,
) -> Result<Response<Body>, HttpError> {
    match request.raw_http_path() {
        "/v1/events" => {
            let ask = Ask::read(deps, request_id, request, ask::POLL).await?;
            poll::answer(deps, request_id, ask, ends_at).await
        }
        "/v1/stream" => {
            let ask = Ask::read(deps, request_id, request, ask::STREAM).await?;
            stream::answer(deps, request_id, ask, ends_at).await
        }
        _ => Err(HttpError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
        )),
    }
}

/// A response whose body is at hand.
fn whole(response: Response<lambda_http::Body>) -> Response<Body> {
    response.map(|body| Full::new(Bytes::from(body.to_vec())).boxed_unsync())
}

/// From the present moment on. An event may be stored by a clock that is a little behind.
fn present(now: Millis) -> Cursor {
    Cursor {
        position: Position::start_of(now.minus(1_000)),
        kind: CursorKind::Polled {
            window_ms: 0,
            digest: domain::cursor::Digest::default(),
        },
    }
}

/// The event as JSON, as the holder of these rights may see it; `data` only where it is wanted.
fn shown(rights: &Rights, event: &Event<'_>, feed: &Feed, with_data: bool, limit: usize) -> String {
    if rights.mask {
        return event.masked().to_json_within(feed, with_data, limit);
    }
    event.to_json_within(feed, with_data, limit)
}

/// How long a read of the feed may take: half of what is left then is for the answer.
fn time_left(ends_at: Millis, now: Millis) -> Duration {
    Duration::from_millis(ends_at.0.saturating_sub(now.0) + HAND_OVER_MS / 2)
}

/// How long to wait before the feed is read again.
#[derive(Debug)]
struct Pace(Duration);

impl Pace {
    fn new() -> Pace {
        Pace(BUSY)
    }

    /// Something was there.
    fn is_busy(&mut self) {
        self.0 = BUSY;
    }

    /// Nothing was there: how long to wait, but no longer than until `end`.
    fn pause(&mut self, end: Millis) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(QUIET);
        pause.min(Duration::from_millis(end.0.saturating_sub(clock::now().0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_feed_is_read_ever_more_rarely_and_a_busy_one_often_again() {
        let mut pace = Pace::new();
        let mut pauses: Vec<_> = (0..5).map(|_| pace.pause(Millis::MAX)).collect();
        pace.is_busy();
        pauses.push(pace.pause(Millis::MAX));
        assert_eq!(
            pauses,
            [250, 500, 1_000, 2_000, 2_000, 250].map(Duration::from_millis)
        );
        assert_eq!(pace.pause(Millis(0)), Duration::ZERO);
    }
}
