//! A text as its readers, programs or people, see it: with escapes decoded to any depth, without
//! invisible characters, and with look-alikes of ASCII punctuation replaced by ASCII.

use std::ops::Range;

/// A character of the decoded text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Char {
    pub(super) c: char,
    /// The byte of the text at which it, or the escape for it, begins.
    pub(super) start: usize,
    /// Whether the text has an escape in its place.
    pub(super) is_decoded: bool,
}

impl Char {
    /// Whether it is unencoded white space. Encoded white space is part of a word.
    pub(super) fn is_space(self) -> bool {
        self.c.is_whitespace() && !self.is_decoded
    }
}

/// A range of characters, extended to whole words of the text.
pub(super) fn words(chars: &[Char], range: Range<usize>) -> Range<usize> {
    let (before, after) = (&chars[..range.start], &chars[range.end..]);
    let ahead = before.iter().rev().take_while(|char| !char.is_space());
    let behind = after.iter().take_while(|char| !char.is_space());
    range.start - ahead.count()..range.end + behind.count()
}

/// The text without decoding: only invisible characters and look-alikes are handled.
pub(super) fn undecoded(text: &str) -> Vec<Char> {
    visible(text).collect()
}

/// The text with its escapes decoded. Of quoted-printable, only `=3D` and bytes beyond ASCII are: `=20`
/// may be a number after an equals sign.
pub(super) fn decoded(text: &str) -> Vec<Char> {
    read(text, false)
}

/// The text with its escapes decoded, including all of quoted-printable but `=40`, which is an at sign
/// only before a domain.
pub(super) fn unquoted(text: &str) -> Vec<Char> {
    read(text, true)
}

/// A character that completes an escape replaces it with the decoded character, which may complete
/// another: nested escapes take no more time than others.
fn read(text: &str, is_quoted: bool) -> Vec<Char> {
    let mut chars = Vec::with_capacity(text.len());
    let mut has_entity = false;
    for next in visible(text) {
        has_entity |= chars.last().is_some_and(|last: &Char| last.c == '&');
        if has_entity && let Some(escape) = unended_entity(&chars, next.c) {
            push_decoded(&mut chars, escape);
            reduce(&mut chars, is_quoted);
        }
        if is_quoted && next.c == '\n' && pop_line_end(&mut chars) {
            continue;
        }
        chars.push(next);
        reduce(&mut chars, is_quoted);
    }
    if let Some(escape) = unended_entity(&chars, ' ') {
        push_decoded(&mut chars, escape);
        reduce(&mut chars, is_quoted);
    }
    chars
}

/// Removes the equals sign of a soft line break in quoted-printable. Whether there was one.
fn pop_line_end(chars: &mut Vec<Char>) -> bool {
    let length = match chars.as_slice() {
        [before @ .., Char { c: '=', .. }] => before.len(),
        [before @ .., Char { c: '=', .. }, Char { c: '\r', .. }] => before.len(),
        _ => return false,
    };
    chars.truncate(length);
    true
}

fn visible(text: &str) -> impl Iterator<Item = Char> {
    let seen = text.char_indices().filter(|(_, c)| !is_invisible(*c));
    seen.map(|(start, c)| Char {
        c: plain(c),
        start,
        is_decoded: false,
    })
}

pub(super) fn is_invisible(c: char) -> bool {
    match c {
        ' '..='~' | '\t'..='\r' => false,
        // Soft hyphen, joiners, marks of direction, selectors of variants, byte order mark.
        '\u{AD}'
        | '\u{34F}'
        | '\u{61C}'
        | '\u{115F}'..='\u{1160}'
        | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E001F}'
        | '\u{E007F}'..='\u{E01EF}' => true,
        c => c.is_control() && !c.is_whitespace(),
    }
}

/// Look-alikes of ASCII characters as ASCII, and digits of any script as `0`.
fn plain(c: char) -> char {
    let shifted = |by: u32| u32::from(c).checked_sub(by).and_then(char::from_u32);
    match c {
        '\0'..='\u{7F}' => c,
        // Fullwidth forms and tags, in the order of ASCII.
        '\u{FF01}'..='\u{FF5E}' => shifted(0xFEE0).unwrap_or(c),
        '\u{E0020}'..='\u{E007E}' => shifted(0xE_0000).unwrap_or(c),
        '\u{FE6B}' => '@',
        // One dot leader, ideographic, small and halfwidth full stops, which RFC 3490, section 3.1,
        // has for dots.
        '\u{2024}' | '\u{3002}' | '\u{FE52}' | '\u{FF61}' => '.',
        '\u{FE13}' | '\u{FE55}' => ':',
        c if c.is_numeric() => '0',
        c => c,
    }
}

/// The number of characters of an escape at the end of the text, and the character that it encodes.
type Escape = (usize, char);

fn reduce(chars: &mut Vec<Char>, is_quoted: bool) {
    while let Some(escape) = ended_escape(chars, is_quoted) {
        push_decoded(chars, escape);
    }
}

fn push_decoded(chars: &mut Vec<Char>, (count, c): Escape) {
    let at = chars.len() - count;
    let start = chars[at].start;
    chars.truncate(at);
    if !is_invisible(c) {
        chars.push(Char {
            c: plain(c),
            start,
            is_decoded: true,
        });
    }
}

fn ended_escape(chars: &[Char], is_quoted: bool) -> Option<Escape> {
    let last = chars.last()?.c;
    match last {
        ';' => named_entity(chars),
        ')' | ']' | '>' => spelt(chars),
        '}' => spelt(chars).or_else(|| braced(chars)),
        c if c.is_ascii_hexdigit() => hexadecimal(chars, is_quoted).or_else(|| octal(chars)),
        c if byte_of(c).is_some() => utf8(chars),
        _ => None,
    }
}

/// `%40`, `%u0040`, `\x40`, `\u0040`, `\U00000040`, `=EF`.
fn hexadecimal(chars: &[Char], is_quoted: bool) -> Option<Escape> {
    const FORMS: [(&str, usize); 6] = [
        ("%", 2),
        ("=", 2),
        ("%u", 4),
        ("\\x", 2),
        ("\\u", 4),
        ("\\U", 8),
    ];
    FORMS.into_iter().find_map(|(before, digits)| {
        let count = before.len() + digits;
        let escape = &chars[chars.len().checked_sub(count)?..];
        let (sign, digits) = escape.split_at(before.len());
        let is_it = sign.iter().map(|char| char.c).eq(before.chars());
        let code = number(digits, 16).filter(|_| is_it)?;
        let c = match before {
            "=" if code == 0x40 => return None,
            "=" if code != 0x3D && code < 0x80 && !is_quoted => return None,
            "%" | "=" | "\\x" => of_byte(u8::try_from(code).ok()?),
            _ => char::from_u32(code)?,
        };
        Some((count, c))
    })
}

/// `\100`.
fn octal(chars: &[Char]) -> Option<Escape> {
    let [sign, digits @ ..] = &chars[chars.len().checked_sub(4)?..] else {
        return None;
    };
    let code = number(digits, 8).filter(|_| sign.c == '\\')?;
    Some((4, of_byte(u8::try_from(code).ok()?)))
}

/// `\u{40}`.
fn braced(chars: &[Char]) -> Option<Escape> {
    let (_, before) = chars.split_last()?;
    let open = before.iter().rev().take(9).position(|char| char.c == '{')?;
    let at = before.len() - open - 1;
    let code = number(&before[at + 1..], 16)?;
    let is_it = matches!(
        before[..at],
        [.., Char { c: '\\', .. }, Char { c: 'u', .. }]
    );
    let c = char::from_u32(code).filter(|_| is_it)?;
    Some((open + 4, c))
}

/// Named entities, in lower case, of the characters that delimit addresses.
const ENTITIES: [(&str, char); 24] = [
    ("commat", '@'),
    ("amp", '&'),
    ("num", '#'),
    ("percnt", '%'),
    ("period", '.'),
    ("colon", ':'),
    ("semi", ';'),
    ("bsol", '\\'),
    ("equals", '='),
    ("quest", '?'),
    ("quot", '"'),
    ("lt", '<'),
    ("gt", '>'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lbrack", '['),
    ("lsqb", '['),
    ("rbrack", ']'),
    ("rsqb", ']'),
    ("nbsp", '\u{A0}'),
    ("nonbreakingspace", '\u{A0}'),
    ("shy", '\u{AD}'),
    ("zwnj", '\u{AD}'),
    ("zerowidthspace", '\u{AD}'),
];

/// `&commat;`, `&#64;`, `&#x40;`. An unknown name is decoded as a letter.
fn named_entity(chars: &[Char]) -> Option<Escape> {
    let (_, before) = chars.split_last()?;
    if let Some((count, c)) = known_entity(before) {
        return Some((count + 1, c));
    }
    let (count, name) = entity(before)?;
    let is_name = !name.is_empty() && name.iter().all(|char| char.c.is_ascii_alphanumeric());
    numeric_entity(before).or(is_name.then_some((count + 1, 'z')))
}

/// An entity of [`ENTITIES`] at the end, without its `;`.
fn known_entity(chars: &[Char]) -> Option<Escape> {
    let is_last = |name: &str| {
        let mut last = chars.iter().rev().map(|char| char.c);
        let mut letters = name.chars().rev();
        letters.all(|letter| last.next().is_some_and(|c| c.eq_ignore_ascii_case(&letter)))
            && last.next() == Some('&')
    };
    let (name, c) = ENTITIES.into_iter().find(|(name, _)| is_last(name))?;
    Some((name.len() + 1, c))
}

/// An entity without `;`, which browsers decode for numbers and some names.
fn unended_entity(chars: &[Char], next: char) -> Option<Escape> {
    let last = chars.last()?.c;
    if next == ';' || !last.is_ascii_alphanumeric() {
        return None;
    }
    if let Some(known) = known_entity(chars) {
        return Some(known);
    }
    if !last.is_ascii_hexdigit() {
        return None;
    }
    let (count, name) = entity(chars)?;
    let is_hexadecimal = matches!(name.get(1)?.c, 'x' | 'X');
    let goes_on = match is_hexadecimal {
        true => next.is_ascii_hexdigit(),
        false => next.is_ascii_digit(),
    };
    let (_, c) = numeric_entity(chars).filter(|_| !goes_on)?;
    Some((count, c))
}

/// The count includes the `;` after it.
fn numeric_entity(chars: &[Char]) -> Option<Escape> {
    let (count, name) = entity(chars)?;
    let code = match name {
        [Char { c: '#', .. }, Char { c: 'x' | 'X', .. }, digits @ ..] => number(digits, 16),
        [Char { c: '#', .. }, digits @ ..] => number(digits, 10),
        _ => None,
    };
    Some((count + 1, char::from_u32(code?)?))
}

/// The length from the last `&` on, and the characters after it. At most 64, leading zeros included.
fn entity(chars: &[Char]) -> Option<(usize, &[Char])> {
    let mut last = chars.iter().rev().take(64);
    let length = last.position(|char| char.c == '&')?;
    Some((length + 1, &chars[chars.len() - length..]))
}

/// `(at)`, `[dot]`, `[.]`.
fn spelt(chars: &[Char]) -> Option<Escape> {
    const FORMS: [(&str, char); 4] = [("at", '@'), ("dot", '.'), ("@", '@'), (".", '.')];
    let (close, before) = chars.split_last()?;
    let open = match close.c {
        ')' => '(',
        ']' => '[',
        '}' => '{',
        _ => '<',
    };
    // With some white space within: `( at )`.
    let inside = before
        .iter()
        .rev()
        .take(9)
        .position(|char| char.c == open)?;
    let spelt: String = before[before.len() - inside..]
        .iter()
        .map(|char| char.c)
        .collect();
    let spelt = spelt.trim().to_ascii_lowercase();
    let (_, c) = FORMS.into_iter().find(|(word, _)| *word == spelt)?;
    Some((inside + 2, c))
}

fn number(digits: &[Char], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.c.to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}

/// A byte; beyond ASCII, where UTF-8 needs its neighbours, as a private-use character.
fn of_byte(byte: u8) -> char {
    match byte {
        0..0x80 => char::from(byte),
        _ => char::from_u32(BYTES + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

const BYTES: u32 = 0xF_0000;

fn byte_of(c: char) -> Option<u8> {
    let byte = u32::from(c).checked_sub(BYTES)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// The UTF-8 character that the last byte completes.
fn utf8(chars: &[Char]) -> Option<Escape> {
    let mut bytes = [0; 4];
    for count in 1..=4 {
        let next = chars.get(chars.len().checked_sub(count)?)?;
        bytes[4 - count] = byte_of(next.c).filter(|_| next.is_decoded)?;
        if let Ok(text) = std::str::from_utf8(&bytes[4 - count..]) {
            return text.chars().next().map(|c| (count, c));
        }
    }
    None
}
