//! One HTTP request to an endpoint, and the part of its answer that is kept.
//!
//! The status line decides: once it has been read, nothing after it changes the outcome, since the
//! endpoint has decided by then. hyper is configured to be as lenient as it can be; an answer that it
//! refuses all the same is read from what the connection has noted.

mod guard;
mod head;
mod tap;
#[cfg(test)]
mod tests;
mod tls;

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use domain::Redacted;
use domain::delivery::{
    Answer, ErrorClass, KEPT_HEADERS, MAX_BODY_BYTES, MAX_HEADER_BYTES, TlsFault,
};
use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use platform::ConfigError;
use rustls::RootCertStore;
use tokio::time::{Instant, timeout_at};

use guard::{ConnectError, Guard, InTime};
use head::{Head, Reading};
use tap::{HEAD_BYTES, Heard, Said};

/// How long an endpoint may take, from the name's resolution to the end of its answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(15);
/// The most headers of an answer that hyper reads; its default is 100.
const MAX_HEADERS: usize = 1_000;
/// How long an idle connection is kept: shorter than servers do (Node.js: 5 s), since a request over a
/// connection that is being closed is lost.
const IDLE: Duration = Duration::from_secs(4);

/// An HTTP client that follows no redirect, knows no proxy, and goes where the guard lets it.
#[derive(Debug, Clone)]
pub(crate) struct Client(legacy::Client<InTime<HttpsConnector<Guard>>, Full<Bytes>>);

impl Client {
    /// A client that may go anywhere, and without TLS, if `allows_private`.
    pub(crate) fn new(allows_private: bool) -> Result<Client, ConfigError> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
        Client::trusting(roots.collect(), allows_private)
    }

    fn trusting(roots: RootCertStore, allows_private: bool) -> Result<Client, ConfigError> {
        let tls = tls::config(roots).map_err(|error| ConfigError::Invalid {
            name: "TLS".to_owned(),
            reason: error.to_string(),
        })?;
        // The guard decides whether plain HTTP is allowed.
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Guard { allows_private });
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(HEAD_BYTES)
            .http1_max_headers(MAX_HEADERS)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .build(InTime(connector));
        Ok(Client(client))
    }

    /// Posts a body, and reads the part of the answer that is kept. A body that does not end or comes
    /// too slowly is cut; its status counts.
    ///
    /// Nothing is decompressed: the request accepts `identity` only, and an answer that is compressed
    /// all the same is kept as it came.
    pub(crate) async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, ErrorClass> {
        let start = Instant::now();
        let deadline = start + TIME_LIMIT;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let connection = capture_connection(&mut request);
        let error = match timeout_at(deadline, self.0.request(request)).await {
            Ok(Ok(response)) => return Ok(whole(response, deadline).await),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if let Some(class) = error.as_ref().and_then(unconnected) {
            return Err(class);
        }
        let said = said(&connection, start);
        match (head::read(&said.bytes), error) {
            (Reading::Head(head), _) if said.is_answer => Ok(as_far_as_read(head)),
            (_, None) => Err(ErrorClass::Timeout),
            (Reading::NotHttp, Some(_)) => Err(ErrorClass::NotHttp),
            // With TLS 1.3 a server refuses us only when it should answer.
            (Reading::Unfinished | Reading::Head(_), Some(error)) => {
                let faults = error.source().and_then(tls::faults);
                Err(faults.map_or(ErrorClass::Reset, ErrorClass::Tls))
            }
        }
    }
}

async fn whole<B>(response: Response<B>, deadline: Instant) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (status, headers) = (response.status().as_u16(), kept(response.headers()));
    let (body, is_cut) = beginning(response.into_body(), deadline).await;
    Answer {
        status,
        headers: Redacted(headers),
        body: Redacted(body),
        is_cut,
    }
}

/// What the server has said, as the connection has read it; nothing if there is no connection.
fn said(connection: &CaptureConnection, start: Instant) -> Said {
    let mut extras = Extensions::new();
    if let Some(connected) = connection.connection_metadata().as_ref() {
        connected.get_extras(&mut extras);
    }
    let heard = extras.get::<Heard>();
    heard.map(|heard| heard.since(start)).unwrap_or_default()
}

fn as_far_as_read(head: Head<'_>) -> Answer {
    let body = &head.body[..head.body.len().min(MAX_BODY_BYTES)];
    Answer {
        status: head.status,
        headers: Redacted(kept(&head.headers)),
        body: Redacted(body.to_vec()),
        is_cut: true,
    }
}

/// Why there was no connection; none if there was one.
fn unconnected(error: &legacy::Error) -> Option<ErrorClass> {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref() {
            return Some(match error {
                ConnectError::Dns(_) => ErrorClass::Dns,
                ConnectError::Blocked(_) => ErrorClass::Blocked,
                ConnectError::Refused(_) => ErrorClass::Refused,
                ConnectError::TimedOut => ErrorClass::Timeout,
                ConnectError::Tls(error) => {
                    let faults = tls::faults(error.as_ref());
                    ErrorClass::Tls(faults.unwrap_or(TlsFault::Closed.into()))
                }
            });
        }
        source = inner.source();
    }
    None
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &str| {
        let mut text = headers.get(name)?.to_str().ok()?.to_owned();
        // Only visible ASCII: any place is between two characters.
        text.truncate(MAX_HEADER_BYTES);
        Some(text)
    };
    KEPT_HEADERS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), value(name)?)))
        .collect()
}

/// Reads no more than is kept, and answers whether there was more, which is dropped with its
/// connection.
async fn beginning<B>(mut body: B, deadline: Instant) -> (Vec<u8>, bool)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut bytes = Vec::new();
    loop {
        let data = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(None) => return (bytes, false),
            Ok(Some(Err(_))) | Err(_) => return (bytes, true),
        };
        let room = MAX_BODY_BYTES - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return (bytes, true);
        }
    }
}
