//! Woken by the HTTP API's other routes. Answers the newest events, or one of them, to who has the
//! token.

mod event;
mod history;

use domain::{Feed, Filter, Scope};
use http::{Method, StatusCode};
use lambda_http::{Body, Error, Request, RequestExt, Response};
use platform::http::{HttpError, json};
use platform::tokens::{self, Holder, Tokens};
use platform::{Aws, ConfigError, Lookup, Permission, Resource, clock, config, init};
use serde::{Deserialize, Serialize};
use store::{EventReader, FeedReader, OversizedReader};

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    reader: FeedReader,
    events: EventReader,
    feed: Feed,
    tokens: Tokens,
    /// Where sockets connect.
    websocket_url: String,
}

impl Deps {
    /// Reads `EVENTS_TABLE`, `FEED_SHARDS`, `RETENTION_DAYS`, `OVERSIZED_BUCKET`, `FEED_ID`,
    /// `SECRET_ID` and `WEBSOCKET_URL`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let table = config::required(lookup, "EVENTS_TABLE")?;
        let retention_days = config::required_parsed(lookup, "RETENTION_DAYS")?;
        let bucket = config::required(lookup, "OVERSIZED_BUCKET")?;
        Ok(Deps {
            reader: FeedReader::new(
                aws.dynamodb(),
                table.clone(),
                config::required_parsed(lookup, "FEED_SHARDS")?,
                retention_days,
            ),
            events: EventReader::new(
                aws.dynamodb(),
                table,
                retention_days,
                OversizedReader::new(aws.s3(), bucket),
            ),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            tokens: Tokens::new(aws, lookup)?,
            websocket_url: config::required(lookup, "WEBSOCKET_URL")?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = tokio::join!(self.tokens.open(), self.reader.open());
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
        Permission::new(Resource::OversizedObjects, OversizedReader::ACTIONS),
        Permission::new(Resource::OversizedBucket, OversizedReader::BUCKET_ACTIONS),
        Permission::new(Resource::EventsFeedIndex, FeedReader::INDEX_ACTIONS),
        Permission::new(Resource::Secret, Tokens::ACTIONS),
    ]
}

/// Answers a request.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(deps: &Deps, request: Request) -> Result<Response<Body>, Error> {
    let request_id = request
        .lambda_context_ref()
        .map(|context| context.request_id.clone())
        .unwrap_or_default();
    let answer = match request.raw_http_path() {
        "/healthz" => Ok(json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())),
        "/v1/events" => list(deps, &request_id, &request).await,
        "/v1/tickets" if request.method() == Method::POST => {
            ticket(deps, &request_id, &request).await
        }
        path => match path.strip_prefix("/v1/events/") {
            Some(id) => one(deps, &request_id, &request, id).await,
            None => Err(not_found("there is nothing at this path")),
        },
    };
    Ok(answer.unwrap_or_else(HttpError::into_response))
}

fn not_found(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn one(
    deps: &Deps,
    request_id: &str,
    request: &Request,
    id: &str,
) -> Result<Response<Body>, HttpError> {
    let holder = reader(deps, request_id, request).await?;
    let text = event::text(deps, request_id, request, &holder.rights, id).await?;
    tracing::info!(
        request.id = request_id,
        http.status = 200,
        body_bytes = text.len(),
        "An event was answered."
    );
    Ok(json(StatusCode::OK, text))
}

async fn list(
    deps: &Deps,
    request_id: &str,
    request: &Request,
) -> Result<Response<Body>, HttpError> {
    let holder = reader(deps, request_id, request).await?;
    let query = history::Query::read(deps, holder.rights, request)?;
    let page = history::page(deps, &query)
        .await
        .map_err(|error| HttpError::unavailable(request_id, &error))?;
    tracing::info!(
        request.id = request_id,
        http.status = 200,
        body_bytes = page.len(),
        "A page of events was answered."
    );
    Ok(json(StatusCode::OK, page))
}

/// Who asks, if they may read.
async fn reader(deps: &Deps, request_id: &str, request: &Request) -> Result<Holder, HttpError> {
    let holder = deps
        .tokens
        .bearer(request.headers(), clock::now(), request_id)
        .await?;
    tokens::require(&holder, Scope::Read)?;
    Ok(holder)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    #[serde(default)]
    filter: String,
}

#[derive(Serialize)]
struct TicketAnswer<'a> {
    ticket: &'a str,
    url: String,
    expires_at: domain::Millis,
}

async fn ticket(
    deps: &Deps,
    request_id: &str,
    request: &Request,
) -> Result<Response<Body>, HttpError> {
    let holder = reader(deps, request_id, request).await?;
    let asked: TicketRequest = match request.body().as_ref() {
        [] => TicketRequest {
            filter: String::new(),
        },
        body => serde_json::from_slice(body)
            .map_err(|error| history::bad("bad_request", error.to_string()))?,
    };
    let filter: Filter = asked
        .filter
        .parse()
        .map_err(|error: domain::FilterError| history::bad("bad_filter", error.to_string()))?;
    let ticket = deps
        .tokens
        .issue_ticket(&holder, &filter, clock::now(), request_id)
        .await?;
    // The ticket has only letters, digits, `-`, `_` and `.` in it.
    let answer = TicketAnswer {
        ticket: &ticket.text,
        url: format!("{}?ticket={}", deps.websocket_url, *ticket.text),
        expires_at: ticket.expires_at,
    };
    let body =
        serde_json::to_string(&answer).map_err(|error| HttpError::internal(request_id, &error))?;
    tracing::info!(
        request.id = request_id,
        http.status = 201,
        "A ticket was issued."
    );
    Ok(json(StatusCode::CREATED, body))
}
