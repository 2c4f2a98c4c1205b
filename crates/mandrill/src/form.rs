//! `application/x-www-form-urlencoded` bodies.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr_iter, memchr2};

use crate::batch::{MAX_EVENTS, split_within};
use crate::raw::RawEvent;

/// The field that holds the batch, as JSON text.
pub const BATCH_FIELD: &str = "mandrill_events";

/// How many fields are read; Mandrill sends one. A body of empty fields would otherwise cost
/// twenty times its size in memory before its signature is checked. What is cut off here makes
/// the signature fail.
const MAX_FIELDS: usize = 1_000;

/// The fields of a form, decoded and sorted by name; fields of one name keep their order.
pub struct Form<'a> {
    body: &'a [u8],
    fields: Vec<Field<'a>>,
}

pub(crate) struct Field<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) value: Cow<'a, [u8]>,
}

impl<'a> Form<'a> {
    /// Decodes `body`. Never fails: a percent sign that escapes nothing stays as it is, as in
    /// the WHATWG URL standard. Values are bytes, since they are signed as bytes.
    pub fn parse(body: &'a [u8]) -> Self {
        let ends = memchr_iter(b'&', body).chain(std::iter::once(body.len()));
        let mut start = 0;
        let mut fields: Vec<_> = ends
            .map(|end| {
                let field = &body[start..end];
                start = end + 1;
                field
            })
            .filter(|field| !field.is_empty())
            .take(MAX_FIELDS)
            .map(Field::decode)
            .collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Self { body, fields }
    }

    /// The events of the form, as [`split`](crate::split) cuts them: of all its batches, if Mandrill
    /// should ever send several. A form without one, but with something else, is one event.
    pub fn events(&self) -> Vec<RawEvent<'_>> {
        let mut batches = self.batches().peekable();
        if batches.peek().is_none() {
            let says_nothing = self.fields.is_empty() || self.body.trim_ascii().is_empty();
            let whole = (!says_nothing).then(|| RawEvent::read(self.body));
            return whole.into_iter().collect();
        }
        let mut events = Vec::new();
        for batch in batches {
            let left = MAX_EVENTS.saturating_sub(events.len());
            events.extend(split_within(batch, left));
        }
        events
    }

    /// The texts of the batches.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(|field| *field.name == *BATCH_FIELD.as_bytes())
            .map(|field| &*field.value)
    }

    pub(crate) fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }
}

impl fmt::Debug for Form<'_> {
    /// Says only how many fields there are: the values hold addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form")
            .field("fields", &self.fields.len())
            .finish()
    }
}

impl<'a> Field<'a> {
    fn decode(field: &'a [u8]) -> Self {
        let (name, value) = match memchr(b'=', field) {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &field[field.len()..]),
        };
        Self {
            name: decode(name),
            value: decode(value),
        }
    }
}

/// How many bytes are looked at and copied at once.
const CHUNK: usize = size_of::<u64>();

/// Resolves `+` and `%XX`; borrows when there are none.
///
/// JSON in a form has an escape every few bytes, so that a search for the next one costs more
/// than the bytes in between: eight bytes are copied blindly, and those before the first escape
/// among them are kept.
fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr2(b'%', b'+', encoded) else {
        return Cow::Borrowed(encoded);
    };
    // The blind copy may reach a chunk beyond the last byte.
    let mut decoded = vec![0; encoded.len() + CHUNK];
    decoded[..first].copy_from_slice(&encoded[..first]);
    let mut written = first;
    let mut rest = &encoded[first..];
    while let Some(chunk) = rest.first_chunk::<CHUNK>() {
        decoded[written..written + CHUNK].copy_from_slice(chunk);
        let plain = bytes_before_escape(*chunk);
        written += plain;
        rest = &rest[plain..];
        // Escapes come in rows: `","` is nine bytes and not one plain one.
        while let Some((byte, after)) = decode_escape(rest) {
            decoded[written] = byte;
            written += 1;
            rest = after;
        }
    }
    while let Some((&plain, after)) = rest.split_first() {
        let (byte, after) = decode_escape(rest).unwrap_or((plain, after));
        decoded[written] = byte;
        written += 1;
        rest = after;
    }
    decoded.truncate(written);
    Cow::Owned(decoded)
}

/// The byte for which the escape at the beginning of `encoded` stands, and what follows it;
/// `None` when there is no escape.
fn decode_escape(encoded: &[u8]) -> Option<(u8, &[u8])> {
    match encoded {
        [b'%', high, low, after @ ..] => match (hex_digit(*high), hex_digit(*low)) {
            (Some(high), Some(low)) => Some(((high << 4) | low, after)),
            _ => Some((b'%', &encoded[1..])),
        },
        [b'%', after @ ..] => Some((b'%', after)),
        [b'+', after @ ..] => Some((b' ', after)),
        _ => None,
    }
}

fn bytes_before_escape(chunk: [u8; CHUNK]) -> usize {
    let word = u64::from_le_bytes(chunk);
    let found = marks_of(word, b'%') | marks_of(word, b'+');
    // Of no mark at all there are 64 trailing zeros: the whole chunk.
    (found.trailing_zeros() / u8::BITS) as usize
}

/// Sets the high bit of the first byte that equals `wanted`; later bytes may be marked wrongly.
fn marks_of(word: u64, wanted: u8) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; CHUNK]);
    const HIGH: u64 = u64::from_le_bytes([0x80; CHUNK]);
    let difference = word ^ u64::from_le_bytes([wanted; CHUNK]);
    difference.wrapping_sub(LOW) & !difference & HIGH
}

fn hex_digit(byte: u8) -> Option<u8> {
    const NONE: u8 = 0xFF;
    const DIGITS: [u8; 256] = {
        let mut digits = [NONE; 256];
        let mut value = 0;
        while value < 16 {
            digits[b"0123456789abcdef"[value as usize] as usize] = value;
            digits[b"0123456789ABCDEF"[value as usize] as usize] = value;
            value += 1;
        }
        digits
    };
    let digit = DIGITS[usize::from(byte)];
    (digit != NONE).then_some(digit)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body of a form with every byte escaped.
    pub(crate) fn encode(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let escape =
            |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("%{b:02x}")).collect() };
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        fields.join("&").into_bytes()
    }

    /// The text of the batch, if there is exactly one.
    fn only_batch(body: &[u8]) -> Option<Vec<u8>> {
        let form = Form::parse(body);
        let mut batches = form.batches();
        batches
            .next()
            .filter(|_| batches.next().is_none())
            .map(<[u8]>::to_vec)
    }

    fn value_of(body: &str) -> Vec<u8> {
        let body = format!("mandrill_events={body}");
        only_batch(body.as_bytes()).unwrap()
    }

    #[test]
    fn plus_and_percent_20_are_both_spaces() {
        assert_eq!(value_of("a+b%20c%2Bd"), b"a b c+d");
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        assert_eq!(value_of("a=b=c"), b"a=b=c");
    }

    #[test]
    fn hex_digits_may_be_of_either_case() {
        assert_eq!(value_of("%c3%BC%C3%bc"), "üü".as_bytes());
    }

    #[test]
    fn a_percent_sign_that_escapes_nothing_stays() {
        for text in ["%", "%2", "%zz", "100%", "%%", "%g1", "a%2", "%é"] {
            assert_eq!(value_of(text), text.as_bytes(), "{text}");
        }
        assert_eq!(value_of("%%41"), b"%A");
        assert_eq!(value_of("%4%41"), b"%4A");
    }

    #[test]
    fn any_byte_can_be_escaped() {
        assert_eq!(value_of("%00%ff%FE"), b"\x00\xff\xfe");
    }

    #[test]
    fn what_has_no_escapes_is_borrowed() {
        let form = Form::parse(b"mandrill_events=[]&other=a+b");
        assert!(matches!(form.fields[0].value, Cow::Borrowed(_)));
        assert!(matches!(form.fields[1].value, Cow::Owned(_)));
    }

    #[test]
    fn names_are_escaped_too() {
        assert_eq!(only_batch(b"mandrill%5Fevents=1"), Some(b"1".to_vec()));
    }

    #[test]
    fn empty_fields_are_skipped() {
        let form = Form::parse(b"&&mandrill_events=1&&");
        assert_eq!(form.fields.len(), 1);
        assert_eq!(form.batches().collect::<Vec<_>>(), [b"1"]);
    }

    fn events(body: &str) -> Vec<String> {
        let form = Form::parse(body.as_bytes());
        let texts = form.events().into_iter();
        texts.map(|event| event.text.into_owned()).collect()
    }

    #[test]
    fn a_form_without_the_field_is_one_event() {
        for body in [
            "x=1",
            "mandrill_events[]=1",
            "Mandrill_events=1",
            "mandrill_events%20=1",
        ] {
            assert_eq!(events(body), [body]);
        }
        for nothing in [
            "",
            "&&",
            " \n",
            "mandrill_events",
            "mandrill_events=",
            "mandrill_events=&x=1",
        ] {
            assert!(events(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_form_with_the_field_twice_has_the_events_of_both() {
        assert_eq!(
            events("mandrill_events=[1,2]&a=b&mandrill_events=[3]"),
            ["1", "2", "3"]
        );
        let many = format!(
            "mandrill_events=[{}0]&mandrill_events=[1,2]",
            "0,".repeat(4_998)
        );
        let found = events(&many);
        assert_eq!(
            (found.len(), &*found[4_999], &*found[5_000]),
            (5_001, "1", "2")
        );
    }

    #[test]
    fn a_field_without_a_value_is_empty() {
        assert_eq!(only_batch(b"mandrill_events"), Some(vec![]));
        assert_eq!(only_batch(b"mandrill_events="), Some(vec![]));
    }

    #[test]
    fn fields_are_sorted_by_name_and_stay_in_order_within_one() {
        let form = Form::parse(b"b=2&a=9&b=1&a=3");
        let values: Vec<_> = form.fields.iter().map(|f| &*f.value).collect();
        assert_eq!(values, [b"9", b"3", b"2", b"1"]);
    }

    #[test]
    fn a_flood_of_fields_is_cut_off() {
        assert_eq!(Form::parse(&b"a&".repeat(100_000)).fields.len(), MAX_FIELDS);
    }

    #[test]
    fn debug_shows_no_value() {
        let debug = format!("{:?}", Form::parse(b"mandrill_events=canary"));
        assert!(!debug.contains("canary"));
    }

    /// The rule byte by byte, as the standard words it.
    fn decode_slowly(encoded: &[u8]) -> Vec<u8> {
        let digit = |at: usize| encoded.get(at).and_then(|b| char::from(*b).to_digit(16));
        let (mut decoded, mut at) = (Vec::new(), 0);
        while at < encoded.len() {
            match (encoded[at], digit(at + 1), digit(at + 2)) {
                (b'%', Some(high), Some(low)) => {
                    decoded.push((high * 16 + low) as u8);
                    at += 2;
                }
                (b'+', ..) => decoded.push(b' '),
                (byte, ..) => decoded.push(byte),
            }
            at += 1;
        }
        decoded
    }

    proptest! {
        #[test]
        fn decoding_any_bytes_follows_the_standard(encoded: Vec<u8>) {
            prop_assert_eq!(&*decode(&encoded), decode_slowly(&encoded));
        }

        #[test]
        fn decoding_any_escapes_follows_the_standard(encoded in "[%+a-g0-4 $*&,-]{0,80}") {
            prop_assert_eq!(&*decode(encoded.as_bytes()), decode_slowly(encoded.as_bytes()));
        }

        #[test]
        fn parsing_any_bytes_never_panics(body: Vec<u8>) {
            let _ = Form::parse(&body).events();
        }

        #[test]
        fn what_was_encoded_is_decoded(value: Vec<u8>) {
            let body = encode(&[(BATCH_FIELD.into(), value.clone())]);
            prop_assert_eq!(only_batch(&body), Some(value));
        }
    }
}
