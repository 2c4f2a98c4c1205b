//! The batch: one JSON array of events, cut into the texts of its elements.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::facts::Facts;
use crate::former::FormerIdentity;
use crate::salvage;

/// Why a body cannot be taken as a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABatch {
    #[error("the form has no field mandrill_events")]
    NoField,
    #[error("the form has the field mandrill_events more than once")]
    RepeatedField,
    #[error("the batch is not a json array")]
    NotAnArray,
}

/// One element of a batch, as it was received.
#[derive(Clone, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// The element's text without the white space around it: byte for byte what was received,
    /// except that bytes which are not UTF-8 are replaced by U+FFFD. Never empty.
    pub text: Cow<'a, str>,
    /// Whether `text` is one JSON value. It may still be of any type and nested to any depth.
    pub is_json: bool,
}

impl RawEvent<'_> {
    /// What is known about the event; never fails.
    pub fn facts(&self) -> Facts<'_> {
        Facts::read(self)
    }

    /// What ids were made of before [`Facts::fingerprint`].
    pub fn former_identity(&self) -> FormerIdentity {
        FormerIdentity::read(self)
    }
}

impl<'a> RawEvent<'a> {
    pub(crate) fn read(element: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(element.trim_ascii());
        let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
        Self { text, is_json }
    }
}

impl fmt::Debug for RawEvent<'_> {
    /// Leaves out the text, which holds addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvent")
            .field("text_bytes", &self.text.len())
            .field("is_json", &self.is_json)
            .finish()
    }
}

/// Cuts the JSON array `json` into its elements, in order.
///
/// An array that is damaged inside still comes out in pieces: what cannot be read is an event
/// with `is_json` false, and its neighbours stay whole. An error means that there is no array,
/// or nothing in a damaged one.
pub fn split(json: &[u8]) -> Result<Vec<RawEvent<'_>>, NotABatch> {
    let elements = std::str::from_utf8(json)
        .ok()
        .and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
    let Some(elements) = elements else {
        return salvage::split(json);
    };
    let events = elements.into_iter().map(|element| RawEvent {
        text: Cow::Borrowed(element.get()),
        is_json: true,
    });
    Ok(events.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn texts(json: &[u8]) -> Vec<(String, bool)> {
        let events = split(json).unwrap();
        events
            .into_iter()
            .map(|event| (event.text.into_owned(), event.is_json))
            .collect()
    }

    #[test]
    fn elements_come_out_exactly_as_received() {
        let json = br#" [ {"b" : 1.0e2,"a":"\u00fc\/"} ,{"a":1,"a":2}, [ ] ,null ] "#;
        let expected = [
            r#"{"b" : 1.0e2,"a":"\u00fc\/"}"#,
            r#"{"a":1,"a":2}"#,
            "[ ]",
            "null",
        ];
        assert_eq!(texts(json), expected.map(|text| (text.to_owned(), true)));
    }

    #[test]
    fn an_undamaged_batch_is_not_copied() {
        let events = split(br#"[{"event":"send"}]"#).unwrap();
        assert!(matches!(events[0].text, Cow::Borrowed(_)));
    }

    #[test]
    fn an_empty_array_is_a_batch_of_nothing() {
        assert_eq!(split(b"[]"), Ok(vec![]));
        assert_eq!(split(b" [\n] "), Ok(vec![]));
    }

    #[test]
    fn what_is_not_an_array_is_not_a_batch() {
        for json in [
            "",
            " ",
            "{}",
            "null",
            "1",
            "\"[]\"",
            "x",
            "]",
            "{\"a\":[]}",
            "[",
            "[,]",
            "[ ,, ",
        ] {
            assert_eq!(split(json.as_bytes()), Err(NotABatch::NotAnArray), "{json}");
        }
        assert_eq!(split(b"\xff[]"), Err(NotABatch::NotAnArray));
    }

    #[test]
    fn lone_surrogates_and_huge_numbers_are_json() {
        let json = br#"[{"\ud800":"\udc00"},{"ts":1e99999},123456789012345678901234567890]"#;
        assert!(split(json).unwrap().iter().all(|event| event.is_json));
    }

    #[test]
    fn deep_nesting_overflows_nothing_and_leaves_the_others_alone() {
        let depth = 100_000;
        let closed = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let nested = format!(
            r#"{{"event":"send","msg":{}1{}}}"#,
            r#"{"msg":"#.repeat(depth),
            "}".repeat(depth)
        );
        let open = r#"{"event":["#.repeat(depth);
        let json = format!(r#"[{{"event":"open"}},{closed},{nested},{{"event":"click"}},{open}"#);
        let events = split(json.as_bytes()).unwrap();
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event.facts().kind.into_owned())
            .collect();
        assert_eq!(kinds, ["open", "unknown", "send", "click", "unknown"]);
        assert!(events[1].is_json && events[2].is_json && !events[4].is_json);
    }

    #[test]
    fn debug_shows_no_text() {
        let events = split(br#"["canary"]"#).unwrap();
        assert!(!format!("{events:?}").contains("canary"));
    }

    #[test]
    fn signed_samples_split_into_their_events() {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/signed/");
        for (file, count) in [
            ("a-plain", 3),
            ("c-raw-utf8", 3),
            ("f-creation-test-post", 0),
            ("h-blacklist", 2),
        ] {
            let body = std::fs::read(format!("{samples}{file}.form")).unwrap();
            let form = crate::Form::parse(&body);
            assert_eq!(split(form.batch().unwrap()).unwrap().len(), count, "{file}");
        }
    }

    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~üß\u{1F4E6}\\n\\t\\\\\"]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"{\\[,]{0,6}", inner, 0..5)
                    .prop_map(|map| json!(map)),
            ]
        })
    }

    /// Pieces of JSON in any order find more than bytes in any order do.
    fn almost_json() -> impl Strategy<Value = String> {
        let pieces = [
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"",
            "\\",
            "\\ud800",
            " ",
            "1e999",
            "null",
            "{\"event\":",
            "\"send\"",
            "\"ts\"",
            "\"msg\"",
            "{\"type\":\"blacklist\"",
            "\"reject\"",
            "\u{0}",
            "ü",
        ];
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40)
            .prop_map(|pieces| format!("[{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn a_generated_array_splits_into_its_elements(
            elements in prop::collection::vec(any_json(), 0..8),
            space in "[ \\t\\r\\n]{0,3}",
            trailing in "(,|, , )?",
        ) {
            let texts: Vec<_> = elements.iter().map(|e| format!("{space}{e}{space}")).collect();
            let whole = format!("[{}]", texts.join(","));
            // A comma too many sends it the slow way, which has to find the same elements.
            let damaged = format!("[{}{trailing}]", texts.join(","));
            for json in [whole, damaged] {
                let events = split(json.as_bytes()).unwrap_or_default();
                prop_assert_eq!(events.len(), elements.len());
                for (event, element) in events.iter().zip(&elements) {
                    prop_assert!(event.is_json);
                    prop_assert_eq!(&event.text, &element.to_string());
                }
            }
        }

        #[test]
        fn any_bytes_are_split_and_read_without_a_panic(mut bytes: Vec<u8>) {
            bytes.insert(0, b'[');
            for event in split(&bytes).unwrap_or_default() {
                let facts = event.facts();
                prop_assert!(!event.text.is_empty());
                prop_assert!(!facts.kind.is_empty());
            }
        }

        #[test]
        fn almost_json_is_split_and_read_without_a_panic(text in almost_json()) {
            for event in split(text.as_bytes()).unwrap_or_default() {
                let facts = event.facts();
                let _ = (facts.message_key(), facts.fingerprint());
                prop_assert_eq!(event.is_json, serde_json::from_str::<&RawValue>(&event.text).is_ok());
            }
        }
    }
}
