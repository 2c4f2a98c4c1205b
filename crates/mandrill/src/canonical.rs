//! What JSON means, apart from how it is written: the order of keys, white space, escapes and the
//! spelling of numbers are the sender's affair, and may be others when it sends the same again.
//!
//! `null`, an empty object and an empty list mean the same as an absent value: PHP, in which
//! Mandrill is written, has one empty array for both. Of a repeated key, the last value counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memchr2;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::json;

/// PHP's `json_encode` takes no more levels. What is deeper counts as it is written.
const LEVELS: usize = 512;

/// Hashes a sequence of values by what they mean. The place of each in the sequence counts.
pub(crate) struct Canonical(Sha256);

impl Canonical {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn text(&mut self, text: Option<&str>) {
        let text = text.map(|text| Meaning::Text(Cow::Borrowed(text.as_bytes())));
        self.add(&text.unwrap_or(Meaning::Nothing));
    }

    pub(crate) fn value(&mut self, value: Option<&RawValue>) {
        let meaning = value.map_or(Meaning::Nothing, |value| Meaning::of(value.get()));
        self.add(&meaning);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// Each with its kind and its length, so that none runs into the next.
    fn add(&mut self, meaning: &Meaning<'_>) {
        let (kind, bytes): (u8, &[u8]) = match meaning {
            Meaning::Nothing => (b'-', &[]),
            Meaning::Word(word) => (b'w', word.as_bytes()),
            Meaning::Number(number) => (b'n', number.as_bytes()),
            Meaning::Text(text) => (b't', text),
            Meaning::List(digest) => (b'l', digest),
            Meaning::Object(digest) => (b'o', digest),
            Meaning::TooDeep(text) => (b'd', text.as_bytes()),
        };
        self.0.update([kind]);
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}

enum Meaning<'a> {
    Nothing,
    /// `true` or `false`.
    Word(&'a str),
    Number(Cow<'a, str>),
    /// Unescaped. WTF-8, which has room for lone surrogates.
    Text(Cow<'a, [u8]>),
    /// Objects and lists as digests of their own: copying each into the one around it would cost
    /// their depth times their length.
    List([u8; 32]),
    Object([u8; 32]),
    TooDeep(&'a str),
}

/// An object or a list whose end has not been reached.
enum Open<'a> {
    List {
        elements: Canonical,
        is_empty: bool,
    },
    Object {
        key: Option<Cow<'a, [u8]>>,
        fields: BTreeMap<Cow<'a, [u8]>, Meaning<'a>>,
    },
}

impl<'a> Meaning<'a> {
    /// Of valid JSON.
    fn of(json: &'a str) -> Self {
        let mut open: Vec<Open<'a>> = Vec::new();
        let mut at = 0;
        while let Some(byte) = json.as_bytes().get(at) {
            let start = at;
            at += 1;
            let meaning = match byte {
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => continue,
                b'{' | b'[' if open.len() == LEVELS => {
                    at = end_of_container(json.as_bytes(), start);
                    Meaning::TooDeep(&json[start..at])
                }
                b'{' => {
                    open.push(Open::object());
                    continue;
                }
                b'[' => {
                    open.push(Open::list());
                    continue;
                }
                b'}' | b']' => open.pop().map_or(Meaning::Nothing, Open::close),
                b'"' => {
                    at = end_of_string(json.as_bytes(), at);
                    Meaning::Text(json::unescaped(&json[start..at]))
                }
                _ => {
                    at = end_of_word(json.as_bytes(), start);
                    Meaning::of_word(&json[start..at])
                }
            };
            match open.last_mut() {
                Some(open) => open.take(meaning),
                None => return meaning,
            }
        }
        Meaning::Nothing
    }

    fn of_word(word: &'a str) -> Self {
        match word {
            "null" => Meaning::Nothing,
            "true" | "false" => Meaning::Word(word),
            number => Meaning::Number(canonical_number(number)),
        }
    }
}

impl<'a> Open<'a> {
    fn list() -> Self {
        Open::List {
            elements: Canonical::new(),
            is_empty: true,
        }
    }

    fn object() -> Self {
        Open::Object {
            key: None,
            fields: BTreeMap::new(),
        }
    }

    fn take(&mut self, meaning: Meaning<'a>) {
        match self {
            Open::List { elements, is_empty } => {
                elements.add(&meaning);
                *is_empty = false;
            }
            Open::Object { key, fields } => match (key.take(), meaning) {
                (None, Meaning::Text(name)) => *key = Some(name),
                (Some(name), meaning) => {
                    fields.insert(name, meaning);
                }
                // There is no such JSON.
                (None, _) => {}
            },
        }
    }

    fn close(self) -> Meaning<'a> {
        match self {
            Open::List { is_empty: true, .. } => Meaning::Nothing,
            Open::List { elements, .. } => Meaning::List(elements.finish()),
            Open::Object { mut fields, .. } => {
                fields.retain(|_, value| !matches!(value, Meaning::Nothing));
                if fields.is_empty() {
                    return Meaning::Nothing;
                }
                let mut all = Canonical::new();
                for (name, value) in fields {
                    all.add(&Meaning::Text(name));
                    all.add(&value);
                }
                Meaning::Object(all.finish())
            }
        }
    }
}

/// Where the string ends whose opening quote is before `at`.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

fn end_of_container(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    json.len()
}

fn end_of_word(json: &[u8], start: usize) -> usize {
    let length = json[start..]
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
    length.map_or(json.len(), |length| start + length)
}

/// A number as its digits and the power of ten of the last one: `1`, `1.0` and `10e-1` are `1e0`,
/// and no digit of a long one is lost. An exponent beyond 64 bits stays as it is written.
fn canonical_number(text: &str) -> Cow<'_, str> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i64>() else {
        return Cow::Borrowed(text);
    };
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let shift = (digits.len() - significant.len()) as i64 - fraction.len() as i64;
    let significant = significant.trim_start_matches('0');
    match exponent.checked_add(shift) {
        _ if significant.is_empty() => Cow::Borrowed("0"),
        Some(exponent) => Cow::Owned(format!("{sign}{significant}e{exponent}")),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::batch::tests::any_json;

    fn digest(json: &str) -> [u8; 32] {
        let mut canonical = Canonical::new();
        canonical.value(Some(serde_json::from_str(json).unwrap()));
        canonical.finish()
    }

    fn assert_all_equal(texts: &[&str]) {
        for text in texts {
            assert_eq!(digest(text), digest(texts[0]), "{text}");
        }
    }

    fn assert_all_differ(texts: &[&str]) {
        for (index, one) in texts.iter().enumerate() {
            for other in &texts[..index] {
                assert_ne!(digest(one), digest(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn numbers_are_what_they_are_worth() {
        assert_all_equal(&["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "1.000e-0"]);
        assert_all_equal(&["0", "-0", "0.0", "0e99", "-0e-7"]);
        assert_all_equal(&["1500", "1.5e3", "15E2", "1500.00"]);
        assert_all_equal(&["9007199254740993", "9007199254740993.0"]);
        assert_all_differ(&[
            "0",
            "1",
            "-1",
            "10",
            "0.1",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "18446744073709551617",
            "1e400",
            "1e401",
            "1e99999999999999999998",
            "1e99999999999999999999",
            "1e-99999999999999999999",
        ]);
    }

    #[test]
    fn what_is_empty_is_absent() {
        assert_all_equal(&[
            "{}",
            "[]",
            "null",
            "[ ]",
            "{\"a\":null}",
            "{\"a\":{\"b\":[]}}",
        ]);
        assert_all_equal(&[
            r#"{"a":1}"#,
            r#"{"a":1,"b":null}"#,
            r#"{"b":{},"a":1,"c":[]}"#,
        ]);
        assert_all_equal(&["[1,null]", "[1,[]]", "[1,{}]"]);
        assert_all_differ(&["null", "[null]", "[null,null]", "\"\"", "0", "false"]);
    }

    #[test]
    fn escapes_spaces_and_the_order_of_keys_do_not_count() {
        assert_all_equal(&[r#""ü/""#, r#""\u00fc\/""#, r#""\u00FC/""#]);
        assert_all_equal(&[r#""📦""#, r#""\ud83d\udce6""#]);
        assert_all_equal(&[
            r#"{"a":{"b":1,"c":[true]},"d":"x"}"#,
            r#"{ "d" : "x", "\u0061" : { "c" : [ true ],"b":1.0 } }"#,
        ]);
        assert_all_equal(&[r#"{"a":1,"a":2}"#, r#"{"a":2}"#]);
        assert_all_equal(&[r#"{"a":1,"a":null,"b":3}"#, r#"{"b":3}"#]);
    }

    #[test]
    fn what_means_something_else_is_something_else() {
        assert_all_differ(&[
            r#"{"a":"b"}"#,
            r#"{"b":"a"}"#,
            r#"["a","b"]"#,
            r#"["b","a"]"#,
            r#"["ab"]"#,
            r#"[["a"],"b"]"#,
            r#"[["a","b"]]"#,
            r#"{"a":["b"]}"#,
            r#"{"a":{"b":1}}"#,
            r#""a""#,
            "1",
            "\"1\"",
            "true",
            "\"true\"",
            r#""\ud800""#,
            r#""\ud801""#,
            r#""\ufffd""#,
        ]);
    }

    #[test]
    fn any_depth_is_read_and_its_end_counts() {
        for depth in [1_000, 100_000] {
            let nested = |end: &str| format!("{}{end}{}", "[".repeat(depth), "]".repeat(depth));
            assert_ne!(digest(&nested("1")), digest(&nested("2")));
            let objects =
                |end: &str| format!("{}{end}{}", r#"{"a]":"#.repeat(depth), "}".repeat(depth));
            assert_ne!(digest(&objects("1")), digest(&objects("2")));
        }
    }

    /// The same JSON, written as differently as one can.
    fn rewritten(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .rev()
                    .map(|(name, value)| format!("{} : {}", escaped(name), rewritten(value)))
                    .collect();
                format!("{{ {} }}", fields.join("\n,"))
            }
            Value::Array(elements) => {
                let elements: Vec<_> = elements.iter().map(rewritten).collect();
                format!("[\t{} ]", elements.join(" , "))
            }
            Value::String(text) => escaped(text),
            Value::Number(number) => format!("{number}00.00e-2"),
            other => other.to_string(),
        }
    }

    fn escaped(text: &str) -> String {
        let units: String = text.encode_utf16().map(|u| format!("\\u{u:04X}")).collect();
        format!("\"{units}\"")
    }

    /// Without what counts as absent.
    fn pruned(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), pruned(value)));
                let kept: serde_json::Map<_, _> = fields.filter(|(_, v)| !v.is_null()).collect();
                if kept.is_empty() {
                    Value::Null
                } else {
                    Value::Object(kept)
                }
            }
            Value::Array(elements) if elements.is_empty() => Value::Null,
            Value::Array(elements) => elements.iter().map(pruned).collect(),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn how_json_is_written_does_not_count(value in any_json()) {
            prop_assert_eq!(digest(&value.to_string()), digest(&rewritten(&value)));
        }

        #[test]
        fn two_values_are_equal_only_if_they_mean_the_same(one in any_json(), other in any_json()) {
            let same = pruned(&one) == pruned(&other);
            prop_assert_eq!(digest(&one.to_string()) == digest(&other.to_string()), same);
        }
    }
}
