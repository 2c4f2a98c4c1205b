//! Reading JSON that may hold anything: nothing here fails, what does not fit is `None`.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of `names` in the JSON object `text`; of a repeated name the last. When `text` is
/// not an object, every value is `None`.
pub(crate) fn pick<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> [Option<&'a RawValue>; N] {
    if !text.starts_with('{') {
        return [None; N];
    }
    serde_json::Deserializer::from_str(text)
        .deserialize_map(Pick(names))
        .unwrap_or([None; N])
}

/// As [`pick`], of a value that may be missing or anything but an object.
pub(crate) fn pick_in<'a, const N: usize>(
    value: Option<&'a RawValue>,
    names: [&str; N],
) -> [Option<&'a RawValue>; N] {
    pick(value.map_or("", RawValue::get), names)
}

/// The text of a string that is not empty; a lone surrogate in it becomes U+FFFD.
pub(crate) fn string(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let quoted = value?.get();
    let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if inside.is_empty() {
        return None;
    }
    if memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    let mut bytes = unescaped(quoted).into_owned();
    replace_surrogates(&mut bytes);
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Some(Cow::Owned(text))
}

/// The bytes of a JSON string with its quotes: WTF-8, which has room for lone surrogates.
pub(crate) fn unescaped(quoted: &str) -> Cow<'_, [u8]> {
    let inside = quoted.as_bytes().get(1..quoted.len().saturating_sub(1));
    let inside = inside.unwrap_or_default();
    if memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let bytes = serde_json::Deserializer::from_str(quoted).deserialize_bytes(Bytes);
    bytes.map_or(Cow::Borrowed(inside), Cow::Owned)
}

/// The elements of an array; none of anything else.
pub(crate) fn elements(value: Option<&RawValue>) -> Vec<&RawValue> {
    let text = value.map_or("", RawValue::get);
    if !text.starts_with('[') {
        return Vec::new();
    }
    serde_json::from_str(text).unwrap_or_default()
}

/// The value if it is an object with something in it. PHP writes an empty one as `[]`.
pub(crate) fn object(value: Option<&RawValue>) -> Option<&RawValue> {
    let inside = value?.get().strip_prefix('{')?;
    (!inside.trim_ascii_start().starts_with('}')).then_some(value)?
}

/// Unix seconds, however they are written: a number, a number in a string, with a fraction or
/// without. `None` outside of what 32 bits hold (1970 to 2106).
pub(crate) fn seconds(value: Option<&RawValue>) -> Option<u32> {
    let text = match string(value) {
        Some(text) => text,
        None => Cow::Borrowed(value?.get()),
    };
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let seconds: f64 = text.parse().ok()?;
        let after_last = f64::from(u32::MAX) + 1.0;
        (0.0..after_last)
            .contains(&seconds)
            .then_some(seconds as u32)
    })
}

struct Pick<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [None; N];
        while let Some(index) = map.next_key_seed(IndexOf(&self.0))? {
            match index {
                Some(index) => picked[index] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }
}

/// Reads a key as its index among the names, if it is one of them. As bytes, because a key with
/// a lone surrogate is not a `str`.
struct IndexOf<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for IndexOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for IndexOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name.as_bytes() == key))
    }
}

/// Reads a string as the bytes of WTF-8.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_vec())
    }
}

/// Puts U+FFFD, which is as long, in the place of each surrogate of WTF-8.
fn replace_surrogates(wtf8: &mut [u8]) {
    const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
    let mut at = 0;
    while at + REPLACEMENT.len() <= wtf8.len() {
        // ED starts U+D000 to U+DFFF, and a second byte from A0 on makes it U+D800 and above.
        if wtf8[at] == 0xED && wtf8[at + 1] >= 0xA0 {
            wtf8[at..at + REPLACEMENT.len()].copy_from_slice(REPLACEMENT);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    fn string_of(text: &str) -> Option<String> {
        string(Some(raw(text))).map(Cow::into_owned)
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        let [a, b] = pick(r#"{"a":1,"b":2,"a":null,"a":[3]}"#, ["a", "b"]);
        assert_eq!(a.map(RawValue::get), Some("[3]"));
        assert_eq!(b.map(RawValue::get), Some("2"));
    }

    #[test]
    fn keys_are_compared_unescaped() {
        let [event] = pick(r#"{"\u0065vent":1}"#, ["event"]);
        assert_eq!(event.map(RawValue::get), Some("1"));
    }

    #[test]
    fn a_lone_surrogate_in_a_key_hides_nothing() {
        let [a] = pick(r#"{"\ud800":0,"\udfff\n":0,"a":1}"#, ["a"]);
        assert_eq!(a.map(RawValue::get), Some("1"));
    }

    #[test]
    fn nothing_is_picked_from_what_is_not_an_object() {
        for text in [
            "",
            "[]",
            "null",
            "\"a\"",
            "[{\"a\":1}]",
            "1e999",
            "{\"a\":1",
        ] {
            assert!(pick(text, ["a"])[0].is_none(), "{text}");
        }
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        assert!(matches!(
            string(Some(raw("\"ü\""))),
            Some(Cow::Borrowed("ü"))
        ));
    }

    #[test]
    fn escapes_are_resolved() {
        let text = string_of(r#""\u00fc\/\"\n\ud83d\udce6""#);
        assert_eq!(text.as_deref(), Some("ü/\"\n📦"));
    }

    #[test]
    fn each_lone_surrogate_becomes_one_replacement_character() {
        for (json, text) in [
            (r#""\ud800""#, "\u{FFFD}"),
            (r#""a\udfffb""#, "a\u{FFFD}b"),
            (r#""\ud800\ud83d\udce6""#, "\u{FFFD}📦"),
            (r#""\udce6\ud83d""#, "\u{FFFD}\u{FFFD}"),
            (r#""\ud800\n""#, "\u{FFFD}\n"),
            (r#""\ud7ff\ue000\n""#, "\u{D7FF}\u{E000}\n"),
        ] {
            assert_eq!(string_of(json).as_deref(), Some(text), "{json}");
        }
    }

    #[test]
    fn what_is_not_a_string_or_empty_is_none() {
        for text in ["\"\"", "1", "null", "[\"a\"]", "{}", "true", "1e999"] {
            assert_eq!(string_of(text), None, "{text}");
        }
        assert_eq!(string(None), None);
    }

    #[test]
    fn an_object_needs_something_in_it() {
        for text in ["{}", "{ \n}", "[]", "null", "\"{\"", "[1]"] {
            assert!(object(Some(raw(text))).is_none(), "{text}");
        }
        assert!(object(Some(raw("{ \"a\":1}"))).is_some());
        assert!(object(None).is_none());
    }

    #[test]
    fn seconds_are_read_from_numbers_and_numeric_strings() {
        for text in [
            "1795300002",
            "\"1795300002\"",
            "1795300002.0",
            "1795300002.75",
            "1.795300002e9",
        ] {
            assert_eq!(seconds(Some(raw(text))), Some(1_795_300_002), "{text}");
        }
        assert_eq!(seconds(Some(raw("0"))), Some(0));
        assert_eq!(seconds(Some(raw("4294967295"))), Some(u32::MAX));
    }

    #[test]
    fn unreadable_seconds_are_none() {
        for text in [
            "-1",
            "4294967296",
            "1e999",
            "99999999999999999999999",
            "null",
            "true",
            "[1]",
            "{}",
            "\"\"",
            "\"soon\"",
            "\"inf\"",
            "\"nan\"",
            "\"2026-11-22\"",
        ] {
            assert_eq!(seconds(Some(raw(text))), None, "{text}");
        }
        assert_eq!(seconds(None), None);
    }

    #[test]
    fn elements_of_anything_but_an_array_are_none() {
        assert_eq!(elements(Some(raw("[1, [2]]"))).len(), 2);
        for text in ["{}", "null", "\"[1]\"", "1"] {
            assert!(elements(Some(raw(text))).is_empty(), "{text}");
        }
        assert!(elements(None).is_empty());
    }
}
