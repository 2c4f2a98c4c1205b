//! HTTP requests of the tools, and what their failures mean to the person at the terminal.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use super::target::is_local;
use super::{ToolError, out};

/// An HTTP API answers or gives up within 30 s; what takes longer is lost on the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// A request had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    reason: String,
    /// Whether nothing took the connection.
    pub is_unreachable: bool,
}

impl Unanswered {
    /// What became of a request to `url`, which is not shown: it may hold a secret.
    pub(super) fn new(error: reqwest::Error, url: &str) -> Unanswered {
        let is_unreachable = error.is_connect();
        let error = error.without_url();
        let reason = match (io_kind(&error), error.is_timeout()) {
            (Some(io::ErrorKind::ConnectionRefused), _) => "connection refused".to_owned(),
            (_, true) => format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
            _ => explain(&error),
        };
        let hint = match (is_unreachable, is_local(url)) {
            (true, true) => ": is the local stack running? Start it with `cargo run`, or see --url",
            (true, false) => ": see --url",
            (false, _) => "",
        };
        Unanswered {
            reason: format!("{reason}{hint}"),
            is_unreachable,
        }
    }
}

/// What the system said, if it was the system that failed.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some()
        {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

/// A client for requests to `url`, which follows no redirects.
pub(super) fn client(url: &str) -> Result<Client, ToolError> {
    let mut client = Client::builder()
        .tls_backend_preconfigured(tls()?)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT);
    if is_local(url) {
        client = client.no_proxy();
    }
    client
        .build()
        .map_err(|error| ToolError::Failed(explain(&error.without_url())))
}

/// One TLS set-up for requests and sockets: ring, and the machine's own root certificates.
pub(super) fn tls() -> Result<ClientConfig, ToolError> {
    let mut roots = RootCertStore::empty();
    // Without any root certificate plain HTTP still works, and HTTPS fails with a message that says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ToolError::Failed(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An error with its sources, since the outermost text alone says little.
pub(super) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        // Some errors already repeat their source.
        if !text.contains(&inner_text) {
            let _ = write!(text, ": {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// What a server says of a refusal: the functions in an envelope, API Gateway without.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Said,
}

impl Said {
    /// Empty if it says nothing that can be read.
    pub(super) fn read(body: &[u8]) -> Said {
        let said = match serde_json::from_slice(body) {
            Ok(Envelope { error }) => error,
            Err(_) => serde_json::from_slice(body).unwrap_or_default(),
        };
        Said {
            code: out::printable(&said.code).into_owned(),
            message: out::printable(&said.message).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_read_with_and_without_an_envelope() {
        let said = |body: &str| Said::read(body.as_bytes());
        let own = said(r#"{"error":{"code":"a","message":"b\u001b","more":1}}"#);
        assert_eq!((own.code.as_str(), own.message.as_str()), ("a", "b\\u{1b}"));
        assert_eq!(said(r#"{"message":"Forbidden"}"#).message, "Forbidden");
        for odd in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"error":"x"}"#,
            r#"{"message":1}"#,
        ] {
            assert_eq!(said(odd).message, "", "{odd}");
        }
    }
}
