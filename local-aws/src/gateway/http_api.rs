//! The HTTP API: requests become payloads of format 2.0, answers become responses.
//! ("Working with AWS Lambda proxy integrations for HTTP APIs".)

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::ACCOUNT_ID;
use crate::answer::{Answer, message};
use crate::clock::Millis;
use crate::functions::InvokeError;
use crate::ids::request_id;
use crate::template::{HttpRoute, RouteKey};

/// The largest request body. ("Quotas for HTTP APIs": payload size.)
pub const BODY_BYTES: usize = 10 * 1024 * 1024;
/// How long the gateway waits for a function. ("Quotas for HTTP APIs": maximum integration timeout.)
pub const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest request line and headers together. (Same page.)
const HEADER_BYTES: usize = 10_240;

/// Finds the route of a request, the most specific first; `$default` is not looked at.
#[must_use]
pub fn route<'r>(routes: &'r [HttpRoute], method: &str, path: &str) -> Option<&'r HttpRoute> {
    let matching = routes.iter().filter(|route| match &route.key {
        RouteKey::Path {
            method: wanted,
            path: pattern,
        } => wanted.as_deref().is_none_or(|wanted| wanted == method) && matches(pattern, path),
        RouteKey::Default => false,
    });
    matching.max_by_key(|route| match &route.key {
        RouteKey::Path { method, path } => (!path.contains('{'), method.is_some()),
        RouteKey::Default => (false, false),
    })
}

/// The catch-all route.
#[must_use]
pub fn default_route(routes: &[HttpRoute]) -> Option<&HttpRoute> {
    routes.iter().find(|route| route.key == RouteKey::Default)
}

/// Whether a path is one of a route's pattern, such as `/things/{id}`.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(value)) if part.ends_with("+}") => return !value.is_empty(),
            (Some(part), Some(value)) if part.starts_with('{') && !value.is_empty() => {}
            (Some(part), Some(value)) if part == value => {}
            _ => return false,
        }
    }
}

/// Whether the request line and the headers are longer than the gateway takes.
#[must_use]
pub fn headers_are_too_large(parts: &Parts) -> bool {
    let line = parts.method.as_str().len() + parts.uri.to_string().len();
    let headers: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    line + headers > HEADER_BYTES
}

/// The payload of a request.
#[must_use]
pub fn payload(
    route: &HttpRoute,
    api_id: &str,
    parts: &Parts,
    body: &Bytes,
    peer: SocketAddr,
) -> String {
    payload_of(&route.key, api_id, parts, body, peer).to_string()
}

/// The same, for whatever has payloads of format 2.0.
pub(crate) fn payload_of(
    route: &RouteKey,
    api_id: &str,
    parts: &Parts,
    body: &Bytes,
    peer: SocketAddr,
) -> Value {
    let now = crate::clock::now();
    let raw_query = parts.uri.query().unwrap_or_default();
    let domain = host(&parts.headers);
    let mut payload = json!({
        "version": "2.0",
        "routeKey": route.to_string(),
        "rawPath": decoded_path(parts.uri.path()),
        "rawQueryString": raw_query,
        "headers": headers(&parts.headers),
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": api_id,
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": parts.method.as_str(),
                "path": decoded_path(parts.uri.path()),
                "protocol": "HTTP/1.1",
                "sourceIp": peer.ip().to_string(),
                "userAgent": text(&parts.headers, &header::USER_AGENT),
            },
            "requestId": request_id(),
            "routeKey": route.to_string(),
            "stage": "$default",
            "time": request_time(now),
            "timeEpoch": now.0,
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        payload["cookies"] = Value::from(cookies);
    }
    let query = query(raw_query);
    if !query.is_empty() {
        payload["queryStringParameters"] = Value::Object(query);
    }
    if !body.is_empty() {
        match as_text(&parts.headers, body) {
            Some(text) => payload["body"] = Value::from(text),
            None => {
                payload["body"] = Value::from(STANDARD.encode(body));
                payload["isBase64Encoded"] = Value::from(true);
            }
        }
    }
    payload
}

/// A time as a log in Apache's format has it.
pub(crate) fn request_time(time: Millis) -> String {
    let time = time.timestamp();
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// The gateway passes text of these types as text and everything else, forms and bodies without a
/// type included, in base64.
fn as_text<'b>(headers: &HeaderMap, body: &'b [u8]) -> Option<&'b str> {
    let content_type = text(headers, &header::CONTENT_TYPE)?.to_ascii_lowercase();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_text = media_type.starts_with("text/")
        || matches!(
            media_type,
            "application/json" | "application/xml" | "application/javascript"
        );
    is_text.then(|| std::str::from_utf8(body).ok()).flatten()
}

fn host(headers: &HeaderMap) -> &str {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Names in lower case, several values of one name joined with commas, cookies apart.
fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != header::COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str())
            .and_modify(|before| {
                before.push(',');
                before.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(';'))
        .map(|cookie| cookie.trim().to_owned())
        .collect()
}

/// Decoded, several values of one name joined with commas.
fn query(raw: &str) -> Map<String, Value> {
    let mut joined: Map<String, Value> = Map::new();
    for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
        let value = match joined.get(&*name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value.into_owned(),
        };
        joined.insert(name.into_owned(), Value::from(value));
    }
    joined
}

fn decoded_path(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8_lossy()
        .into_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionAnswer {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The response of a function's answer, or of its failure.
#[must_use]
pub fn response(result: Result<String, InvokeError>) -> Answer {
    match result {
        Ok(text) => decode(&text).unwrap_or_else(|| {
            tracing::error!("A function's answer is not an HTTP response.");
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }),
        Err(InvokeError::TooLarge) => {
            message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        Err(error @ InvokeError::Throttled) => {
            tracing::error!(%error, "A request got no answer.");
            message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
        Err(error) => {
            tracing::error!(%error, "A request got no answer.");
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

fn decode(text: &str) -> Option<Answer> {
    let answer: FunctionAnswer = serde_json::from_str(text).ok()?;
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded {
        STANDARD.decode(body).ok()?
    } else {
        body.into_bytes()
    };
    let mut response = Response::new(Bytes::from(body).into());
    *response.status_mut() = StatusCode::from_u16(answer.status_code).ok()?;
    for (name, value) in &answer.headers {
        response.headers_mut().append(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        );
    }
    for cookie in &answer.cookies {
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_str(cookie).ok()?);
    }
    Some(response)
}
