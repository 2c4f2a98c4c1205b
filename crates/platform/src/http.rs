//! The one place that turns an error into an HTTP answer.

use std::borrow::Cow;
use std::error::Error;

use ::http::{Response, StatusCode, header};
use aws_lambda_events::apigw::ApiGatewayProxyResponse;
use aws_lambda_events::encodings::Body;
use domain::PrivateField;
use serde::Serialize;

use crate::telemetry::Chain;

/// A page ends here, before Lambda's limit of 6 MB for an answer with all its escapes. What is larger
/// by itself is in it without its text as received: read by its id it is whole, and a page costs the
/// same whatever is in it.
pub const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// An error as the caller gets it: `{"error":{"code":"…","message":"…"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// The status of the answer.
    pub status: StatusCode,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people, without personal data or secrets.
    pub message: Cow<'static, str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
}

impl HttpError {
    /// An error that the caller can do something about.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> HttpError {
        HttpError {
            status,
            code,
            message: message.into(),
        }
    }

    /// A failure of ours. What failed stands in the log, under the request's id; the caller only
    /// gets the id.
    pub fn internal(request_id: &str, error: &(dyn Error + 'static)) -> HttpError {
        tracing::error!(request.id = request_id, error = %Chain(error), "A request failed.");
        HttpError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("request {request_id} failed"),
        )
    }

    /// Something that we need does not answer; the same request may succeed later.
    pub fn unavailable(request_id: &str, error: &(dyn Error + 'static)) -> HttpError {
        tracing::error!(request.id = request_id, error = %Chain(error), "A request could not be served now.");
        let message = format!("request {request_id} could not be served now, please try again");
        HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> String {
        let envelope = Envelope {
            error: Inner {
                code: self.code,
                message: &self.message,
            },
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    /// The answer of an HTTP function. One that asks for a token says so. (RFC 6750, section 3.)
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, self.body());
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }

    /// The answer of a function behind a WebSocket route. The gateway shows a client of
    /// `$connect` the status and nothing else.
    #[must_use]
    pub fn into_websocket(self) -> ApiGatewayProxyResponse {
        let mut response = websocket(self.status);
        response.body = Some(Body::Text(self.body()));
        response
    }
}

impl From<PrivateField> for HttpError {
    fn from(error: PrivateField) -> HttpError {
        HttpError::new(StatusCode::FORBIDDEN, "forbidden", error.to_string())
    }
}

/// An answer with a JSON body.
#[must_use]
pub fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    response
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// An answer of a function behind a WebSocket route, without a body.
#[must_use]
pub fn websocket(status: StatusCode) -> ApiGatewayProxyResponse {
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = i64::from(status.as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_one_envelope() {
        let error = HttpError::new(
            StatusCode::FORBIDDEN,
            "bad_signature",
            "the signature does not \"match\"",
        );
        assert_eq!(
            error.body(),
            r#"{"error":{"code":"bad_signature","message":"the signature does not \"match\""}}"#
        );
        let response = error.into_response();
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "application/json");
    }

    #[test]
    fn a_failure_of_ours_is_not_shown_to_the_caller() {
        let secret = std::io::Error::other("the table is gone");
        let error = HttpError::internal("r-1", &secret);
        assert!(!error.body().contains("table") && error.body().contains("r-1"));
    }
}
