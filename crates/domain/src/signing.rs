//! Signatures of what is sent to endpoints, and of what is posted to their ingest addresses.
//!
//! Standard Webhooks 1.0: `webhook-signature` is, for each secret, `v1,` and base64 of HMAC-SHA256
//! over id, timestamp and body with dots between them. Beside it `X-Hub-Signature-256`, as GitHub
//! sends it: hex of HMAC-SHA256 over the body, keyed with the newest secret's whole text.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::id::{BASE32, EventId};
use crate::redacted::Redacted;
use crate::time::Millis;

const PREFIX: &str = "whsec_";
const INGEST_PREFIX: &str = "whin_";
const HUB_PREFIX: &str = "sha256=";
/// How long a secret may be, in bytes. (Standard Webhooks, "Signature scheme".)
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that signs deliveries. Its text is `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// The text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is whsec_ and base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

impl SigningSecret {
    /// The secret made of random bytes.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> SigningSecret {
        SigningSecret(random.to_vec())
    }

    /// Reads a secret's text.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<SigningSecret, InvalidSecret> {
        let base64 = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(base64).map_err(|_| InvalidSecret)?;
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Ok(SigningSecret(bytes))
    }

    /// Its text, to be shown once and to be kept.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn sign(&self, id: EventId, seconds: u64, body: &[u8]) -> String {
        let mut mac = hmac(&self.0);
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The ingest secret made of random bytes. Its whole text is the key.
#[must_use]
pub fn ingest_secret(random: [u8; 32]) -> Redacted<String> {
    Redacted(format!("{INGEST_PREFIX}{}", BASE32.encode(&random)))
}

/// The headers that prove who sent a body, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `webhook-id`: the event's id, the same with every attempt.
    pub id: String,
    /// `webhook-timestamp`: when the attempt is made, in seconds since 1970.
    pub timestamp: String,
    /// `webhook-signature`: one for each secret, the newest first, with spaces between them.
    pub signature: String,
    /// `x-hub-signature-256`.
    pub hub_signature: String,
}

impl Signed {
    /// Names and values.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("webhook-id", &self.id),
            ("webhook-timestamp", &self.timestamp),
            ("webhook-signature", &self.signature),
            ("x-hub-signature-256", &self.hub_signature),
        ]
    }
}

/// Signs the body of an attempt that is made at `now`, with secrets of which the newest is the
/// first. Without any, the signatures are empty, which no receiver takes.
#[must_use]
pub fn sign<'s>(
    secrets: impl Iterator<Item = &'s SigningSecret>,
    id: EventId,
    now: Millis,
    body: &[u8],
) -> Signed {
    let seconds = now.as_secs();
    let mut signed = Signed {
        id: id.to_string(),
        timestamp: seconds.to_string(),
        signature: String::new(),
        hub_signature: String::new(),
    };
    for secret in secrets {
        if signed.signature.is_empty() {
            signed.hub_signature = hub_signature(secret.reveal().as_bytes(), body);
        } else {
            signed.signature.push(' ');
        }
        signed.signature.push_str(&secret.sign(id, seconds, body));
    }
    signed
}

/// The value of `X-Hub-Signature-256` for a body.
#[must_use]
pub fn hub_signature(key: &[u8], body: &[u8]) -> String {
    format!("{HUB_PREFIX}{}", HEXLOWER.encode(&digest(key, body)))
}

/// Whether `header` is the `X-Hub-Signature-256` of a body, in constant time. An empty key proves
/// nothing.
#[must_use]
pub fn is_hub_signature(key: &[u8], body: &[u8], header: &str) -> bool {
    let hex = header.trim().strip_prefix(HUB_PREFIX).unwrap_or_default();
    let expected = HEXLOWER.encode(&digest(key, body));
    let given = hex.to_ascii_lowercase();
    !key.is_empty() && bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
}

fn digest(key: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = hmac(key);
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes a key of any length, so it cannot fail"
)]
fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}
