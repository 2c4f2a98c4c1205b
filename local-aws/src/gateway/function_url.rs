//! A function's own URL: requests become payloads of format 2.0, and what the function streams
//! becomes a response piece by piece. ("Lambda function URLs", "Response streaming for Lambda
//! functions".)
//!
//! On AWS it is a host of its own. Here there is one port: `Options::is_for_function_url` tells.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http_api::payload_of;
use crate::answer::{Answer, answer_json, message};
use crate::functions::{DELIMITER, InvokeError, Piece, Pieces};
use crate::template::{Function, FunctionUrl, RouteKey};

/// The body of a response, which may still be made, and may be cut.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The largest request. ("Lambda quotas": invocation payload.)
pub const BODY_BYTES: usize = crate::functions::PAYLOAD_BYTES;
/// More than any prelude.
const PRELUDE_BYTES: usize = 64 * 1024;

/// The function with a URL, if the template has one.
#[must_use]
pub fn function(functions: &[Function]) -> Option<(&Function, &FunctionUrl)> {
    let mut functions = functions.iter();
    functions.find_map(|function| Some((function, function.url.as_ref()?)))
}

/// The payload of a request: the HTTP API's, but for who asks and what was asked for.
#[must_use]
pub fn payload(url: &FunctionUrl, parts: &Parts, body: &Bytes, peer: SocketAddr) -> String {
    let mut payload = payload_of(&RouteKey::Default, &url.id, parts, body, peer);
    let context = &mut payload["requestContext"];
    context["accountId"] = json!("anonymous");
    context["authentication"] = Value::Null;
    payload.to_string()
}

/// The response that a function makes, as soon as its status and headers are known.
pub async fn response(pieces: Result<Pieces, InvokeError>) -> Response<Body> {
    match begin(pieces).await {
        Ok(response) => response,
        Err(error) => {
            refusal(&error).map(|body| body.map_err(|never| match never {}).boxed_unsync())
        }
    }
}

/// What Lambda answers by itself.
fn refusal(error: &InvokeError) -> Answer {
    match error {
        InvokeError::Throttled => {
            tracing::warn!(%error, "A request to a function's URL got no answer.");
            let mut answer = answer_json(
                StatusCode::TOO_MANY_REQUESTS,
                &json!({
                    "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                    "Type": "User",
                    "message": "Rate Exceeded.",
                }),
            );
            let kind = HeaderValue::from_static("TooManyRequestsException");
            answer.headers_mut().insert("x-amzn-errortype", kind);
            answer
        }
        InvokeError::TooLarge => message(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        InvokeError::Failed { .. } => {
            tracing::error!(%error, "A request to a function's URL got no answer.");
            let mut answer = Answer::new(Bytes::from_static(b"Internal Server Error").into());
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    }
}

/// Status and headers, as a function says them first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prelude {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
}

async fn begin(pieces: Result<Pieces, InvokeError>) -> Result<Response<Body>, InvokeError> {
    let mut pieces = pieces?;
    let mut read = BytesMut::new();
    let mut has_prelude = false;
    loop {
        match pieces.next().await {
            Some(Ok(Piece::Begin { has_prelude: has })) => has_prelude = has,
            Some(Ok(Piece::Data(data))) => read.extend_from_slice(&data),
            Some(Ok(Piece::End)) => return Err(malformed()),
            Some(Err(error)) => return Err(error),
            None => return Err(panicked()),
        }
        if !has_prelude && !read.is_empty() {
            let prelude = Prelude {
                status_code: 200,
                headers: [(
                    "content-type".to_owned(),
                    "application/octet-stream".to_owned(),
                )]
                .into(),
                cookies: Vec::new(),
            };
            return with_body(&prelude, read.freeze(), pieces).ok_or_else(malformed);
        }
        if let Some(end) = read.windows(DELIMITER.len()).position(|at| at == DELIMITER) {
            let prelude = serde_json::from_slice(&read[..end]).map_err(|_| malformed())?;
            let rest = read.freeze().slice(end + DELIMITER.len()..);
            return with_body(&prelude, rest, pieces).ok_or_else(malformed);
        }
        if read.len() > PRELUDE_BYTES {
            return Err(malformed());
        }
    }
}

fn malformed() -> InvokeError {
    InvokeError::Failed {
        kind: "Runtime.InvalidStreamingResponse".to_owned(),
        message: "the answer does not begin with its status and headers".to_owned(),
    }
}

fn panicked() -> InvokeError {
    InvokeError::Failed {
        kind: "Unhandled".to_owned(),
        message: "Lambda panicked".to_owned(),
    }
}

fn with_body(prelude: &Prelude, first: Bytes, pieces: Pieces) -> Option<Response<Body>> {
    let rest = stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        match pieces.next().await {
            Some(Ok(Piece::Data(data))) => Some((Ok(Frame::data(data)), Some(pieces))),
            Some(Ok(Piece::Begin { .. })) => Some((Ok(Frame::data(Bytes::new())), Some(pieces))),
            Some(Ok(Piece::End)) => None,
            Some(Err(error)) => Some((Err(cut(&error)), None)),
            None => Some((Err(cut(&panicked())), None)),
        }
    });
    let first = stream::iter((!first.is_empty()).then_some(Ok(Frame::data(first))));
    let body = StreamBody::new(futures::StreamExt::chain(first, rest));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(prelude.status_code).ok()?;
    let cookies = prelude.cookies.iter();
    let cookies = cookies.map(|cookie| (header::SET_COOKIE.as_str(), cookie));
    let headers = prelude.headers.iter();
    for (name, value) in headers
        .map(|(name, value)| (name.as_str(), value))
        .chain(cookies)
    {
        response.headers_mut().append(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        );
    }
    // The runtime gives every streamed answer a type, also one without content.
    if matches!(prelude.status_code, 204 | 304) {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    Some(response)
}

/// Lambda closes the connection of an answer that it cannot finish.
fn cut(error: &InvokeError) -> io::Error {
    tracing::error!(%error, "An answer was cut.");
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_shape_of_the_sample() {
        let sample = include_str!("../../../events/tail/poll-no-token.json");
        let sample: Value = serde_json::from_str(sample).unwrap();
        let host = sample["headers"]["host"].as_str().unwrap();
        let id = host.split('.').next().unwrap().to_owned();
        let (parts, ()) = http::Request::get("/v1/events?wait=0")
            .header("host", host)
            .body(())
            .unwrap()
            .into_parts();
        let peer = SocketAddr::from(([203, 0, 113, 77], 443));
        let payload = payload(&FunctionUrl { id }, &parts, &Bytes::new(), peer);
        let payload: Value = serde_json::from_str(&payload).unwrap();
        let context = |value: &Value| value["requestContext"].as_object().unwrap().clone();
        let (ours, theirs) = (context(&payload), context(&sample));
        assert!(ours.keys().eq(theirs.keys()), "{ours:?}");
        for same in [
            "accountId",
            "apiId",
            "authentication",
            "domainName",
            "domainPrefix",
            "routeKey",
            "stage",
        ] {
            assert_eq!(ours[same], theirs[same], "{same}");
        }
        for same in [
            "version",
            "routeKey",
            "rawPath",
            "rawQueryString",
            "queryStringParameters",
        ] {
            assert_eq!(payload[same], sample[same], "{same}");
        }
    }
}
