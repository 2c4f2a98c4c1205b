//! The form of what is answered.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use platform::http::HttpError;
use serde::Serialize;

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
