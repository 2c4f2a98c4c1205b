//! Mandrill's side: signed batches.

use posthorn::tools::post::{Answer, Poster, SignedBatch, Unanswered};
use posthorn::tools::target::{Secret, Webhook};

/// Signs and posts as Mandrill does.
#[derive(Debug, Clone)]
pub struct Mandrill {
    key: String,
    sign_url: String,
    poster: Poster,
}

impl Mandrill {
    /// Posts to `post_url` what is signed with `key` for `sign_url`.
    ///
    /// # Panics
    /// When there can be no HTTP client.
    #[must_use]
    pub fn new(post_url: &str, sign_url: &str, key: &str) -> Mandrill {
        let webhook = Webhook {
            post_url: post_url.to_owned(),
            sign_url: sign_url.to_owned(),
            key: Secret::new(key),
        };
        Mandrill {
            key: key.to_owned(),
            sign_url: sign_url.to_owned(),
            poster: Poster::new(webhook).expect("an HTTP client"),
        }
    }

    /// A batch with its signature. `events` is the exact text of a JSON array, or of what is none.
    #[must_use]
    pub fn sign(&self, events: impl AsRef<[u8]>) -> SignedBatch {
        let body = form(events.as_ref());
        let parsed = mandrill::Form::parse(body.as_bytes());
        let signature = mandrill::sign(self.key.as_bytes(), &self.sign_url, &parsed);
        SignedBatch { body, signature }
    }

    /// Posts a batch.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_post(&self, events: impl AsRef<[u8]>) -> Result<Answer, Unanswered> {
        self.poster.post(&self.sign(events)).await
    }

    /// Posts a batch.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(&self, events: impl AsRef<[u8]>) -> Answer {
        self.try_post(events).await.expect("an answer")
    }

    /// Posts a batch that has to be stored.
    ///
    /// # Panics
    /// When the answer is not 200.
    pub async fn deliver(&self, events: impl AsRef<[u8]>) {
        let answer = self.post(events).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// The form of a batch, whatever its bytes are.
#[must_use]
pub fn form(events: &[u8]) -> String {
    let mut body = String::with_capacity(events.len() * 3 / 2 + 16);
    body.push_str("mandrill_events=");
    for byte in events {
        if byte.is_ascii_alphanumeric() {
            body.push(char::from(*byte));
        } else {
            body.push_str(&format!("%{byte:02X}"));
        }
    }
    body
}
