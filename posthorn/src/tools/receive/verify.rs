//! Whether a request is signed with one of the secrets.
//!
//! By the published package, since this stands for a system that is not ours.

use std::fmt;

use domain::signing::{self, SigningSecret};
use http::HeaderMap;
use standardwebhooks::{Webhook, WebhookError};

use crate::tools::ToolError;
use crate::tools::target::Secret;

const SIGNATURE: &str = "webhook-signature";
const HUB_SIGNATURE: &str = "x-hub-signature-256";

/// The secrets of the endpoints that stand here.
pub(super) struct Secrets(Vec<(Webhook, Secret)>);

/// What a request's signatures are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// By the headers of these names.
    Verified(Vec<&'static str>),
    /// Why not.
    Wrong(String),
    /// No secret is known.
    Unasked,
}

impl Secrets {
    pub(super) fn new(secrets: &[Secret]) -> Result<Secrets, ToolError> {
        let webhook = |secret: &Secret| {
            let text = secret.reveal();
            // The package takes any base64, with or without the prefix.
            SigningSecret::parse(text)
                .map_err(|error| ToolError::Usage(wrong(text, &error.to_string())))?;
            let webhook = Webhook::new(text);
            let webhook = webhook.map_err(|error| ToolError::Failed(error.to_string()))?;
            Ok((webhook, secret.clone()))
        };
        secrets
            .iter()
            .map(webhook)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `X-Hub-Signature-256` alone is good enough where there is no other; it has one secret's
    /// signature only, which need not be known here while secrets are being changed.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Verdict {
        if self.is_empty() {
            return Verdict::Unasked;
        }
        let hub = self.is_hub_signature(headers, body);
        if !headers.contains_key(SIGNATURE) {
            return match hub {
                None => Verdict::Wrong("not signed".to_owned()),
                Some(false) => Verdict::Wrong(format!("{HUB_SIGNATURE} of another secret or body")),
                Some(true) => Verdict::Verified(vec![HUB_SIGNATURE]),
            };
        }
        let mut wrong = None;
        for (webhook, _) in &self.0 {
            match webhook.verify(body, headers) {
                Ok(()) => {
                    let hub = (hub == Some(true)).then_some(HUB_SIGNATURE);
                    return Verdict::Verified([SIGNATURE].into_iter().chain(hub).collect());
                }
                Err(error) => wrong = Some(error),
            }
        }
        Verdict::Wrong(wrong.map(|error| explain(&error)).unwrap_or_default())
    }

    /// None without the header.
    fn is_hub_signature(&self, headers: &HeaderMap, body: &[u8]) -> Option<bool> {
        let given = headers.get(HUB_SIGNATURE)?.to_str().unwrap_or_default();
        let mut keys = self.0.iter().map(|(_, secret)| secret.reveal().as_bytes());
        Some(keys.any(|key| signing::is_hub_signature(key, body, given)))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Why a text is no secret, without the text.
fn wrong(text: &str, why: &str) -> String {
    let hint = match text.starts_with("whin_") {
        true => "; this one is the `ingest_secret`, pass `secret`",
        false => "",
    };
    format!("--secret: {why}{hint}")
}

fn explain(error: &WebhookError) -> String {
    match error {
        WebhookError::InvalidSignature => format!("{SIGNATURE} of another secret or body"),
        WebhookError::TimestampTooOldError => "stale: signed over five minutes ago".to_owned(),
        WebhookError::FutureTimestampError => "signed in the future".to_owned(),
        WebhookError::MissingHeader(name) | WebhookError::InvalidHeader(name) => {
            format!("webhook-{name} is missing or odd")
        }
        WebhookError::InvalidTimestamp
        | WebhookError::InvalidSecret(_)
        | WebhookError::InvalidPayload => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "whsec_";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const BODY: &[u8] = br#"{"type":"order.created"}"#;

    fn secrets(texts: &[&str]) -> Secrets {
        let secrets: Vec<Secret> = texts.iter().map(|text| Secret::new(*text)).collect();
        Secrets::new(&secrets).unwrap()
    }

    fn now() -> i64 {
        jiff::Timestamp::now().as_second()
    }

    fn headers(secret: &str, timestamp: i64) -> HeaderMap {
        let signature = Webhook::new(secret).unwrap().sign("evt_1", timestamp, BODY);
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "evt_1".parse().unwrap());
        headers.insert("webhook-timestamp", timestamp.into());
        headers.insert(SIGNATURE, signature.unwrap().parse().unwrap());
        let hub = signing::hub_signature(secret.as_bytes(), BODY);
        headers.insert(HUB_SIGNATURE, hub.parse().unwrap());
        headers
    }

    #[test]
    fn one_of_the_secrets_is_enough() {
        let both = Verdict::Verified(vec![SIGNATURE, HUB_SIGNATURE]);
        let headers = headers(SECRET, now());
        assert_eq!(secrets(&[OTHER, SECRET]).verify(&headers, BODY), both);
        let verdict = secrets(&[OTHER]).verify(&headers, BODY);
        assert!(matches!(verdict, Verdict::Wrong(why) if why.contains("another secret")));
        let verdict = secrets(&[SECRET]).verify(&headers, b"{}");
        assert!(matches!(verdict, Verdict::Wrong(_)));
        assert_eq!(secrets(&[]).verify(&headers, BODY), Verdict::Unasked);
    }

    #[test]
    fn a_stale_signature_is_wrong_and_so_is_none() {
        let stale = headers(SECRET, now() - 301);
        let verdict = secrets(&[SECRET]).verify(&stale, BODY);
        assert!(matches!(verdict, Verdict::Wrong(why) if why.starts_with("stale")));
        let none = secrets(&[SECRET]).verify(&HeaderMap::new(), BODY);
        assert_eq!(none, Verdict::Wrong("not signed".to_owned()));
    }

    #[test]
    fn the_signature_of_a_hub_is_enough_where_there_is_no_other() {
        let mut hub = headers(SECRET, now());
        hub.remove(SIGNATURE);
        let verdict = secrets(&[SECRET]).verify(&hub, BODY);
        assert_eq!(verdict, Verdict::Verified(vec![HUB_SIGNATURE]));
        let verdict = secrets(&[OTHER]).verify(&hub, BODY);
        assert!(matches!(verdict, Verdict::Wrong(_)));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        for text in [
            "whsec_?",
            "nope",
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whin_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        ] {
            let error = Secrets::new(&[Secret::new(text)]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let error = error.to_string();
            let has_any = text.len() > PREFIX.len();
            assert!(!has_any || !error.contains(text), "{error}");
            assert_eq!(error.contains("ingest_secret"), text.starts_with("whin_"));
        }
    }
}
