//! Headers of its own that an endpoint gets with every attempt.

use std::collections::HashSet;

use crate::redacted::Redacted;

/// The most headers of an endpoint.
pub const MAX_HEADERS: usize = 20;
/// The longest value, in bytes: more than any token has.
pub const MAX_VALUE_BYTES: usize = 2_048;
/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 100;

/// Names that say how a request is sent or what is in it, and are not its owner's to choose.
///
/// Compared as receivers see them ([`folded`]): `Webhook_Id` is `webhook-id` to CGI, WSGI, Rack and
/// PHP, which make both `HTTP_WEBHOOK_ID`, and take whichever comes last.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "connection",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
const RESERVED_STARTS: &[&str] = &[
    "access-control-",
    "content-",
    "proxy-",
    "sec-",
    "svix-",
    "webhook-",
    "x-amz-",
    "x-amzn-",
    "x-forwarded-",
    "x-hub-",
];

/// Names, in lower case and sorted, and values, which may be secrets: `Debug` does not show them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomHeaders(Vec<(String, Redacted<String>)>);

/// Why a header is refused. Says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There are more than [`MAX_HEADERS`].
    #[error("at most {MAX_HEADERS} headers are allowed")]
    TooMany,
    /// No header can have this name.
    #[error("`{}` is not a header name", .0.escape_debug())]
    Name(String),
    /// The name is reserved.
    #[error("header `{0}` is reserved")]
    Reserved(String),
    /// The name is there twice, in different case or with `_` in the place of `-`.
    #[error("header `{0}` is repeated")]
    Twice(String),
    /// No header can have this value, which is not told.
    #[error("the value of header `{0}` must be printable ASCII of at most {MAX_VALUE_BYTES} bytes")]
    Value(String),
}

impl CustomHeaders {
    /// These, if an endpoint may have them.
    ///
    /// # Errors
    /// When it may not.
    pub fn new<N, V>(
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<CustomHeaders, HeaderError>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut checked = Vec::new();
        for (name, value) in headers {
            let name = check_name(name.as_ref())?;
            let value = value.into();
            let is_printable = value
                .bytes()
                .all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            if !is_printable || value.len() > MAX_VALUE_BYTES || value.trim() != value {
                return Err(HeaderError::Value(name));
            }
            checked.push((name, Redacted(value)));
        }
        if checked.len() > MAX_HEADERS {
            return Err(HeaderError::TooMany);
        }
        checked.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut seen = HashSet::new();
        match checked.iter().find(|(name, _)| !seen.insert(folded(name))) {
            Some((name, _)) => Err(HeaderError::Twice(name.clone())),
            None => Ok(CustomHeaders(checked)),
        }
    }

    /// Those that were checked when they were stored, by the rules of that time.
    #[must_use]
    pub fn stored(headers: Vec<(String, String)>) -> CustomHeaders {
        let redact = |(name, value)| (name, Redacted(value));
        CustomHeaders(headers.into_iter().map(redact).collect())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    /// Names and values of those that are sent: not of a header that was stored before its name was
    /// reserved. A receiver could take it for ours, and then refuse every signature.
    pub fn sent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(name, _)| check_name(name).is_ok())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name in lower case.
fn check_name(name: &str) -> Result<String, HeaderError> {
    // A token of RFC 9110, section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_token) {
        return Err(HeaderError::Name(
            name.chars().take(MAX_NAME_BYTES).collect(),
        ));
    }
    let name = name.to_ascii_lowercase();
    let seen_as = folded(&name);
    let is_reserved = RESERVED.contains(&seen_as.as_str())
        || RESERVED_STARTS
            .iter()
            .any(|start| seen_as.starts_with(start));
    if is_reserved {
        return Err(HeaderError::Reserved(name));
    }
    Ok(name)
}

/// What a receiver may take a name in lower case for: frameworks that hand headers on as variables
/// cannot tell `-`, `_` and (as PHP does) `.` apart.
fn folded(name: &str) -> String {
    name.replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(name: &str, value: &str) -> Result<CustomHeaders, HeaderError> {
        CustomHeaders::new([(name, value)])
    }

    #[test]
    fn names_are_in_lower_case_and_in_order() {
        let headers = CustomHeaders::new([("X-Team", "b"), ("Authorization", "Bearer a")]).unwrap();
        let found: Vec<_> = headers.iter().collect();
        assert_eq!(found, [("authorization", "Bearer a"), ("x-team", "b")]);
    }

    #[test]
    fn reserved_names_are_refused_in_any_case() {
        for name in [
            "Host",
            "content-type",
            "CONTENT-LENGTH",
            "Webhook-Id",
            "webhook-anything",
            "X-Hub-Signature-256",
            "Transfer-Encoding",
            "Connection",
            "User-Agent",
            "Proxy-Authorization",
            "X-Forwarded-For",
            "Date",
            "webhook_id",
            "Webhook_Signature",
            "webhook-Timestamp",
            "webhook.id",
            "x_hub_signature",
            "X_Hub-Signature_256",
            "svix_id",
            "Content_Length",
            "content.type",
            "Transfer_Encoding",
            "TRANSFER_ENCODING",
            "Keep_Alive",
            "user_agent",
            "accept_encoding",
            "x_forwarded_for",
            "Proxy_Connection",
            "proxy-connection",
            "http2_settings",
            "x_amz_date",
            "Idempotency_Key",
        ] {
            let expected = HeaderError::Reserved(name.to_ascii_lowercase());
            assert_eq!(one(name, "a"), Err(expected));
        }
    }

    #[test]
    fn a_header_that_was_stored_before_its_name_was_reserved_is_kept_and_not_sent() {
        let stored = ["authorization", "host", "webhook_id", "x_team", "x-team"];
        let stored = stored.map(|name| (name.to_owned(), "a".to_owned()));
        let headers = CustomHeaders::stored(stored.to_vec());
        assert_eq!(headers.iter().count(), 5);
        let sent: Vec<_> = headers.sent().map(|(name, _)| name).collect();
        assert_eq!(sent, ["authorization", "x_team", "x-team"]);
    }

    #[test]
    fn what_could_end_a_header_is_refused() {
        for value in ["a\r\nb: c", "a\n", "ü", "\0", " a", "a ", "\u{7f}"] {
            assert_eq!(
                one("x-a", value),
                Err(HeaderError::Value("x-a".into())),
                "{value:?}"
            );
        }
        for name in ["", "a b", "a:", "ä", "a\n", &"a".repeat(101)] {
            assert!(
                matches!(one(name, "a"), Err(HeaderError::Name(_))),
                "{name:?}"
            );
        }
        assert_eq!(one("x-a", &"a".repeat(2_048)).map(drop), Ok(()));
        assert!(one("x-a", &"a".repeat(2_049)).is_err());
        assert_eq!(one("x-a", "").map(drop), Ok(()));
    }

    #[test]
    fn a_name_is_there_once_and_there_are_not_too_many() {
        let twice = CustomHeaders::new([("x-a", "1"), ("X-A", "2")]);
        assert_eq!(twice, Err(HeaderError::Twice("x-a".into())));
        for (one, other) in [("x-a-b", "X_A_B"), ("x_a-b", "x-a_b"), ("x-key", "x.key")] {
            let twice = CustomHeaders::new([(one, "1"), (other, "2")]);
            assert!(matches!(twice, Err(HeaderError::Twice(_))), "{one} {other}");
        }
        assert!(CustomHeaders::new([("x-a-b", "1"), ("x-ab", "2")]).is_ok());
        assert!(one("Authorization", "Bearer a").is_ok() && one("x_team", "a").is_ok());
        let many = (0..=MAX_HEADERS).map(|n| (format!("x-{n}"), ""));
        assert_eq!(CustomHeaders::new(many), Err(HeaderError::TooMany));
    }

    #[test]
    fn values_are_not_logged() {
        let headers = one("authorization", "canary").unwrap();
        assert!(!format!("{headers:?}").contains("canary"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_cannot_break_a_request(name in ".{0,20}", value in ".{0,40}") {
            if let Ok(headers) = one(&name, &value) {
                for (name, value) in headers.iter() {
                    prop_assert!(!name.contains(['\r', '\n', ':', ' ']) && !value.contains(['\r', '\n', '\0']));
                }
            }
        }
    }
}
