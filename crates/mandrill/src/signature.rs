//! `X-Mandrill-Signature`: base64 of HMAC-SHA1 over the webhook's URL and the form's fields.
//!
//! The URL is signed exactly as it was typed into Mandrill, query string and all; then come the
//! fields sorted by name, each name and value decoded, with nothing in between.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::form::Form;

/// The key with which Mandrill signs the empty batch that tests a webhook while it is created.
/// Everybody knows it, so that it proves nothing about anything else.
const CREATION_KEY: &str = "test-webhook";

/// The bytes of a SHA-1.
const DIGEST_BYTES: usize = 20;

/// A key that Mandrill made for a webhook, and the name by which we call it.
#[derive(Clone, Deserialize)]
pub struct WebhookKey {
    pub name: String,
    pub key: String,
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookKey")
            .field("name", &self.name)
            .field("key", &"[redacted]")
            .finish()
    }
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the signature is missing")]
    Missing,
    #[error("the signature is not the base64 of an HMAC-SHA1")]
    Malformed,
    #[error("the signature was not made with a known key for a known url")]
    Mismatch,
}

/// What Mandrill would send as the signature of `form` posted to `url`.
pub fn sign(key: &[u8], url: &str, form: &Form<'_>) -> String {
    STANDARD.encode(digest(key, url, form))
}

/// Checks that `signature` was made with one of `keys` for one of `urls`, and answers the name
/// of that key.
///
/// No keys and no URLs mean that nothing is accepted. An empty key and the public key of the
/// creation check are never accepted, even when they are listed.
pub fn verify<'k>(
    form: &Form<'_>,
    signature: Option<&str>,
    urls: &[&str],
    keys: &'k [WebhookKey],
) -> Result<&'k str, SignatureError> {
    let given = parse(signature)?;
    let secret_keys = keys
        .iter()
        .filter(|key| !key.key.is_empty() && key.key != CREATION_KEY);
    for key in secret_keys {
        if matches(form, given, urls, key.key.as_bytes()) {
            return Ok(&key.name);
        }
    }
    Err(SignatureError::Mismatch)
}

/// Whether this is the empty batch that Mandrill posts while a webhook is created.
pub fn is_creation_check(form: &Form<'_>, signature: Option<&str>, urls: &[&str]) -> bool {
    let mut batches = form.batches();
    batches.next().is_some_and(is_empty_array)
        && batches.next().is_none()
        && parse(signature).is_ok_and(|given| matches(form, given, urls, CREATION_KEY.as_bytes()))
}

/// Compares a configured secret with a given one in constant time; an empty secret matches
/// nothing. That the lengths differ is not hidden.
pub fn secrets_match(expected: &str, given: &str) -> bool {
    !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
}

fn parse(signature: Option<&str>) -> Result<[u8; DIGEST_BYTES], SignatureError> {
    let text = signature.map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err(SignatureError::Missing);
    }
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SignatureError::Malformed)
}

fn matches(form: &Form<'_>, given: [u8; DIGEST_BYTES], urls: &[&str], key: &[u8]) -> bool {
    urls.iter().enumerate().any(|(index, url)| {
        // A configured URL is often the rebuilt one too; a pass over megabytes is saved then.
        !urls[..index].contains(url) && bool::from(digest(key, url, form).ct_eq(&given))
    })
}

fn digest(key: &[u8], url: &str, form: &Form<'_>) -> [u8; DIGEST_BYTES] {
    #[expect(clippy::expect_used, reason = "HMAC is defined for keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("a key of any length");
    mac.update(url.as_bytes());
    for field in form.fields() {
        mac.update(&field.name);
        mac.update(&field.value);
    }
    mac.finalize().into_bytes().into()
}

fn is_empty_array(json: &[u8]) -> bool {
    let mut marks = json.iter().filter(|byte| !b" \t\r\n".contains(byte));
    (marks.next(), marks.next(), marks.next()) == (Some(&b'['), Some(&b']'), None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::form::tests::encode;

    const URL: &str = "https://hooks.example.com/mandrill/in";

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        body_file: String,
        key: String,
        url: String,
        signature: String,
        valid: bool,
    }

    fn vectors() -> Vec<(Vector, Vec<u8>)> {
        let signed = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/signed");
        let list = std::fs::read(format!("{signed}/vectors.json")).unwrap();
        let vectors: Vec<Vector> = serde_json::from_slice(&list).unwrap();
        vectors
            .into_iter()
            .map(|vector| {
                let body = std::fs::read(format!("{signed}/{}", vector.body_file)).unwrap();
                (vector, body)
            })
            .collect()
    }

    fn key(name: &str, key: &str) -> WebhookKey {
        WebhookKey {
            name: name.into(),
            key: key.into(),
        }
    }

    #[test]
    fn known_answers_are_signed_as_mandrill_does() {
        let mut seen = (0, 0);
        for (vector, body) in vectors() {
            let signature = sign(vector.key.as_bytes(), &vector.url, &Form::parse(&body));
            assert_eq!(
                signature == vector.signature,
                vector.valid,
                "{}",
                vector.name
            );
            seen = if vector.valid {
                (seen.0 + 1, seen.1)
            } else {
                (seen.0, seen.1 + 1)
            };
        }
        assert_eq!(seen, (8, 5));
    }

    #[test]
    fn known_answers_are_verified() {
        for (vector, body) in vectors() {
            let form = Form::parse(&body);
            let signature = Some(&*vector.signature);
            let keys = [key("decoy", "decoy"), key("main", &vector.key)];
            let urls = ["https://other.example.com/", &*vector.url];
            let is_verified = verify(&form, signature, &urls, &keys) == Ok("main");
            let is_creation_check = is_creation_check(&form, signature, &urls);
            assert_eq!(
                is_verified || is_creation_check,
                vector.valid,
                "{}",
                vector.name
            );
            assert!(!(is_verified && is_creation_check), "{}", vector.name);
        }
    }

    #[test]
    fn answers_the_name_of_the_key_that_matched() {
        let form = Form::parse(b"mandrill_events=[1]");
        let keys = [key("first", "k1"), key("second", "k2")];
        for listed in &keys {
            let signature = sign(listed.key.as_bytes(), URL, &form);
            assert_eq!(
                verify(&form, Some(&signature), &[URL], &keys),
                Ok(&*listed.name)
            );
        }
    }

    #[test]
    fn refuses_a_signature_made_for_another_url() {
        let form = Form::parse(b"mandrill_events=[1]");
        let keys = [key("main", "k1")];
        let signature = sign(b"k1", "https://hooks.example.com/mandrill/in/", &form);
        let verified = verify(&form, Some(&signature), &[URL], &keys);
        assert_eq!(verified, Err(SignatureError::Mismatch));
    }

    #[test]
    fn no_keys_and_no_urls_accept_nothing() {
        let form = Form::parse(b"mandrill_events=[1]");
        let signature = sign(b"", URL, &form);
        let keys = [key("main", "k1")];
        assert_eq!(
            verify(&form, Some(&signature), &[URL], &[]),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(
            verify(&form, Some(&signature), &[], &keys),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn an_empty_key_and_the_public_key_prove_nothing() {
        let form = Form::parse(b"mandrill_events=[1]");
        for public in ["", CREATION_KEY] {
            let signature = sign(public.as_bytes(), URL, &form);
            let keys = [key("main", public)];
            let verified = verify(&form, Some(&signature), &[URL], &keys);
            assert_eq!(verified, Err(SignatureError::Mismatch), "{public:?}");
        }
    }

    #[test]
    fn a_missing_signature_and_a_malformed_one_are_told_apart() {
        let form = Form::parse(b"mandrill_events=[1]");
        let keys = [key("main", "k1")];
        let refusal = |signature| verify(&form, signature, &[URL], &keys).unwrap_err();
        assert_eq!(refusal(None), SignatureError::Missing);
        assert_eq!(refusal(Some(" ")), SignatureError::Missing);
        let long = STANDARD.encode([0; 40]);
        for text in ["?", "aGV4", "brDFzCKRDWmVtxnf1hhzC6ltZhk", "ü", &long] {
            assert_eq!(refusal(Some(text)), SignatureError::Malformed, "{text}");
        }
    }

    #[test]
    fn the_creation_check_is_an_empty_array_and_nothing_else() {
        let answer = |body: &str, signing_key: &str| {
            let form = Form::parse(body.as_bytes());
            let signature = sign(signing_key.as_bytes(), URL, &form);
            is_creation_check(&form, Some(&signature), &["https://a.example/", URL])
        };
        for empty in ["[]", "%5B%5D", "+[%0A]%09"] {
            assert!(
                answer(&format!("mandrill_events={empty}"), CREATION_KEY),
                "{empty}"
            );
            assert!(
                !answer(&format!("mandrill_events={empty}"), "another"),
                "{empty}"
            );
        }
        for other in ["", "[[]]", "[1]", "{}", "[", "[]x", "null", "[]]"] {
            assert!(
                !answer(&format!("mandrill_events={other}"), CREATION_KEY),
                "{other}"
            );
        }
        assert!(!answer("x=[]", CREATION_KEY));
        assert!(!answer(
            "mandrill_events=[]&mandrill_events=[]",
            CREATION_KEY
        ));
        assert!(!is_creation_check(
            &Form::parse(b"mandrill_events=[]"),
            None,
            &[URL]
        ));
    }

    #[test]
    fn secrets_match_only_when_equal_and_not_empty() {
        assert!(secrets_match("a-secret", "a-secret"));
        for (expected, given) in [("a", "b"), ("a", ""), ("", ""), ("a", "aa"), ("", "a")] {
            assert!(!secrets_match(expected, given), "{expected} {given}");
        }
    }

    #[test]
    fn debug_hides_the_key() {
        assert!(!format!("{:?}", key("main", "canary")).contains("canary"));
    }

    #[test]
    fn a_key_list_is_read_from_json() {
        let keys: Vec<WebhookKey> = serde_json::from_str(r#"[{"name":"main","key":"k"}]"#).unwrap();
        assert_eq!((&*keys[0].name, &*keys[0].key), ("main", "k"));
    }

    /// `bytes` with one of its bits turned over, chosen by `seed`.
    fn flipped(bytes: &[u8], seed: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = seed % bytes.len();
        // The highest bit stays, so that ASCII stays ASCII.
        bytes[at] ^= 1 << (seed / bytes.len() % 7);
        bytes
    }

    proptest! {
        #[test]
        fn what_was_signed_is_verified_and_one_bit_changed_is_not(
            signing_key in "[!-~]{1,100}",
            url in "https://[a-z0-9./?=&%-]{1,60}",
            mut fields in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..20), prop::collection::vec(any::<u8>(), 1..200)),
                1..4,
            ),
            which: usize,
            seed: usize,
        ) {
            let keys = [key("main", &signing_key)];
            let body = encode(&fields);
            let signature = sign(signing_key.as_bytes(), &url, &Form::parse(&body));
            let check = |body: &[u8], url: &str| {
                verify(&Form::parse(body), Some(&signature), &[url], &keys)
            };
            prop_assert_eq!(check(&body, &url), Ok("main"));

            let other_url = String::from_utf8(flipped(url.as_bytes(), seed)).unwrap();
            prop_assert_eq!(check(&body, &other_url), Err(SignatureError::Mismatch));

            let index = which % fields.len();
            let original = fields[index].clone();
            fields[index].0 = flipped(&original.0, seed);
            prop_assert_eq!(check(&encode(&fields), &url), Err(SignatureError::Mismatch));
            fields[index] = (original.0, flipped(&original.1, seed));
            prop_assert_eq!(check(&encode(&fields), &url), Err(SignatureError::Mismatch));
        }

        #[test]
        fn any_signature_text_is_refused_without_a_panic(text: String, body: Vec<u8>) {
            let keys = [key("main", "k1")];
            prop_assert!(verify(&Form::parse(&body), Some(&text), &[URL], &keys).is_err());
        }
    }
}
