//! One HTTP request to an endpoint, and what is kept of its answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use platform::ConfigError;
use platform::telemetry::Chain;
use tokio::time::{Instant, timeout_at};

use crate::guard::{ConnectError, Guard, InTime};

/// How long an endpoint may take, from the name's resolution to the end of its answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(15);
/// What is kept of an answer's body. Nothing is decompressed: what is asked for is plain, and what
/// comes compressed nevertheless is kept as it came.
pub(crate) const BODY_BYTES: usize = 16 * 1024;
/// What the head of an answer may have.
const HEAD_BYTES: usize = 64 * 1024;
/// How long a connection is kept for the next request: shorter than servers do (Node.js: 5 s), since
/// what is sent over one that is being closed is lost.
const IDLE: Duration = Duration::from_secs(4);
/// Headers of an answer that help who looks for a fault, or say when to come back.
const KEPT: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::DATE,
    header::LOCATION,
    header::RETRY_AFTER,
    header::SERVER,
];
/// What is kept of each, and of what is said of a failure.
const HEADER_BYTES: usize = 256;

/// An HTTP client that follows no redirect, knows no proxy, and goes where the guard lets it.
#[derive(Debug, Clone)]
pub(crate) struct Client(legacy::Client<InTime<HttpsConnector<Guard>>, Full<Bytes>>);

/// What an endpoint answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Those of interest.
    pub(crate) headers: Vec<(String, String)>,
    /// The beginning of its body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first value of a header that is kept.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(kept, _)| kept == name.as_str());
        found.map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub(crate) class: Class,
    /// What happened, for who looks for a fault.
    pub(crate) detail: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Dns,
    Blocked,
    Refused,
    Tls,
    TimedOut,
    /// The connection ended, or what came was no HTTP.
    Broken,
}

impl Client {
    /// A client that may go anywhere, and without TLS, if `allows_private`.
    pub(crate) fn new(allows_private: bool) -> Result<Client, ConfigError> {
        let provider = rustls::crypto::ring::default_provider();
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(provider)
            .map_err(|error| ConfigError::Invalid {
                name: "TLS".to_owned(),
                reason: error.to_string(),
            })?;
        // Whether plain HTTP will do is for the guard to say.
        let connector = tls
            .https_or_http()
            .enable_http1()
            .wrap_connector(Guard { allows_private });
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(HEAD_BYTES)
            .build(InTime(connector));
        Ok(Client(client))
    }

    /// Posts a body, and reads what is kept of the answer. A body without end, or one that comes
    /// too slowly, is cut: its status stands.
    pub(crate) async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, NoAnswer> {
        let deadline = Instant::now() + TIME_LIMIT;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let sent = timeout_at(deadline, self.0.request(request)).await;
        let sent = sent.map_err(|_| timed_out())?;
        let response = sent.map_err(|error| no_answer(&error))?;
        Ok(Answer {
            status: response.status(),
            headers: kept(response.headers()),
            body: beginning(response, deadline).await,
        })
    }
}

fn timed_out() -> NoAnswer {
    NoAnswer {
        class: Class::TimedOut,
        detail: format!("no answer within {} s", TIME_LIMIT.as_secs()),
    }
}

fn no_answer(error: &legacy::Error) -> NoAnswer {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    let mut last = source;
    while let Some(inner) = source {
        if let Some(connect) = inner.downcast_ref::<ConnectError>() {
            return NoAnswer {
                class: class(connect),
                detail: short(&Chain(connect)),
            };
        }
        last = source;
        source = inner.source();
    }
    NoAnswer {
        class: Class::Broken,
        detail: last.map_or_else(|| error.to_string(), |error| short(&Chain(error))),
    }
}

fn class(error: &ConnectError) -> Class {
    match error {
        ConnectError::Dns(_) => Class::Dns,
        ConnectError::Blocked(_) => Class::Blocked,
        ConnectError::Refused(_) => Class::Refused,
        ConnectError::Tls(_) => Class::Tls,
        ConnectError::TimedOut => Class::TimedOut,
    }
}

fn short(text: &impl ToString) -> String {
    text.to_string().chars().take(HEADER_BYTES).collect()
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &HeaderName| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.chars().take(HEADER_BYTES).collect())
    };
    KEPT.iter()
        .filter_map(|name| Some((name.as_str().to_owned(), value(name)?)))
        .collect()
}

/// Reads no more than is kept. The rest is dropped with its connection.
async fn beginning<B>(response: Response<B>, deadline: Instant) -> Vec<u8>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while bytes.len() < BODY_BYTES {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else {
            break;
        };
        if let Ok(data) = frame.into_data() {
            let room = BODY_BYTES - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
