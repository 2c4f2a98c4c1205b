//! Woken by Mandrill's POST. Decides whether it is Mandrill, and writes every event of the batch
//! before it answers 200.
//!
//! One odd event never fails its batch: Mandrill would repeat the whole batch, hold back those
//! behind it, and in the end disable the webhook.

mod admission;
mod former;
pub mod intake;
mod request;
mod settings;
mod types;

use http::{HeaderValue, Method, StatusCode, header};
use lambda_http::lambda_runtime::LambdaEvent;
use lambda_http::{Adapter, Body, Error, Request, RequestExt, Response, Service, service_fn};
use mandrill::RawEvent;
use platform::http::{HttpError, empty};
use platform::payload::Payload;
use platform::secret::Secret;
use platform::{
    Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init, metrics,
};
use serde::Serialize;
use store::{EventWriter, OversizedWriter, StoreError};

pub use settings::{Settings, UrlSecret};

use crate::admission::{Admitted, Candidate};
use crate::request::Received;

/// What is found beside the webhook, without a slash at its end.
const PAGES: [&str; 3] = ["/docs", "/healthz", "/openapi.json"];

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    events: EventWriter,
    secret: Secret<Settings>,
    /// Without the slash at its end, which makes no difference.
    path: String,
    metrics: Metrics,
}

impl Deps {
    /// Reads `EVENTS_TABLE`, `FEED_SHARDS`, `METRICS_STACK`, `OVERSIZED_BUCKET`, `RETENTION_DAYS`,
    /// `SECRET_ID` and `WEBHOOK_PATH`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        Ok(Deps {
            events: EventWriter::new(
                aws.dynamodb(),
                config::required(lookup, "EVENTS_TABLE")?,
                config::required_parsed(lookup, "FEED_SHARDS")?,
                config::required_parsed(lookup, "RETENTION_DAYS")?,
                OversizedWriter::new(aws.s3(), config::required(lookup, "OVERSIZED_BUCKET")?),
            ),
            secret: Secret::new(aws.secrets_manager(), lookup)?,
            path: without_slash(&config::required(lookup, "WEBHOOK_PATH")?).to_owned(),
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = tokio::join!(self.secret.get(), self.events.open());
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EventsTable, EventWriter::ACTIONS),
        Permission::new(Resource::OversizedObjects, OversizedWriter::ACTIONS),
        Permission::new(Resource::Secret, Secret::<Settings>::ACTIONS),
    ]
}

/// Answers Mandrill.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<Payload>,
) -> Result<impl Serialize + use<>, Error> {
    let (payload, context) = event.into_parts();
    let (request, received) = request::divide(payload);
    let received = &received;
    let service = service_fn(|request: Request| async move {
        Ok::<_, Error>(answer(deps, received, &request).await)
    });
    let event = LambdaEvent::new(request, context);
    Adapter::from(service).call(event).await
}

async fn answer(deps: &Deps, received: &Received, request: &Request) -> Response<Body> {
    let request_id = request
        .lambda_context_ref()
        .map(|context| context.request_id.clone())
        .unwrap_or_default();
    if let Some(page) = page_without_slash(&received.path) {
        return moved(page);
    }
    match receive(deps, &request_id, received, request).await {
        Ok(()) => empty(StatusCode::OK),
        Err(error) => {
            deps.metrics.record_by(
                clock::now(),
                &[],
                metrics::REQUESTS_REFUSED,
                &[(error.code, 1)],
            );
            if error.status.is_client_error() {
                tracing::warn!(
                    request.id = request_id,
                    http.status = error.status.as_u16(),
                    code = error.code,
                    "A webhook request was refused."
                );
            }
            match error.status {
                StatusCode::METHOD_NOT_ALLOWED => with_allow(error.into_response()),
                _ => error.into_response(),
            }
        }
    }
}

/// The page that is meant by its path with a slash at the end. API Gateway routes such a path to here,
/// as no route may end with a slash; those below `/v1/` it routes to `api`.
fn page_without_slash(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/')?;
    PAGES.into_iter().find(|page| *page == path)
}

/// The page is there for good, for every method.
fn moved(page: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    let location = HeaderValue::from_static(page);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Says which methods there are. (RFC 9110, section 15.5.6.)
fn with_allow(mut response: Response<Body>) -> Response<Body> {
    let methods = HeaderValue::from_static("HEAD, POST");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

async fn receive(
    deps: &Deps,
    request_id: &str,
    received: &Received,
    request: &Request,
) -> Result<(), HttpError> {
    let path = received.path.as_str();
    if without_slash(path) != deps.path {
        return Err(HttpError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "no such path",
        ));
    }
    match *request.method() {
        // Mandrill asks for this before its key exists.
        Method::HEAD => return Ok(()),
        Method::POST => {}
        _ => {
            return Err(HttpError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "only `HEAD` and `POST` are allowed",
            ));
        }
    }
    let candidate = Candidate::read(request.headers(), received)?;
    let admitted = deps
        .secret
        .find(|settings| match candidate.admit(settings) {
            // Something that the secret, read anew, may admit.
            Err(error) if error.may_be_rotation() => None,
            decided => Some(decided),
        })
        .await
        .map_err(|error| HttpError::unavailable(request_id, &error))?;
    let Admitted { webhook } = match admitted {
        Some(decided) => decided?,
        // The secret was as fresh as it may be: what it says now is the answer.
        None => {
            let settings = deps.secret.get().await;
            candidate
                .admit(&*settings.map_err(|error| HttpError::unavailable(request_id, &error))?)?
        }
    };
    store(deps, request_id, webhook.as_deref(), &candidate.events()?).await
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

async fn store(
    deps: &Deps,
    request_id: &str,
    webhook: Option<&str>,
    batch: &[RawEvent<'_>],
) -> Result<(), HttpError> {
    let events = intake::events(batch, webhook);
    let former = former::ids(batch, &events, clock::now());
    let unknown = events
        .iter()
        .filter(|event| event.content.kind == mandrill::UNKNOWN)
        .count();
    let appended = deps
        .events
        .append_unless_former(&events, &former, clock::now)
        .await
        .map_err(|error| refuse(request_id, &error))?;
    tracing::info!(
        request.id = request_id,
        webhook,
        batch.size = events.len(),
        batch.stored = appended.stored,
        batch.duplicates = appended.duplicates,
        batch.unknown = unknown,
        batch.oversized = appended.oversized,
        batch.refused = appended.refused,
        "A batch was stored."
    );
    deps.metrics.record_by(
        clock::now(),
        &[
            (metrics::BATCHES, 1),
            (metrics::EVENTS_STORED, appended.stored as u64),
            (metrics::EVENTS_DUPLICATE, appended.duplicates as u64),
            (metrics::EVENTS_UNKNOWN, unknown as u64),
            (metrics::EVENTS_OVERSIZED, appended.oversized as u64),
            (metrics::EVENTS_REFUSED, appended.refused as u64),
        ],
        metrics::EVENTS_RECEIVED,
        &types::count(events.iter().map(|event| &*event.content.kind)),
    );
    Ok(())
}

/// Whatever it is, Mandrill has to send the batch again.
fn refuse(request_id: &str, error: &StoreError) -> HttpError {
    match error {
        StoreError::Throttled { .. } | StoreError::Unavailable { .. } => {
            HttpError::unavailable(request_id, error)
        }
        StoreError::Refused { .. } | StoreError::Corrupt(_) => {
            HttpError::internal(request_id, error)
        }
    }
}
