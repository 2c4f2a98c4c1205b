//! Woken by the HTTP API's other routes. Answers the newest events, or one of them, to who has the
//! token.

mod event;
mod history;

use domain::{Feed, Redacted};
use http::{StatusCode, header};
use lambda_http::{Body, Error, Request, RequestExt, Response};
use platform::http::{HttpError, json};
use platform::secret::Secret;
use platform::{Aws, ConfigError, Lookup, Permission, Resource, config, init};
use serde::Deserialize;
use store::{EventReader, FeedReader, OversizedReader};

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    reader: FeedReader,
    events: EventReader,
    feed: Feed,
    secret: Secret<Settings>,
}

/// What the function needs of the secret.
#[derive(Debug, Deserialize)]
struct Settings {
    token: Redacted<String>,
}

impl Deps {
    /// Reads `EVENTS_TABLE`, `FEED_SHARDS`, `RETENTION_DAYS`, `OVERSIZED_BUCKET`, `FEED_ID` and
    /// `SECRET_ID`.
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
            secret: Secret::new(aws.secrets_manager(), lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = tokio::join!(self.secret.get(), self.reader.open());
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
        Permission::new(Resource::Secret, Secret::<Settings>::ACTIONS),
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
    authorize(deps, request_id, request).await?;
    let text = event::text(deps, request_id, request, id).await?;
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
    authorize(deps, request_id, request).await?;
    let query = history::Query::read(deps, request)?;
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

async fn authorize(deps: &Deps, request_id: &str, request: &Request) -> Result<(), HttpError> {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| unauthorized("a bearer token is missing"))?;
    deps.secret
        .find(|settings| mandrill::secrets_match(&settings.token, token).then_some(()))
        .await
        .map_err(|error| HttpError::unavailable(request_id, &error))?
        .ok_or_else(|| unauthorized("the token is not valid"))
}

fn unauthorized(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}
