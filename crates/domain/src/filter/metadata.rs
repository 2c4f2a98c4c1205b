//! Finds the values of a key in the text of a JSON object without parsing it.

use std::collections::HashSet;

use memchr::memchr2;

use super::term::{fold, fold_char};

/// The text of a value that filters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'j> {
    /// A string without escapes, or the text of a number, of `true` or `false`, or of an array or
    /// an object.
    Plain(&'j str),
    /// The inside of a string with escapes.
    Escaped(&'j str),
}

/// The values of a key at the top level of the JSON object `json`, in any case and for each occurrence.
/// `null` is no value. `key` is folded. There are none if `json` is not an object.
pub(super) fn values<'j>(json: &'j str, key: &str) -> impl Iterator<Item = Value<'j>> {
    let is_wanted = move |(name, value): &(&str, &str)| {
        let is_key = match name.contains('\\') {
            true => unescape(name).flat_map(fold_char).eq(key.chars()),
            false => is_equal(name, key),
        };
        is_key && *value != "null"
    };
    entries(json)
        .filter(is_wanted)
        .map(|(_, value)| read(value))
}

/// Whether a key is repeated at the top level of a JSON object, in any case. Filters find the values of
/// all its occurrences.
#[must_use]
pub fn repeats_a_key(json: &str) -> bool {
    let mut seen = HashSet::new();
    let key_of = |name| unescape(name).flat_map(fold_char);
    let mut keys = entries(json).map(|(name, _)| key_of(name).collect::<String>());
    !keys.all(|key| seen.insert(key))
}

fn is_equal(name: &str, key: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(key);
    }
    fold(name).eq(key.chars())
}

fn read(value: &str) -> Value<'_> {
    let inside = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(inside) if inside.contains('\\') => Value::Escaped(inside),
        Some(inside) => Value::Plain(inside),
        None => Value::Plain(value),
    }
}

/// The keys, without quotes and still escaped, and the texts of the values.
pub(crate) fn entries(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = json.trim_start().strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        let start = rest.trim_start_matches([',', ' ', '\t', '\n', '\r']);
        let inside = start.strip_prefix('"')?;
        let (name, after) = inside.split_at_checked(string_end(inside.as_bytes())?)?;
        let value = after.get(1..)?.trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = value.split_at_checked(value_end(value.as_bytes())?)?;
        rest = after;
        Some((name, value))
    })
}

/// The place of the quote that ends a string.
fn string_end(inside: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Where a value ends. Its first byte is not white space.
fn value_end(value: &[u8]) -> Option<usize> {
    match value.first()? {
        b'"' => Some(string_end(&value[1..])? + 2),
        b'{' | b'[' => nested_end(value),
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            value.iter().position(is_end)
        }
    }
}

fn nested_end(value: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match value.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => at += string_end(&value[at + 1..])? + 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The characters of a JSON string; half a surrogate pair becomes U+FFFD.
pub(super) fn unescape(inside: &str) -> Unescape<'_> {
    Unescape { rest: inside }
}

#[derive(Debug, Clone)]
pub(super) struct Unescape<'j> {
    rest: &'j str,
}

impl Iterator for Unescape<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.take()? {
            '\\' => Some(match self.take()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.code_point(),
                same => same,
            }),
            plain => Some(plain),
        }
    }
}

impl Unescape<'_> {
    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// After `\u`.
    fn code_point(&mut self) -> char {
        let Some(unit) = self.unit(0) else {
            return char::REPLACEMENT_CHARACTER;
        };
        self.rest = &self.rest[4..];
        if !(0xD800..0xDC00).contains(&unit) || !self.rest.starts_with("\\u") {
            return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        match self.unit(2) {
            Some(low @ 0xDC00..0xE000) => {
                self.rest = &self.rest[6..];
                let code_point = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => char::REPLACEMENT_CHARACTER,
        }
    }

    /// The number of four hexadecimal digits at byte `from`.
    fn unit(&self, from: usize) -> Option<u32> {
        let digits = self.rest.get(from..from + 4)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
    }
}
