//! One HTTP request to an endpoint, and what is kept of its answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use domain::Redacted;
use domain::delivery::{Answer, ErrorClass, KEPT_HEADERS, MAX_BODY_BYTES, MAX_HEADER_BYTES};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use platform::ConfigError;
use tokio::time::{Instant, timeout_at};

use crate::guard::{ConnectError, Guard, InTime};

/// How long an endpoint may take, from the name's resolution to the end of its answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(15);
/// What the head of an answer may have.
const HEAD_BYTES: usize = 64 * 1024;
/// How long a connection is kept for the next request: shorter than servers do (Node.js: 5 s), since
/// what is sent over one that is being closed is lost.
const IDLE: Duration = Duration::from_secs(4);
/// An HTTP client that follows no redirect, knows no proxy, and goes where the guard lets it.
#[derive(Debug, Clone)]
pub(crate) struct Client(legacy::Client<InTime<HttpsConnector<Guard>>, Full<Bytes>>);

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
    ///
    /// Nothing is decompressed: plain text is asked for, and what comes compressed nevertheless is
    /// kept as it came.
    pub(crate) async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, ErrorClass> {
        let deadline = Instant::now() + TIME_LIMIT;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let sent = timeout_at(deadline, self.0.request(request)).await;
        let sent = sent.map_err(|_| ErrorClass::Timeout)?;
        let response = sent.map_err(|error| class(&error))?;
        let (status, headers) = (response.status().as_u16(), kept(response.headers()));
        let (body, is_cut) = beginning(response.into_body(), deadline).await;
        Ok(Answer {
            status,
            headers: Redacted(headers),
            body: Redacted(body),
            is_cut,
        })
    }
}

/// What kind of failure it is.
fn class(error: &legacy::Error) -> ErrorClass {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        match inner.downcast_ref::<ConnectError>() {
            Some(ConnectError::Dns(_)) => return ErrorClass::Dns,
            Some(ConnectError::Blocked(_)) => return ErrorClass::Blocked,
            Some(ConnectError::Refused(_)) => return ErrorClass::Refused,
            Some(ConnectError::Tls(_)) => return ErrorClass::Tls,
            Some(ConnectError::TimedOut) => return ErrorClass::Timeout,
            None => source = inner.source(),
        }
    }
    // The connection ended, or what came was no HTTP.
    ErrorClass::Reset
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

#[cfg(test)]
mod tests;
