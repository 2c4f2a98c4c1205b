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

    fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
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
        let signature = secret.sign(&signed.id, seconds, body);
        signed.signature.push_str(&signature);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    fn secret(n: u8) -> SigningSecret {
        SigningSecret::generate([n; 32])
    }

    /// What a receiver sees.
    fn headers(signed: &Signed) -> http::HeaderMap {
        let named = signed.headers().into_iter();
        named
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    /// The verifier goes by the machine's clock, five minutes to either side.
    fn now() -> Millis {
        let ms = jiff::Timestamp::now().as_millisecond();
        Millis(u64::try_from(ms).unwrap())
    }

    fn id() -> EventId {
        EventId::of_content(&[b"m"], 1, &[b"f"], 0)
    }

    #[test]
    fn a_signature_is_that_of_the_standards_example() {
        // Standard Webhooks, `test_sign` of its reference libraries.
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_hub_signature_is_that_of_githubs_example() {
        // GitHub, "Validating webhook deliveries", "Testing the webhook payload validation".
        let (key, body) = (b"It's a Secret to Everybody", b"Hello, World!");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(hub_signature(key, body), expected);
        assert!(is_hub_signature(key, body, expected));
        assert!(is_hub_signature(
            key,
            body,
            &expected.to_uppercase().replace("SHA", "sha")
        ));
        for wrong in [
            "",
            "sha256=",
            &expected[..70],
            &expected[7..],
            &format!("{expected}0"),
        ] {
            assert!(!is_hub_signature(key, body, wrong), "{wrong}");
        }
        assert!(!is_hub_signature(b"", body, &hub_signature(b"", body)));
    }

    #[test]
    fn a_secret_is_read_as_it_is_shown_and_has_a_length() {
        let text = secret(7).reveal();
        assert_eq!(SigningSecret::parse(&text), Ok(secret(7)));
        let of_bytes = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        for bytes in [24, 64] {
            assert!(SigningSecret::parse(&of_bytes(bytes)).is_ok(), "{bytes}");
        }
        for text in [
            &of_bytes(23),
            &of_bytes(65),
            "",
            "whsec_",
            &text[6..],
            "whsec_!",
        ] {
            assert_eq!(SigningSecret::parse(text), Err(InvalidSecret), "{text}");
        }
        assert_eq!(format!("{:?}", secret(7)), "[redacted]");
        assert!(ingest_secret([7; 32]).starts_with("whin_"));
    }

    #[test]
    fn every_secret_signs_and_the_newest_is_the_hubs() {
        let (new, old) = (secret(2), secret(1));
        let signed = sign([&new, &old].into_iter(), id(), now(), b"{}");
        for secret in [&new, &old] {
            let receiver = Webhook::new(&secret.reveal()).unwrap();
            let verified = receiver.verify(b"{}", &headers(&signed));
            verified.unwrap();
        }
        let receiver = Webhook::new(&secret(3).reveal()).unwrap();
        let verified = receiver.verify(b"{}", &headers(&signed));
        assert!(verified.is_err());
        let key = new.reveal();
        assert!(is_hub_signature(
            key.as_bytes(),
            b"{}",
            &signed.hub_signature
        ));
    }

    #[test]
    fn without_a_secret_nothing_is_proven() {
        let signed = sign([].into_iter(), id(), Millis(1_795_300_005_999), b"{}");
        assert_eq!(signed.timestamp, "1795300005");
        assert_eq!(
            (signed.signature, signed.hub_signature),
            (String::new(), String::new())
        );
    }

    proptest! {
        #[test]
        fn the_published_verifier_takes_what_is_signed_and_nothing_else(
            bytes in any::<[u8; 32]>(),
            late in 0..200_000u64,
            body in proptest::collection::vec(any::<u8>(), 1..200),
            (at, bit) in (any::<prop::sample::Index>(), 0..8u32),
        ) {
            let secret = SigningSecret::generate(bytes);
            let signed = sign([&secret].into_iter(), id(), now().minus(late), &body);
            let receiver = Webhook::new(&secret.reveal()).unwrap();
            let is_taken = |body: &[u8]| receiver.verify(body, &headers(&signed)).is_ok();
            // The verifier reads bodies as text.
            prop_assert_eq!(is_taken(&body), std::str::from_utf8(&body).is_ok());
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            prop_assert!(!is_taken(&changed));
            let key = secret.reveal();
            prop_assert!(is_hub_signature(key.as_bytes(), &body, &signed.hub_signature));
            prop_assert!(!is_hub_signature(key.as_bytes(), &changed, &signed.hub_signature));
        }

        #[test]
        fn reading_any_text_as_a_secret_or_signature_never_panics(text in "(whsec_|sha256=)?.*") {
            let _ = SigningSecret::parse(&text);
            prop_assert!(!is_hub_signature(b"key", b"body", &text));
        }
    }
}
