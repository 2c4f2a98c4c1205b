//! The document that describes the API, and a page to try it: Swagger UI, from this binary alone.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};

use crate::routes::{documented, not_found, refusal};

const BUNDLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

/// Nothing but what is here, and requests to here. Swagger UI sets styles by itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
/// A new deployment may bring others.
const CACHE: &str = "public, max-age=300";

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| documented().into_openapi().to_json().unwrap_or_default());

/// `GET /openapi.json`
pub(crate) async fn document() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, CACHE)];
    (headers, DOCUMENT.as_str()).into_response()
}

/// `GET /docs`
pub(crate) async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, CACHE),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PAGE).into_response()
}

/// `GET /docs/…`
pub(crate) async fn file(Path(name): Path<String>) -> Response {
    let (content_type, content, is_packed) = match name.as_str() {
        "swagger-ui-bundle.js" => ("text/javascript", BUNDLE, true),
        "swagger-ui.css" => ("text/css", STYLE, true),
        "start.js" => ("text/javascript", START.as_bytes(), false),
        _ => return refusal(not_found("there is nothing at this path")),
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, CACHE),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if is_packed {
        (headers, [(CONTENT_ENCODING, "gzip")], content).into_response()
    } else {
        (headers, content).into_response()
    }
}
