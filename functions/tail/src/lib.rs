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
use domain::{Cursor, Feed, Millis};
use futures::StreamExt;
use futures::stream::{self as pieces, BoxStream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use lambda_runtime::{Error, LambdaEvent, StreamResponse};
use platform::cors::Origins;
use platform::http::{HttpError, empty};
use platform::payload::Payload;
use platform::tokens::Tokens;
use platform::{Aws, ConfigError, Lookup, Permission, Resource, clock, config, init};
use store::{FeedReader, Follow, LateNotes, StoreError};
use tokio::time::Instant;

use crate::ask::Ask;

/// What is answered, whole or piece by piece.
pub type Body = BoxStream<'static, Result<Bytes, Infallible>>;
/// An answer as Lambda streams it.
pub type Answer = StreamResponse<Body>;

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

    /// Follows the feed from a cursor on, or from the present without one.
    async fn follow(&self, after: Option<Cursor>, now: Millis) -> Result<Follow, StoreError> {
        match after {
            Some(cursor) => self.reader.follow_from(cursor, &self.late, now).await,
            None => self.reader.follow_present(now).await,
        }
    }

    /// Whether nothing is lost of what a reader missed.
    fn keeps_all_after(&self, after: Option<Cursor>, now: Millis) -> bool {
        after.is_none_or(|cursor| self.reader.keeps_all_after(cursor, now))
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

/// What was asked, and by when there has to be an answer.
#[derive(Debug)]
struct Call {
    request_id: String,
    headers: HeaderMap,
    /// As it came, without the question mark.
    query: String,
    /// By the gateway's clock.
    received_at: Millis,
    /// By the clock that nobody sets.
    ends_at: Instant,
}

/// Answers a request.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(deps: &Arc<Deps>, event: LambdaEvent<Payload>) -> Result<Answer, Error> {
    let (payload, context) = (event.payload, event.context);
    let call = Call {
        request_id: context.request_id,
        headers: payload.headers(),
        received_at: payload.received_at(clock::now()),
        ends_at: instant(Millis(context.deadline).minus(HAND_OVER_MS)),
        query: payload.raw_query_string.clone(),
    };
    let cors = deps.origins.headers(&call.headers);
    let mut response = match payload.method() {
        "OPTIONS" => with_allow(whole(empty(StatusCode::NO_CONTENT))),
        "GET" => answer(deps, &payload.raw_path, &call)
            .await
            .unwrap_or_else(refusal),
        _ => with_allow(refusal(HttpError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "only GET is answered here",
        ))),
    };
    response.headers_mut().extend(cors);
    let (parts, body) = response.into_parts();
    let mut answer = Answer::from(body);
    answer.metadata_prelude.status_code = parts.status;
    answer.metadata_prelude.headers = parts.headers;
    Ok(answer)
}

async fn answer(deps: &Arc<Deps>, path: &str, call: &Call) -> Result<Response<Body>, HttpError> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/v1/events" => {
            let ask = Ask::read(deps, call, ask::POLL).await?;
            poll::answer(deps, call, ask).await
        }
        "/v1/stream" => {
            let known = [ask::STREAM, ask::LAST_EVENT_ID].concat();
            let ask = Ask::read(deps, call, &known).await?;
            stream::answer(deps, call, ask.come_back(deps, call).await?).await
        }
        _ => Err(HttpError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
        )),
    }
}

fn refusal(error: HttpError) -> Response<Body> {
    whole(error.into_response())
}

/// Says which methods there are. (RFC 9110, section 15.5.6.)
fn with_allow(mut response: Response<Body>) -> Response<Body> {
    let methods = HeaderValue::from_static("GET, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// A response whose body is at hand.
fn whole<B: AsRef<[u8]>>(response: Response<B>) -> Response<Body> {
    response.map(|body| {
        let body = Bytes::copy_from_slice(body.as_ref());
        pieces::once(async { Ok(body) }).boxed()
    })
}

/// How long a read of the feed may take: half of what is left then is for the answer.
fn time_left(ends_at: Instant) -> Duration {
    ends_at.saturating_duration_since(Instant::now()) + Duration::from_millis(HAND_OVER_MS / 2)
}

/// When a time of the wall clock will have come.
fn instant(time: Millis) -> Instant {
    Instant::now() + Duration::from_millis(time.0.saturating_sub(clock::now().0))
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
    fn pause(&mut self, end: Instant) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(QUIET);
        pause.min(end.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_feed_is_read_ever_more_rarely_and_a_busy_one_often_again() {
        let end = Instant::now() + Duration::from_secs(3_600);
        let mut pace = Pace::new();
        let mut pauses: Vec<_> = (0..5).map(|_| pace.pause(end)).collect();
        pace.is_busy();
        pauses.push(pace.pause(end));
        assert_eq!(
            pauses,
            [250, 500, 1_000, 2_000, 2_000, 250].map(Duration::from_millis)
        );
        assert_eq!(pace.pause(Instant::now()), Duration::ZERO);
    }
}
