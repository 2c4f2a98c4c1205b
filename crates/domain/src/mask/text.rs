//! Finding addresses in texts of any kind. Rather too much is masked than too little.

use std::borrow::Cow;
use std::ops::Range;

use super::MASK;

/// How often a text is percent-decoded to see what is in it: forwarders and trackers encode links
/// within links. What is still encoded then is masked. Also how often a text is masked at most.
pub(super) const ROUNDS: usize = 8;

/// The text with its addresses masked.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    // A mask may become the local part of what stands behind it.
    for _ in 0..ROUNDS {
        match masked_once(&masked) {
            Some(next) => masked = Cow::Owned(next),
            None => break,
        }
    }
    masked
}

/// None when there is nothing to mask.
fn masked_once(text: &str) -> Option<String> {
    if !may_hold_address(text.as_bytes()) {
        return None;
    }
    let mut spans = encoded(text);
    if spans.is_empty() {
        spans = addresses(text);
    }
    (!spans.is_empty()).then(|| replaced(text, &spans))
}

/// What should be one address: all but its domain is masked, names and quotes around it too.
pub(super) fn masked_address(text: &str) -> Cow<'_, str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let domain = text.rsplit_once('@').map_or("", |(_, domain)| domain);
    let end = domain.find(|c| !is_part(c)).unwrap_or(domain.len());
    let domain = &domain[..end];
    if domain.is_empty() || holds_address(domain) {
        return Cow::Borrowed(MASK);
    }
    Cow::Owned(format!("{MASK}@{domain}"))
}

/// Whether the text, or what it is when it is percent-decoded, holds an address.
pub(super) fn holds_address(text: &str) -> bool {
    may_hold_address(text.as_bytes()) && (is_encoded_address(text) || !addresses(text).is_empty())
}

/// A quick look: most texts are passed by it.
fn may_hold_address(text: &[u8]) -> bool {
    let (mut dots, mut colons) = (0, 0);
    for byte in text {
        match byte {
            b'@' | b'%' => return true,
            b'.' => dots += 1,
            b':' => colons += 1,
            _ => {}
        }
    }
    dots >= 3 || colons >= 2
}

/// A part of a text, and what is left of it.
struct Span {
    range: Range<usize>,
    mask: &'static str,
}

fn replaced(text: &str, spans: &[Span]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for span in spans {
        masked.push_str(&text[end..span.range.start]);
        masked.push_str(span.mask);
        end = span.range.end;
    }
    masked.push_str(&text[end..]);
    masked
}

/// The words that hold an address once they are percent-decoded, and not before.
fn encoded(text: &str) -> Vec<Span> {
    if !text.contains('%') {
        return Vec::new();
    }
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace()
        .filter(|word| is_encoded_address(word))
        .map(|word| Span {
            range: start(word)..start(word) + word.len(),
            mask: MASK,
        })
        .collect()
}

fn is_encoded_address(word: &str) -> bool {
    let mut decoded = Cow::Borrowed(word);
    for round in 0..ROUNDS {
        let next = percent_decoded(&decoded);
        let Some(next) = next else {
            return round > 0 && !addresses(&decoded).is_empty();
        };
        decoded = Cow::Owned(next);
    }
    true
}

/// The text decoded once; none when nothing in it is encoded.
fn percent_decoded(text: &str) -> Option<String> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let escaped = match first {
            b'%' => digit(0).zip(digit(1)),
            _ => None,
        };
        let escaped = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    if bytes.len() == text.len() {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where addresses of any kind are, in order.
fn addresses(text: &str) -> Vec<Span> {
    let mails = mail_addresses(text);
    let mut spans = Vec::new();
    let mut end = 0;
    for mail in mails {
        ip_addresses(text, end..mail.range.start, &mut spans);
        end = mail.range.end;
        spans.push(mail);
    }
    ip_addresses(text, end..text.len(), &mut spans);
    spans
}

/// The local parts of mail addresses, and domains that are IP addresses in brackets.
fn mail_addresses(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut end = text.len();
    // From the end, since a quoted local part may have an at sign in it.
    while let Some(at) = text[..end].rfind('@') {
        end = at;
        let domain = &text[at + 1..];
        let start = local_start(text, at);
        if start == at || !is_domain(domain) {
            continue;
        }
        if domain.starts_with('[') {
            let literal = domain
                .find([']', ' '])
                .map_or(text.len(), |end| at + end + 2);
            let next = spans
                .last()
                .map_or(text.len(), |span: &Span| span.range.start);
            spans.push(Span {
                range: at + 1..literal.min(next),
                mask: MASK,
            });
        }
        if &text[start..at] != MASK {
            spans.push(Span {
                range: start..at,
                mask: MASK,
            });
        }
        end = start;
    }
    spans.reverse();
    spans
}

fn is_domain(text: &str) -> bool {
    let first = text.chars().next();
    first.is_some_and(|c| c == '[' || c == '*' || is_local(c))
}

/// Whether it can be a part of an address that is not quoted. Letters of any script may.
fn is_local(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"')
}

/// Where the local part starts that ends at `at`.
fn local_start(text: &str, at: usize) -> usize {
    let mut start = at;
    while let Some(before) = text[..start].chars().next_back() {
        start = match before {
            '"' => opening_quote(&text[..start - 1]).unwrap_or(start - 1),
            c if is_local(c) => start - c.len_utf8(),
            // A comment, or what nobody knows: `john(home)@example.net`.
            c if start == at && !c.is_whitespace() => {
                return text[..at].rfind(char::is_whitespace).map_or(0, |space| {
                    text[space..]
                        .chars()
                        .next()
                        .map_or(space, |c| space + c.len_utf8())
                });
            }
            _ => return start,
        };
    }
    start
}

/// Where the quoted text begins whose closing quote stands behind `text`.
fn opening_quote(text: &str) -> Option<usize> {
    let mut end = text.len();
    loop {
        let quote = text[..end].rfind('"')?;
        let escapes = text[..quote]
            .bytes()
            .rev()
            .take_while(|byte| *byte == b'\\');
        if escapes.count() % 2 == 0 {
            return Some(quote);
        }
        end = quote;
    }
}

/// Finds IP addresses in a part of the text.
fn ip_addresses(text: &str, within: Range<usize>, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let mut at = within.start;
    while at < within.end {
        let length = bytes[at..within.end]
            .iter()
            .take_while(|byte| is_part(byte))
            .count();
        let run = at..at + length;
        if is_v6(&bytes[run.clone()]) {
            spans.push(Span {
                range: run.clone(),
                mask: MASK,
            });
        } else {
            v4_addresses(bytes, run.clone(), spans);
        }
        at = run.end + 1;
    }
}

/// Whether hexadecimal digits, colons and dots are an IP address of version 6, in any form, or
/// hold one.
fn is_v6(run: &[u8]) -> bool {
    let colons = run.iter().filter(|byte| **byte == b':').count();
    let dots = run.iter().filter(|byte| **byte == b'.').count();
    let is_short = run.windows(2).any(|pair| pair == b"::") && run.len() > 2;
    is_short || colons >= 7 || (colons >= 6 && dots >= 3)
}

/// Four numbers with dots between them, or more.
fn v4_addresses(bytes: &[u8], within: Range<usize>, spans: &mut Vec<Span>) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut at = within.start;
    while at < within.end {
        let length = bytes[at..within.end]
            .iter()
            .take_while(|byte| is_part(byte))
            .count();
        let run = &bytes[at..at + length];
        let numbers = run
            .split(|byte| *byte == b'.')
            .filter(|number| !number.is_empty());
        if numbers.count() >= 4 {
            spans.push(Span {
                range: at..at + length,
                mask: MASK,
            });
        }
        at += length + 1;
    }
}
