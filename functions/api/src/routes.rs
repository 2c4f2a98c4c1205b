//! What is where, and the form of what is answered.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, Method, StatusCode, header};
use platform::http::HttpError;
use serde::Serialize;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::deliveries::{of_event, retry};
use crate::endpoints::{actions, attempts, recover, replay};
use crate::schema::{Document, Health};
use crate::{
    State, deliveries, docs, endpoints, event, history, ingest, messages, publish, tickets, types,
};

/// What every route has at hand.
pub(crate) type Shared = Arc<State>;

/// A refused request.
#[derive(Debug)]
pub(crate) struct Refusal(HttpError);

impl From<HttpError> for Refusal {
    fn from(error: HttpError) -> Refusal {
        Refusal(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refusal(self.0)
    }
}

/// All routes that are in the document.
pub(crate) fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(history::list, publish::publish))
        .routes(routes!(event::one))
        .routes(routes!(messages::list))
        .routes(routes!(types::list))
        .routes(routes!(tickets::create))
        .routes(routes!(endpoints::list, endpoints::create))
        .routes(routes!(
            endpoints::one,
            endpoints::change,
            endpoints::delete
        ))
        .routes(routes!(actions::rotate))
        .routes(routes!(actions::test))
        .routes(routes!(actions::enable))
        .routes(routes!(actions::disable))
        .routes(routes!(recover::recover))
        .routes(routes!(replay::replay))
        .routes(routes!(attempts::list))
        .routes(routes!(deliveries::list))
        .routes(routes!(of_event::list))
        .routes(routes!(retry::retry))
        .routes(routes!(ingest::post))
        .routes(routes!(health))
}

/// All routes.
pub(crate) fn router(state: Shared) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .route("/openapi.json", get(docs::document))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .with_state(state)
}

/// Says that the function runs, not that the tables answer.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "health",
    tag = "health",
    responses((status = 200, description = "It runs", body = Health)),
)]
async fn health() -> Response {
    object(&Health { status: "ok" })
}

async fn nothing() -> Response {
    refusal(not_found("there is nothing at this path"))
}

/// Who asks what a path is for is told by the header `Allow`, which the router adds.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    refusal(HttpError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} has no meaning here"),
    ))
}

pub(crate) fn not_found(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// The answer to a refused request.
pub(crate) fn refusal(error: HttpError) -> Response {
    let body = error.body();
    error.into_response().map(|_| Body::from(body))
}

/// An answer of JSON text.
pub(crate) fn json(text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An answer of an object. Texts and numbers, of which nothing can fail to be written.
pub(crate) fn object(object: &impl Serialize) -> Response {
    json(serde_json::to_string(object).unwrap_or_default())
}
