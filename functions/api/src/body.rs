//! The body of a request: a JSON object whose fields are all known, read one by one so that each
//! can be named when it is wrong.

use std::fmt;

use http::StatusCode;
use platform::http::HttpError;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::caller::Call;
use platform::parameters::bad;

/// The fields of a JSON object, with their texts as they came.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b>(Vec<(String, &'b RawValue)>);

impl<'b> Fields<'b> {
    /// Reads a body of at most `limit` bytes in which nothing but `known` may stand. No body at all
    /// is like `{}`, and its type is not looked at: curl and browsers say what nobody meant.
    pub(crate) fn read(
        call: &'b Call,
        known: &[&str],
        limit: usize,
    ) -> Result<Fields<'b>, HttpError> {
        within(call, limit)?;
        if call.body.is_empty() {
            return Ok(Fields::default());
        }
        let fields: Fields<'b> = serde_json::from_slice(&call.body).map_err(|error| {
            bad(
                "bad_json",
                format!("the body is not a JSON object: {error}"),
            )
        })?;
        for (place, (name, _)) in fields.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(bad("unknown_field", format!("there is no field {name:?}")));
            }
            if fields.0[..place].iter().any(|(before, _)| before == name) {
                let message = format!("the field {name:?} stands there twice");
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

/// Refuses a body of more than `limit` bytes.
pub(crate) fn within(call: &Call, limit: usize) -> Result<(), HttpError> {
    if call.body.len() <= limit {
        return Ok(());
    }
    let message = format!("the body has more than {limit} bytes");
    let too_large = StatusCode::PAYLOAD_TOO_LARGE;
    Err(HttpError::new(too_large, "too_large", message))
}

/// Whether a text has 1 to `longest` characters.
pub(crate) fn has_length(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count())
}

/// A field that is not what it has to be.
pub(crate) fn bad_field(name: &str, what: &str) -> HttpError {
    bad("bad_field", format!("{name} is {what}"))
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
