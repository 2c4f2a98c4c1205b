//! What a receiver was sent.

use std::sync::Arc;

use bytes::Bytes;
use domain::Millis;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::clock;
use serde_json::Value;
use standardwebhooks::{Webhook, WebhookError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

/// A request that was read to its end.
#[derive(Debug, Clone)]
pub struct Received {
    /// When it was whole, on the clock of the functions.
    pub at: Millis,
    /// The number of its connection, counted from one.
    pub connection: usize,
    /// `POST`
    pub method: String,
    /// Its path with its query, as it was sent.
    pub target: String,
    /// Its headers; shared, since tests look at all that was received again and again.
    pub headers: Arc<HeaderMap>,
    /// The exact bytes of its body.
    pub body: Bytes,
}

impl Received {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header; empty when it is not there.
    ///
    /// # Panics
    /// When it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// The id of its event.
    #[must_use]
    pub fn webhook_id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Verifies the signature as a receiver does, with the published package. It goes by the machine's
    /// clock; where the clock was moved, ask [`is_signed_by`](Received::is_signed_by).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, secret: &str) -> Result<(), WebhookError> {
        Webhook::new(secret)?.verify(&self.body, &self.headers)
    }

    /// Whether one of the signatures is the published package's with this secret, whatever the time.
    ///
    /// # Panics
    /// When the secret is none, or the timestamp no number.
    #[must_use]
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let timestamp = self.header("webhook-timestamp").parse();
        let timestamp = timestamp.expect("a timestamp");
        let webhook = Webhook::new(secret).expect("a secret");
        let own = webhook.sign(self.webhook_id(), timestamp, &self.body);
        let own = own.expect("a signature");
        let mut given = self.header("webhook-signature").split(' ');
        given.any(|given| given == own)
    }
}

/// The next request of a connection; none at its end, or when it is none.
pub(super) async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<Received> {
    let first = line(stream).await?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = HeaderMap::new();
    loop {
        let line = line(stream).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    let length = headers.get("content-length");
    let length = length.map_or(Some(0), |length| length.to_str().ok()?.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        at: clock::now(),
        connection,
        method,
        target,
        headers: headers.into(),
        body: body.into(),
    })
}

/// A line without its end; none at the end of the connection.
async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}
