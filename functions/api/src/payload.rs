//! The request for the router, made of the payload that API Gateway has made of it.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use platform::clock;
use platform::http::HttpError;
use platform::payload::Payload;

use crate::call::Call;

/// What stays as it is in a path: the unreserved characters of RFC 3986, section 2.3, and slashes.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const SEGMENT: &AsciiSet = &PATH.add(b'/');

/// What is known of a request, whether or not there is anything at its path.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) headers: Arc<HeaderMap>,
}

impl Asked {
    pub(crate) fn of(payload: &Payload) -> Asked {
        Asked {
            method: payload.method().to_owned(),
            headers: Arc::new(payload.headers()),
        }
    }
}

/// The request for the router. What the routes read besides the path is in its [`Call`].
pub(crate) fn request(
    payload: Payload,
    request_id: &str,
    asked: &Asked,
) -> Result<Request<Body>, HttpError> {
    let unreadable =
        |message: &'static str| HttpError::new(StatusCode::BAD_REQUEST, "bad_request", message);
    let method =
        Method::from_bytes(asked.method.as_bytes()).map_err(|_| unreadable("malformed method"))?;
    // Without a slash it would be taken for a host.
    let path = Some(path(&payload.raw_path)).filter(|path| path.starts_with('/'));
    let uri = path.and_then(|path| Uri::try_from(path).ok());
    let uri = uri.ok_or_else(|| unreadable("malformed path"))?;
    let received_at = payload.received_at(clock::now());
    let body = payload.body.unwrap_or_default();
    let body = if payload.is_base64_encoded {
        STANDARD
            .decode(body)
            .map_err(|_| unreadable("the body is not valid base64"))?
    } else {
        body.into_bytes()
    };
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.extensions_mut().insert(Call {
        request_id: request_id.to_owned(),
        received_at,
        headers: asked.headers.clone(),
        query: payload.raw_query_string,
        body: Arc::new(body),
    });
    Ok(request)
}

/// The path as a URL has it. API Gateway decodes it once, so an escape that is left is text.
fn path(raw: &str) -> String {
    let raw = without_slash(raw);
    // An id may have a slash in it, which is no separator.
    let message = raw
        .strip_prefix("/v1/messages/")
        .and_then(|rest| rest.strip_suffix("/events"))
        .filter(|id| id.contains('/'));
    match message {
        Some(id) => format!("/v1/messages/{}/events", utf8_percent_encode(id, SEGMENT)),
        None => utf8_percent_encode(raw, PATH).to_string(),
    }
}

/// A path with a slash at its end is the one without: some clients add one, and API Gateway leaves it.
fn without_slash(raw: &str) -> &str {
    raw.strip_suffix('/')
        .filter(|path| !path.is_empty())
        .unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_decoded_is_a_url_again() {
        for (raw, wanted) in [
            ("/v1/events", "/v1/events"),
            ("/v1/messages/ä b/events", "/v1/messages/%C3%A4%20b/events"),
            ("/v1/messages/100%41/events", "/v1/messages/100%2541/events"),
            ("/v1/messages/a/b/events", "/v1/messages/a%2Fb/events"),
            ("/v1/messages/100%/events", "/v1/messages/100%25/events"),
            ("/a?b#c<d>\u{0}", "/a%3Fb%23c%3Cd%3E%00"),
            ("/%", "/%25"),
            ("/", "/"),
            ("/v1/events/", "/v1/events"),
            ("/v1/messages/a/b/events/", "/v1/messages/a%2Fb/events"),
            ("/v1/messages/a//events/", "/v1/messages/a%2F/events"),
            ("/v1/messages/events/", "/v1/messages/events"),
        ] {
            assert_eq!(path(raw), wanted);
            assert!(Uri::try_from(path(raw)).is_ok(), "{raw}");
        }
    }

    #[test]
    fn what_is_damaged_is_refused_or_left_out_without_a_panic() {
        let payload = |method: &str, path: &str, body: &str| -> Payload {
            serde_json::from_value(serde_json::json!({
                "rawPath": path,
                "rawQueryString": "a=<&b=\u{1}",
                "headers": { "host": "a\nb", "x-forwarded-proto": "<", "accept": "*/*", "b d": "" },
                "requestContext": { "http": { "method": method } },
                "body": body,
                "isBase64Encoded": true,
            }))
            .unwrap()
        };
        for (method, path, body, is_accepted) in [
            ("GET", "/", "", true),
            ("GET", "/", "*", false),
            ("G T", "/", "", false),
            ("GET", "", "", false),
            ("GET", "no-slash", "", false),
        ] {
            let payload = payload(method, path, body);
            let asked = Asked::of(&payload);
            assert_eq!(asked.headers.len(), 2, "{:?}", asked.headers);
            let request = request(payload, "r", &asked);
            assert_eq!(request.is_ok(), is_accepted, "{method} {path} {body}");
        }
    }
}
