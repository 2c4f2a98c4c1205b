//! One signed POST, as Mandrill makes it.

use std::fmt::Write as _;

use mandrill::Form;

use super::ToolError;
pub use super::client::Unanswered;
use super::client::{Said, client};
use super::target::{Secret, Webhook, without_query};

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

impl Answer {
    /// Why a batch was not accepted, and what to check.
    fn refusal(&self, webhook: &Webhook) -> String {
        let Said { message, .. } = Said::read(self.body.as_bytes());
        let hint = match self.status {
            403 => {
                let url = without_query(&webhook.sign_url);
                format!(
                    " (check --key, the URL that is signed, which is {url}, and the secret in --url)"
                )
            }
            404 | 421 => format!(
                " (check --url, which is {})",
                without_query(&webhook.post_url)
            ),
            413 => " (see --batch)".to_owned(),
            _ => String::new(),
        };
        let status = self.status.to_string();
        [status, message]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
            + &hint
    }

    /// Whether no later attempt can be luckier, as long as nothing is changed on either side.
    pub(super) fn is_final(&self) -> bool {
        (300..500).contains(&self.status) && !matches!(self.status, 408 | 425 | 429)
    }
}

impl Poster {
    pub fn new(webhook: Webhook) -> Result<Self, ToolError> {
        let client = client(&webhook.post_url)?;
        Ok(Self { client, webhook })
    }

    /// Why a batch was not accepted, and what to check.
    pub(super) fn refusal(&self, answer: &Answer) -> String {
        answer.refusal(&self.webhook)
    }

    /// `events` is the exact text of a JSON array.
    pub fn sign(&self, events: &str) -> SignedBatch {
        let body = form_body(events);
        let signature = signature(&self.webhook.key, &self.webhook.sign_url, &body);
        SignedBatch { body, signature }
    }

    pub async fn post(&self, batch: &SignedBatch) -> Result<Answer, Unanswered> {
        let answer = self.exchange(batch).await;
        answer.map_err(|error| Unanswered::new(error, &self.webhook.post_url))
    }

    async fn exchange(&self, batch: &SignedBatch) -> Result<Answer, reqwest::Error> {
        let request = self
            .client
            .post(&self.webhook.post_url)
            .body(batch.body.clone());
        let request = request
            .header("accept", "*/*")
            .header("user-agent", "Mandrill-Webhook/1.0")
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
