//! Answers of all services over HTTP.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer of any of the services.
pub type Answer = Response<Full<Bytes>>;

/// A JSON answer.
#[must_use]
pub fn answer_json(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Bytes::from(body.to_string()).into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    answer
}

/// An answer of a gateway's own: `{"message": …}`.
#[must_use]
pub fn message(status: StatusCode, message: &str) -> Answer {
    answer_json(status, &json!({ "message": message }))
}
