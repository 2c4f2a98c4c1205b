//! Every route, and what is answered where there is none.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Method, StatusCode};
use platform::http::HttpError;

use crate::docs;
use crate::response::{not_found, refusal};
use crate::routes::documented;
use crate::state::Shared;

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

async fn nothing() -> Response {
    refusal(not_found("no such path"))
}

/// The router adds the header `Allow`, which also answers `OPTIONS`.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    refusal(HttpError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("method `{method}` is not allowed; see the header `Allow`"),
    ))
}
