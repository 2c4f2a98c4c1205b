//! One signed POST, as Mandrill makes it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use mandrill::Form;
use rustls::{ClientConfig, RootCertStore};

use super::ToolError;
use super::target::{Secret, Webhook, is_local};

/// An HTTP API answers or gives up within 30 s; what takes longer is lost on the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// Signs batches and posts them to one webhook.
#[derive(Debug, Clone)]
pub struct Poster {
    client: reqwest::Client,
    webhook: Webhook,
}

/// A request body with its signature; posting it twice sends the same bytes.
#[derive(Debug, Clone)]
pub struct SignedBatch {
    pub body: String,
    pub signature: String,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// The request had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    reason: String,
}

impl Poster {
    pub fn new(webhook: Webhook) -> Result<Self, ToolError> {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .user_agent("Mandrill-Webhook/1.0")
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIMEOUT);
        if is_local(&webhook.post_url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| ToolError::Failed(explain(&error.without_url())))?;
        Ok(Self { client, webhook })
    }

    /// `events` is the exact text of a JSON array.
    pub fn sign(&self, events: &str) -> SignedBatch {
        let body = form_body(events);
        let signature = signature(&self.webhook.key, &self.webhook.sign_url, &body);
        SignedBatch { body, signature }
    }

    pub async fn post(&self, batch: &SignedBatch) -> Result<Answer, Unanswered> {
        self.exchange(batch).await.map_err(|error| Unanswered {
            reason: explain(&error.without_url()),
        })
    }

    async fn exchange(&self, batch: &SignedBatch) -> Result<Answer, reqwest::Error> {
        let request = self
            .client
            .post(&self.webhook.post_url)
            .body(batch.body.clone());
        let request = request
            .header("accept", "*/*")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-mandrill-signature", &batch.signature);
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        Ok(Answer { status, body })
    }
}

/// The signature of a form body that is sent as it is.
pub(super) fn signature(key: &Secret, url: &str, body: &str) -> String {
    mandrill::sign(key.reveal().as_bytes(), url, &Form::parse(body.as_bytes()))
}

/// The form of a batch, encoded as PHP's `http_build_query` does.
pub fn form_body(events: &str) -> String {
    let mut body = String::with_capacity(events.len() * 3 / 2 + 16);
    body.push_str("mandrill_events=");
    for byte in events.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                body.push(char::from(byte))
            }
            b' ' => body.push('+'),
            other => {
                let _ = write!(body, "%{other:02X}");
            }
        }
    }
    body
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
pub(super) fn explain(error: &dyn std::error::Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn poster() -> Poster {
        let webhook = Webhook {
            post_url: "http://localhost:1/mandrill?s=hidden".to_owned(),
            sign_url: "https://hooks.example.com/mandrill".to_owned(),
            key: Secret::new("kT3_sample-webhook-key"),
        };
        Poster::new(webhook).unwrap()
    }

    #[test]
    fn what_is_posted_verifies_under_the_signed_url_only() {
        let events = r#"[{"event":"send","msg":{"subject":"50 % & a+b = \/ gr\u00fc\u00dfe 注"}}]"#;
        let batch = poster().sign(events);
        let form = Form::parse(batch.body.as_bytes());
        let verify = |url: &str| verifies(&form, url, &batch.signature);
        assert!(verify("https://hooks.example.com/mandrill"));
        assert!(!verify("http://localhost:1/mandrill?s=hidden"));
    }

    fn verifies(form: &Form<'_>, url: &str, given: &str) -> bool {
        mandrill::sign(b"kT3_sample-webhook-key", url, form) == given
    }

    #[tokio::test]
    async fn an_unreachable_server_is_explained_without_its_url() {
        let poster = poster();
        let error = poster
            .post(&poster.sign("[]"))
            .await
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hidden"), "{error}");
        assert!(error.contains("refused"), "{error}");
    }
}
