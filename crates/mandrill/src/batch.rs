//! The batch: one JSON array of events, cut into the texts of its elements.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::raw::RawEvent;
use crate::salvage;

/// The elements that are told apart; Mandrill puts 1,000 at most into a batch. Each costs a share of
/// the time in which the batch has to be stored.
pub const MAX_EVENTS: usize = 5_000;

/// Some editors and tools put it before any text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Cuts the JSON array `json` into its elements, in order.
///
/// An array that is damaged inside still comes out in pieces: what cannot be read is an event
/// with `is_json` false, and its neighbours stay whole. A text that is no array is one event. What
/// follows [`MAX_EVENTS`] elements is one more. Nothing received is lost but what says nothing:
/// white space, brackets and commas around no element.
pub fn split(json: &[u8]) -> Vec<RawEvent<'_>> {
    split_within(json, MAX_EVENTS)
}

pub(crate) fn split_within(json: &[u8], limit: usize) -> Vec<RawEvent<'_>> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let json = json.trim_ascii();
    let whole = std::str::from_utf8(json)
        .ok()
        .and_then(|text| split_whole(text, limit));
    match (whole, json.strip_prefix(b"[")) {
        (Some(events), _) => events,
        (None, Some(inside)) => salvage::split(inside, limit),
        (None, None) if json.is_empty() => Vec::new(),
        (None, None) => vec![RawEvent::read(json)],
    }
}

/// Of an array that is JSON as a whole.
fn split_whole(json: &str, limit: usize) -> Option<Vec<RawEvent<'_>>> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let elements = Limit(limit).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    let mut events: Vec<_> = elements
        .first
        .into_iter()
        .map(|element| RawEvent {
            text: Cow::Borrowed(element.get()),
            is_json: true,
        })
        .collect();
    if let Some(surplus) = elements.surplus {
        let start = surplus.get().as_ptr() as usize - json.as_ptr() as usize;
        let closing = json.len() - 1;
        events.push(RawEvent::read(&json.as_bytes()[start..closing]));
    }
    Some(events)
}

struct Elements<'a> {
    first: Vec<&'a RawValue>,
    /// The first beyond the limit.
    surplus: Option<&'a RawValue>,
}

/// Reads an array, and keeps so many of its elements.
struct Limit(usize);

impl<'de> DeserializeSeed<'de> for Limit {
    type Value = Elements<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Limit {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() < self.0 {
            match elements.next_element()? {
                Some(element) => first.push(element),
                None => break,
            }
        }
        let surplus = elements.next_element()?;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Elements { first, surplus })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn texts(json: &[u8]) -> Vec<(String, bool)> {
        let events = split(json);
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
        let events = split(br#"[{"event":"send"}]"#);
        assert!(matches!(events[0].text, Cow::Borrowed(_)));
    }

    #[test]
    fn an_empty_array_is_a_batch_of_nothing() {
        for empty in [
            "[]",
            " [\n] ",
            "",
            " \n",
            "\u{feff}",
            "\u{feff}[]",
            "[",
            "[,]",
            "[ ,, ",
        ] {
            assert_eq!(split(empty.as_bytes()), vec![], "{empty:?}");
        }
    }

    #[test]
    fn what_is_not_an_array_is_one_event() {
        for (json, is_json) in [
            ("{}", true),
            ("null", true),
            ("1", true),
            ("\"[]\"", true),
            ("x", false),
            ("]", false),
            ("{\"a\":[]}", true),
            ("x[]", false),
            ("{\"event\":\"send\"", false),
        ] {
            assert_eq!(texts(json.as_bytes()), [(json.to_owned(), is_json)]);
        }
        assert_eq!(texts(b"\xff[]"), [("\u{FFFD}[]".to_owned(), false)]);
        assert_eq!(texts(b"\xef\xbb\xbf[1]"), [("1".to_owned(), true)]);
    }

    #[test]
    fn what_follows_the_most_events_is_kept_in_one_piece() {
        for (count, pieces, last) in [(5_000, 5_000, "4999"), (5_001, 5_001, "5000")] {
            let all: Vec<_> = (0..count).map(|n| n.to_string()).collect();
            let found = texts(format!("[{}]", all.join(",")).as_bytes());
            assert_eq!((found.len(), &*found[pieces - 1].0), (pieces, last));
        }
        let json = format!("[{} 1 , 2 ]", "0,".repeat(MAX_EVENTS));
        let found = texts(json.as_bytes());
        assert_eq!(found[MAX_EVENTS..], [("1 , 2".to_owned(), false)]);
        let damaged = json.replace(" 2 ]", " 2 ");
        let found = texts(damaged.as_bytes());
        assert_eq!(found[MAX_EVENTS..], [("1 , 2".to_owned(), false)]);
    }

    #[test]
    fn lone_surrogates_and_huge_numbers_are_json() {
        let json = br#"[{"\ud800":"\udc00"},{"ts":1e99999},123456789012345678901234567890]"#;
        assert!(split(json).iter().all(|event| event.is_json));
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
        let events = split(json.as_bytes());
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event.facts().kind.into_owned())
            .collect();
        assert_eq!(kinds, ["open", "unknown", "send", "click", "unknown"]);
        assert!(events[1].is_json && events[2].is_json && !events[4].is_json);
    }

    #[test]
    fn debug_shows_no_text() {
        let events = split(br#"["canary"]"#);
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
            assert_eq!(form.events().len(), count, "{file}");
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
                let events = split(json.as_bytes());
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
            for event in split(&bytes) {
                let facts = event.facts();
                prop_assert!(!event.text.is_empty());
                prop_assert!(!facts.kind.is_empty());
            }
        }

        #[test]
        fn almost_json_is_split_and_read_without_a_panic(text in almost_json()) {
            for event in split(text.as_bytes()) {
                let facts = event.facts();
                let _ = (facts.message_key(), facts.fingerprint());
                prop_assert_eq!(event.is_json, serde_json::from_str::<&RawValue>(&event.text).is_ok());
            }
        }
    }
}
