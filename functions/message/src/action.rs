//! What a client may ask.

use std::borrow::Cow;
use std::fmt;

use domain::{CursorError, FilterError, PrivateField};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The most events that a client may ask for without a cursor.
const MAX_LAST: usize = 1_000;

/// A request of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Live events that this filter lets pass, instead of those before.
    Subscribe { filter: String, with_data: bool },
    /// No more live events.
    Unsubscribe,
    /// What was stored before now.
    Resume(From),
    /// A sign of life.
    Ping,
}

/// From where to resume.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// After what the client has seen.
    Cursor(String),
    /// The newest events, this many.
    Last(usize),
}

impl Action {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Action::Subscribe { .. } => "subscribe",
            Action::Unsubscribe => "unsubscribe",
            Action::Resume(_) => "resume",
            Action::Ping => "ping",
        }
    }
}

/// A request that cannot be understood, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Bad {
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
}

impl Bad {
    fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Bad {
        Bad {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn filter(error: FilterError) -> Bad {
        Bad::new("bad_filter", error.to_string())
    }

    pub(crate) fn forbidden(error: PrivateField) -> Bad {
        Bad::new("forbidden", error.to_string())
    }

    pub(crate) fn cursor(error: CursorError) -> Bad {
        Bad::new("bad_cursor", error.to_string())
    }

    pub(crate) fn future() -> Bad {
        Bad::new("bad_cursor", "the cursor is in the future")
    }

    pub(crate) fn internal(request_id: &str) -> Bad {
        Bad::new(
            "internal",
            format!("request {request_id} failed, please try again"),
        )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscribeFields {
    #[serde(rename = "action")]
    _action: String,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    data: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeFields {
    #[serde(rename = "action")]
    _action: String,
    cursor: Option<String>,
    last: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {
    #[serde(rename = "action")]
    _action: String,
}

/// Reads a message.
pub(crate) fn read(text: &str) -> Result<Action, Bad> {
    // Some clients put a byte order mark before a text. (RFC 8259, section 8.1.)
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Fields { object, repeated } = serde_json::from_str(text)
        .map_err(|_| Bad::new("bad_json", "a message must be a JSON object"))?;
    if let Some(name) = repeated {
        let message = format!("field `{}` is repeated", name.escape_debug());
        return Err(Bad::new("repeated_field", message));
    }
    let value = Value::Object(object);
    let action = value.get("action").ok_or_else(|| {
        Bad::new(
            "unknown_action",
            "field `action` is missing; allowed: `subscribe`, `unsubscribe`, `resume`, `ping`",
        )
    })?;
    match action.as_str() {
        Some("ping") => fields::<NoFields>(&value).map(|_| Action::Ping),
        Some("unsubscribe") => fields::<NoFields>(&value).map(|_| Action::Unsubscribe),
        Some("subscribe") => {
            let fields: SubscribeFields = fields(&value)?;
            Ok(Action::Subscribe {
                filter: fields.filter,
                with_data: fields.data,
            })
        }
        Some("resume") => fields(&value).and_then(from).map(Action::Resume),
        _ => Err(Bad::new(
            "unknown_action",
            "unknown action; allowed: `subscribe`, `unsubscribe`, `resume`, `ping`",
        )),
    }
}

/// The fields of a JSON object. Of a field that is repeated, some readers take the first and others the
/// last: what the client means is not known.
struct Fields {
    object: Map<String, Value>,
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let (mut object, mut repeated) = (Map::new(), None);
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if object.insert(name.clone(), value).is_some() {
                        repeated = Some(name);
                    }
                }
                Ok(Fields { object, repeated })
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

fn fields<'v, T: Deserialize<'v>>(value: &'v Value) -> Result<T, Bad> {
    T::deserialize(value).map_err(|error| Bad::new("bad_request", error.to_string()))
}

fn from(fields: ResumeFields) -> Result<From, Bad> {
    match (fields.cursor, fields.last) {
        (Some(cursor), None) => Ok(From::Cursor(cursor)),
        (None, Some(last)) if (1..=MAX_LAST).contains(&last) => Ok(From::Last(last)),
        (None, Some(_)) => Err(Bad::new(
            "bad_request",
            format!("field `last` must be a number from 1 to {MAX_LAST}"),
        )),
        (Some(_), Some(_)) | (None, None) => Err(Bad::new(
            "bad_request",
            "`resume` needs either `cursor` or `last`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        read(text).unwrap_err().code
    }

    #[test]
    fn the_documented_messages_are_understood() {
        assert_eq!(read(r#"{"action":"ping"}"#), Ok(Action::Ping));
        assert_eq!(read(r#"{"action":"unsubscribe"}"#), Ok(Action::Unsubscribe));
        assert_eq!(
            read(r#"{"action":"subscribe","filter":"type:open","data":true}"#),
            Ok(Action::Subscribe {
                filter: "type:open".into(),
                with_data: true
            })
        );
        assert_eq!(
            read(r#"{"action":"subscribe"}"#),
            Ok(Action::Subscribe {
                filter: String::new(),
                with_data: false
            })
        );
        assert_eq!(
            read(r#"{"action":"resume","cursor":"c"}"#),
            Ok(Action::Resume(From::Cursor("c".into())))
        );
        assert_eq!(
            read(r#"{"action":"resume","last":200}"#),
            Ok(Action::Resume(From::Last(200)))
        );
    }

    #[test]
    fn what_cannot_be_understood_has_a_code() {
        for text in ["", "nonsense", "[]", "7", "\"ping\"", "{\"action\":"] {
            assert_eq!(code(text), "bad_json", "{text}");
        }
        for text in ["{}", r#"{"action":"dance"}"#, r#"{"action":7}"#] {
            assert_eq!(code(text), "unknown_action", "{text}");
        }
        for text in [
            r#"{"action":"resume"}"#,
            r#"{"action":"resume","cursor":"c","last":1}"#,
            r#"{"action":"resume","last":0}"#,
            r#"{"action":"resume","last":1001}"#,
            r#"{"action":"resume","last":-1}"#,
            r#"{"action":"subscribe","filter":7}"#,
            r#"{"action":"subscribe","fliter":"type:open"}"#,
            r#"{"action":"ping","extra":1}"#,
        ] {
            assert_eq!(code(text), "bad_request", "{text}");
        }
    }

    #[test]
    fn a_repeated_field_is_refused_by_name() {
        for text in [
            r#"{"action":"subscribe","filter":"type:open","filter":"type:click"}"#,
            r#"{"action":"subscribe","filter":"type:open","filter":"type:open"}"#,
            r#"{"action":"subscribe","\u0066ilter":"type:open","filter":""}"#,
            r#"{"action":"ping","action":"ping"}"#,
            r#"{"action":"resume","last":1,"last":2}"#,
            r#"{"action":"subscribe","data":true,"data":false}"#,
        ] {
            assert_eq!(code(text), "repeated_field", "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(read("\u{feff}{\"action\":\"ping\"}"), Ok(Action::Ping));
        assert_eq!(code("\u{feff}"), "bad_json");
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let bad = read(r#"{"action":"subscribe","fliter":"type:open"}"#).unwrap_err();
        assert!(bad.message.contains("fliter"), "{bad}");
    }
}
