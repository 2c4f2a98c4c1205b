//! Masking of addresses in texts of any kind. If it is uncertain whether something is an address, it
//! is masked.

use std::borrow::Cow;
use std::ops::Range;

use super::ip::ip_addresses;
use super::mail::{mail_addresses, unfinished_address};
use super::reading::{Char, decoded, undecoded, unquoted, words};
use crate::event::{FIELD_BYTES, beginning};

/// The replacement for masked text. Its length does not depend on the text.
pub(super) const MASK: &str = "***";

/// The most passes over a text. A pass may leave something to mask, since a mask can become the local
/// part of the text after it.
pub(super) const ROUNDS: usize = 8;

/// The first [`FIELD_BYTES`] of a text with its addresses masked.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    masked_within(text, FIELD_BYTES)
}

/// The first `limit` bytes of a text with its addresses masked.
pub(super) fn masked_within(text: &str, limit: usize) -> Cow<'_, str> {
    let mut masked = match kept(text, limit) {
        Some(kept) => Cow::Owned(masked_beginning(kept)),
        None => Cow::Borrowed(text),
    };
    for _ in 0..ROUNDS {
        match masked_once(&masked) {
            Some(next) => {
                masked = Cow::Owned(looked_at(&next, limit, whole).into_owned());
            }
            None => break,
        }
    }
    masked
}

/// A cut text with a mask at its end. An address in it is masked first, since without its last words it
/// may not be recognised.
fn masked_beginning(kept: &str) -> String {
    let masked = masked_once(kept);
    let kept = masked
        .as_deref()
        .map_or(kept, |masked| beginning(masked, kept.len()));
    format!("{}{MASK}", &kept[..whole(kept)])
}

/// The length of a cut text without its last words, which may be the beginning of an address or of an
/// encoded word.
fn whole(kept: &str) -> usize {
    let end = |chars: &[Char]| {
        let cut = unfinished_address(chars).min(unfinished_word(chars));
        chars.get(cut).map_or(kept.len(), |char| char.start)
    };
    end(&decoded(kept)).min(end(&unquoted(kept)))
}

/// The first `limit` bytes of a text. If the text may have been cut, here or when it was stored, a mask
/// replaces what follows the first `whole` bytes.
pub(super) fn looked_at(text: &str, limit: usize, whole: impl Fn(&str) -> usize) -> Cow<'_, str> {
    match kept(text, limit) {
        Some(kept) => Cow::Owned(format!("{}{MASK}", &kept[..whole(kept)])),
        None => Cow::Borrowed(text),
    }
}

/// What fits before a mask, if the text may have been cut.
fn kept(text: &str, limit: usize) -> Option<&str> {
    // A character has at most four bytes, so a text that was cut is hardly shorter than the limit.
    let longest = limit - 4;
    (text.len() > longest).then(|| beginning(text, longest - MASK.len()))
}

/// `None` if there is nothing to mask.
fn masked_once(text: &str) -> Option<String> {
    let found = addresses(text);
    if found.is_empty() {
        return None;
    }
    let next = replaced(text, &found);
    (next != text).then_some(next)
}

/// A field that holds one address: all but the domain is masked, including a display name.
pub(super) fn masked_address(text: &str) -> Cow<'_, str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_end = |c: char| c.is_whitespace() || matches!(c, '>' | ',' | ';' | ')' | '"' | '\'');
    let domain = text.rsplit_once('@').map_or("", |(_, domain)| domain);
    let end = domain.find(|c| !is_part(c)).unwrap_or(domain.len());
    let (domain, after) = domain.split_at(end);
    let is_whole = after.chars().next().is_none_or(is_end);
    // RFC 1035, section 2.3.4, has 255 bytes for the longest.
    let is_name = (1..=255).contains(&domain.len()) && !holds_address(domain);
    if !is_whole || !is_name {
        return Cow::Borrowed(MASK);
    }
    Cow::Owned(format!("{MASK}@{domain}"))
}

/// Whether the text, as it is or decoded, holds an address.
pub(super) fn holds_address(text: &str) -> bool {
    !addresses(text).is_empty()
}

/// The ranges of a text to mask, sorted and disjoint.
fn addresses(text: &str) -> Vec<Range<usize>> {
    let signs = signs(text.as_bytes());
    if !signs.may_be_address {
        return Vec::new();
    }
    let mut found = Vec::new();
    if !signs.may_be_escape {
        find(text, &undecoded(text), &mut found);
        return joined(found);
    }
    let chars = decoded(text);
    find(text, &chars, &mut found);
    if signs.may_be_quoted || chars.iter().any(|char| char.c == '=' && char.is_decoded) {
        find(text, &unquoted(text), &mut found);
    }
    if chars.iter().any(|char| char.is_decoded) {
        // What looks like an escape may be a part of an address: `of 100%12.0.2.1`.
        let chars = undecoded(text);
        found.extend(in_text(text, &chars, ip_addresses(&chars)));
    }
    joined(found)
}

/// Finds addresses in a text as it is read in one way.
fn find(text: &str, chars: &[Char], found: &mut Vec<Range<usize>>) {
    found.extend(in_text(text, chars, encoded_words(chars)));
    found.extend(in_text(text, chars, mail_addresses(chars)));
    found.extend(in_text(text, chars, with_words(chars, ip_addresses(chars))));
}

fn in_text(
    text: &str,
    chars: &[Char],
    ranges: Vec<Range<usize>>,
) -> impl Iterator<Item = Range<usize>> {
    let place = |at: usize| chars.get(at).map_or(text.len(), |char| char.start);
    ranges
        .into_iter()
        .map(move |range| place(range.start)..place(range.end))
}

/// Extends each range with an encoded character to whole words.
fn with_words(chars: &[Char], mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut covered = 0..0;
    for range in &mut ranges {
        if range.start >= covered.start && range.end <= covered.end {
            *range = covered.clone();
        } else if chars[range.clone()].iter().any(|char| char.is_decoded) {
            *range = words(chars, range.clone());
            covered = range.clone();
        }
    }
    ranges
}

/// Sorts ranges and merges those that overlap or touch.
fn joined(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.retain(|range| !range.is_empty());
    found.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

fn replaced(text: &str, ranges: &[Range<usize>]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        masked.push_str(&text[end..range.start]);
        masked.push_str(MASK);
        end = range.end;
    }
    masked.push_str(&text[end..]);
    masked
}

/// The result of a quick scan, which lets most texts pass without decoding.
#[derive(Debug, Default, Clone, Copy)]
struct Signs {
    may_be_address: bool,
    may_be_escape: bool,
    /// An at sign, a dot, a colon, an equals sign, or a soft line break in quoted-printable.
    may_be_quoted: bool,
}

fn signs(text: &[u8]) -> Signs {
    let mut signs = Signs::default();
    let (mut dots, mut colons) = (0, 0);
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' | b'&' | b'\\' => signs.may_be_escape = true,
            b'(' | b'[' | b'{' | b'<' if is_spelt(after) => signs.may_be_escape = true,
            b'@' => signs.may_be_address = true,
            b'=' => match after {
                [b'?', ..] => signs.may_be_address = true,
                [b'4', b'0', ..]
                | [b'2', b'E' | b'e', ..]
                | [b'3', b'A' | b'D' | b'a' | b'd', ..]
                | [b'\n', ..]
                | [b'\r', b'\n', ..] => {
                    signs.may_be_quoted = true;
                    signs.may_be_escape = true;
                }
                [b'8' | b'9' | b'A'..=b'F' | b'a'..=b'f', _, ..] => signs.may_be_escape = true,
                _ => {}
            },
            b'.' => dots += 1,
            b':' => {
                colons += 1;
                signs.may_be_address |= is_before_number(after);
            }
            // One dot leader, ideographic full stop, fullwidth forms, tags.
            0xE2 if after.starts_with(&[0x80, 0xA4]) => dots += 1,
            0xE3 if after.starts_with(&[0x80, 0x82]) => dots += 1,
            0xEF | 0xF3 => signs.may_be_escape = true,
            _ => {}
        }
    }
    signs.may_be_address |= signs.may_be_escape || dots >= 3 || colons >= 2;
    signs
}

/// Whether slashes and a digit follow.
fn is_before_number(after: &[u8]) -> bool {
    let slashes = after.iter().take_while(|byte| matches!(byte, b'/' | b'\\'));
    let slashes = slashes.count();
    let next = after.get(slashes);
    slashes >= 2 && next.is_some_and(|next| next.is_ascii_digit() || !next.is_ascii())
}

/// Whether this may be the inside of `(at)`, `( at )` or `[.]`.
fn is_spelt(inside: &[u8]) -> bool {
    matches!(
        inside.trim_ascii_start(),
        [b'@' | b'.', ..] | [b'a' | b'A', b't' | b'T', ..] | [b'd' | b'D', b'o' | b'O', ..]
    )
}

/// The encoded words of headers (RFC 2047, section 2), whatever they encode. White space inside and a
/// missing end are allowed, since many programs decode such words.
fn encoded_words(chars: &[Char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    // Without this, each word without an end would be searched to the end of the text.
    let last_end = last_word_end(chars);
    while let Some((start, content)) = encoded_word(chars, at) {
        let end = if content <= last_end {
            position(chars, content, ['?', '='])
        } else {
            None
        };
        let word = words(chars, start..end.map_or(content, |end| end + 2));
        at = word.end;
        found.push(word);
    }
    found
}

/// The start of an encoded word without an end, or the end of the text.
fn unfinished_word(chars: &[Char]) -> usize {
    let mut at = 0;
    let last_end = last_word_end(chars);
    while let Some((start, content)) = encoded_word(chars, at) {
        if content > last_end {
            return words(chars, start..start).start;
        }
        at = position(chars, content, ['?', '=']).map_or(content, |end| end + 2);
    }
    chars.len()
}

/// Where the last `?=` begins, or 0.
fn last_word_end(chars: &[Char]) -> usize {
    let mut pairs = chars.windows(2);
    let last = pairs.rposition(|pair| pair[0].c == '?' && pair[1].c == '=');
    last.unwrap_or_default()
}

/// Where the next encoded word starts, and where what it encodes does.
fn encoded_word(chars: &[Char], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(start) = position(chars, at, ['=', '?']) {
        at = start + 2;
        if let Some(length) = encoding(&chars[at..]) {
            return Some((start, at + length));
        }
    }
    None
}

/// The length of `utf-8?q?` at the beginning.
fn encoding(chars: &[Char]) -> Option<usize> {
    // RFC 2047 has 75 characters for a whole word.
    let mut parts = chars[..chars.len().min(75)].split(|char| char.c == '?');
    let charset = parts.next()?;
    let [kind] = parts.next()? else { return None };
    parts.next()?;
    let is_word = !charset.iter().any(|char| char.is_space());
    (is_word && matches!(kind.c, 'b' | 'B' | 'q' | 'Q')).then_some(charset.len() + 3)
}

fn position(chars: &[Char], from: usize, two: [char; 2]) -> Option<usize> {
    let mut pairs = chars[from..].windows(2);
    let found = pairs.position(|pair| pair[0].c == two[0] && pair[1].c == two[1]);
    found.map(|found| from + found)
}
