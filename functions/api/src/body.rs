//! The body of a request: a JSON object whose fields are all known, read one by one so that each
//! can be named when it is wrong.

use std::fmt;

use http::{StatusCode, header};
use platform::http::HttpError;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::call::Call;
use platform::parameters::bad;
use platform::suggest;

/// The fields of a JSON object, with their texts as they came.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b>(Vec<(String, &'b RawValue)>);

impl<'b> Fields<'b> {
    /// Reads a body of at most `limit` bytes in which nothing but `known` may stand. No body at all
    /// is like `{}`, and JSON of any media type is read: curl and browsers say what nobody meant.
    pub(crate) fn read(
        call: &'b Call,
        known: &[&str],
        limit: usize,
    ) -> Result<Fields<'b>, HttpError> {
        within(call, limit)?;
        if text(call).is_empty() {
            return Ok(Fields::default());
        }
        let fields: Fields<'b> = json(call, "a JSON object")?;
        for (place, (name, _)) in fields.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let hint = suggest::hint(name, known);
                let message = format!("unknown field `{}`{hint}", name.escape_debug());
                return Err(bad("unknown_field", message));
            }
            if fields.0[..place].iter().any(|(before, _)| before == name) {
                let message = format!("field `{name}` is repeated");
                return Err(bad("repeated_field", message));
            }
        }
        Ok(fields)
    }

    /// Whether a field stands there, be it null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// All fields in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'b RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The JSON text of a field; none when it is absent or null.
    pub(crate) fn json(&self, name: &str) -> Option<&'b RawValue> {
        let mut fields = self.0.iter();
        let (_, value) = fields.find(|(known, _)| known == name)?;
        (value.get() != "null").then_some(*value)
    }

    /// A field as `T`; none when it is absent or null.
    pub(crate) fn value<T: Deserialize<'b>>(
        &self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, HttpError> {
        let value = self
            .json(name)
            .map(|value| serde_json::from_str(value.get()));
        value.transpose().map_err(|_| bad_field(name, what))
    }

    /// A text of 1 to `longest` characters; none when it is absent or null.
    pub(crate) fn text(&self, name: &str, longest: usize) -> Result<Option<String>, HttpError> {
        let what = || format!("a string of 1 to {longest} characters");
        let text: Option<String> = self.value(name, &what())?;
        match text {
            Some(text) if !has_length(&text, longest) => Err(bad_field(name, &what())),
            text => Ok(text),
        }
    }
}

/// The body, without the byte order mark that editors and PowerShell put before a text. (RFC 8259,
/// section 8.1.)
pub(crate) fn text(call: &Call) -> &[u8] {
    let body = call.body.as_slice();
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The body, which is `what` in JSON.
pub(crate) fn json<'b, T: Deserialize<'b>>(call: &'b Call, what: &str) -> Result<T, HttpError> {
    let text = text(call);
    serde_json::from_slice(text).map_err(|error| match encoding(call, text) {
        Encoding::Form => HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            format!("the body is a form; send {what} with `Content-Type: application/json`"),
        ),
        Encoding::Wide => bad(
            "bad_json",
            format!("the body is in UTF-16 or UTF-32; send {what} in UTF-8"),
        ),
        Encoding::Unknown => bad("bad_json", format!("the body is not {what}: {error}")),
    })
}

/// How a body is written that is no JSON.
enum Encoding {
    /// As HTML forms are.
    Form,
    /// With more than a byte for each letter.
    Wide,
    Unknown,
}

fn encoding(call: &Call, text: &[u8]) -> Encoding {
    let media_type = call.headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_ascii_lowercase();
    let is_form = |form| media_type.trim_start().starts_with(form);
    if is_form("application/x-www-form-urlencoded") || is_form("multipart/form-data") {
        return Encoding::Form;
    }
    // JSON begins with an ASCII character; of two wide bytes one is zero, or both are a mark.
    match text {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, ..] | [_, 0, ..] => Encoding::Wide,
        _ => Encoding::Unknown,
    }
}

/// Refuses a body of more than `limit` bytes.
pub(crate) fn within(call: &Call, limit: usize) -> Result<(), HttpError> {
    if call.body.len() <= limit {
        return Ok(());
    }
    let message = format!("the body is larger than {limit} bytes");
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    Err(HttpError::new(too_large, "too_large", message))
}

/// Whether a text has 1 to `longest` characters.
pub(crate) fn has_length(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count())
}

/// A field that is not what it has to be.
pub(crate) fn bad_field(name: &str, what: &str) -> HttpError {
    bad("bad_field", format!("field `{name}` must be {what}"))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry().map_err(de::Error::custom)? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn call(body: &[u8], media_type: Option<&'static str>) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(media_type) = media_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        Call {
            body: Arc::new(body.to_vec()),
            headers: Arc::new(headers),
            ..Call::default()
        }
    }

    fn refused(body: &[u8], media_type: Option<&'static str>) -> HttpError {
        let call = call(body, media_type);
        Fields::read(&call, &["url"], 100).unwrap_err()
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_json_of_any_media_type_is_read() {
        for media_type in [
            None,
            Some("application/json"),
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
        ] {
            for body in [&b"{\"url\":1}"[..], b"\xef\xbb\xbf{\"url\":1}"] {
                let call = call(body, media_type);
                let fields = Fields::read(&call, &["url"], 100).unwrap();
                assert!(fields.has("url"), "{media_type:?}");
            }
        }
        let call = call(b"\xef\xbb\xbf", None);
        assert!(Fields::read(&call, &[], 100).is_ok());
    }

    #[test]
    fn a_form_is_told_to_be_json() {
        for media_type in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "multipart/form-data; boundary=x",
        ] {
            let error = refused(b"url=https%3A%2F%2Fa.example", Some(media_type));
            assert_eq!(
                (error.status.as_u16(), error.code),
                (415, "unsupported_media_type")
            );
            assert!(
                error.message.contains("application/json"),
                "{}",
                error.message
            );
        }
        let error = refused(b"url=a", Some("application/json"));
        assert_eq!((error.status.as_u16(), error.code), (400, "bad_json"));
    }

    #[test]
    fn a_wide_text_is_named() {
        for body in [
            &b"\xff\xfe{\0}\0"[..],
            b"\xfe\xff\0{\0}",
            b"{\0}\0",
            b"\0{\0}",
            b"\0\0\0{",
        ] {
            let error = refused(body, Some("application/json"));
            assert_eq!(error.code, "bad_json");
            assert!(error.message.contains("UTF-8"), "{}", error.message);
        }
    }

    #[test]
    fn an_unknown_field_is_named_and_what_may_be_meant() {
        let error = refused(br#"{"target_url":1}"#, None);
        assert_eq!(error.code, "unknown_field");
        assert_eq!(
            error.message,
            "unknown field `target_url`; did you mean `url`?"
        );
        assert_eq!(
            refused(br#"{"colour":1}"#, None).message,
            "unknown field `colour`; allowed: `url`"
        );
        assert_eq!(
            refused(br#"{"url":1,"url":2}"#, None).code,
            "repeated_field"
        );
    }
}
