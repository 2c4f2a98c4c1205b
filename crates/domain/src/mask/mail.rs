//! Finding mail addresses: each word next to an at sign.
//!
//! A text is scanned once, from its end to its beginning, since a quoted local part may contain an at
//! sign. Characters that belong to one address are not searched again for another.

use std::ops::Range;

use super::reading::{Char, words};

/// The parts of mail addresses to mask, as ranges of characters: the local part, and after the at sign
/// whatever is not a plain domain. If any character of an address is encoded, its whole words.
pub(super) fn mail_addresses(chars: &[Char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !chars.iter().any(|char| matches!(char.c, '@' | '=')) {
        return found;
    }
    let text = Text {
        chars,
        pairs: pairs(chars),
    };
    let (mut next, mut limit) = (chars.len(), chars.len());
    while let Some(at) = next.checked_sub(1) {
        next = at;
        let Some(sign) = text.at_sign(at, limit) else {
            continue;
        };
        if let Some(start) = text.local_start(&sign, limit) {
            next = text.mask(start, &sign, limit, &mut found);
        } else if let Some(word) = text.named(&sign, limit) {
            found.push(word);
        }
        limit = next;
    }
    found
}

/// The start of what may belong to an address after a cut: the text ends within a local part, a quoted
/// string, a comment, or an at sign of up to two words (`anna [ at`).
pub(super) fn unfinished_address(chars: &[Char]) -> usize {
    let pairs = pairs(chars);
    let is_open = |at: &usize| chars[*at].c == '(' && pairs[*at].closing.is_none();
    let open = (0..chars.len()).find(is_open);
    let text = Text { chars, pairs };
    let last = words(chars, chars.len()..chars.len()).start;
    let spaces = chars[..last].iter().rev();
    let before = last - spaces.take_while(|char| char.is_space()).count();
    let ends = [
        Some(chars.len()),
        Some(last),
        Some(words(chars, before..before).start),
        open,
        text.open_quote(),
    ];
    let starts = ends.into_iter().flatten().map(|end| text.start_before(end));
    let start = starts.min().unwrap_or(chars.len());
    words(chars, start..start).start
}

struct Text<'c> {
    chars: &'c [Char],
    /// For each quote and parenthesis, the places of its opening and its closing one.
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    opening: Option<usize>,
    closing: Option<usize>,
}

fn pairs(chars: &[Char]) -> Vec<Pair> {
    let mut pairs = vec![Pair::default(); chars.len()];
    let (mut quote, mut open, mut backslashes) = (None, Vec::new(), 0);
    for (at, char) in chars.iter().enumerate() {
        let is_escaped = backslashes % 2 == 1;
        backslashes = if char.c == '\\' { backslashes + 1 } else { 0 };
        match char.c {
            '"' => {
                pairs[at].opening = quote;
                if !is_escaped && let Some(before) = quote.replace(at) {
                    pairs[before].closing = Some(at);
                }
            }
            '(' => open.push(at),
            ')' => {
                pairs[at].opening = open.pop();
                if let Some(before) = pairs[at].opening {
                    pairs[before].closing = Some(at);
                }
            }
            _ => {}
        }
    }
    pairs
}

impl Text<'_> {
    /// The at sign that begins at `at`. Its address ends at `limit` at the latest.
    fn at_sign(&self, at: usize, limit: usize) -> Option<Range<usize>> {
        match &self.chars[at..] {
            [Char { c: '@', .. }, ..] => Some(at..at + 1),
            // Quoted-printable (RFC 2045, section 6.7), unless it is an ordinary number.
            [
                Char { c: '=', .. },
                Char { c: '4', .. },
                Char { c: '0', .. },
                ..,
            ] => self.is_domain(at + 3, limit).then_some(at..at + 3),
            _ => None,
        }
    }

    /// Where the local part of an address starts. `None` if there is no local part: the text begins with
    /// the at sign, or white space precedes it and no domain follows (`meet @ 5`).
    fn local_start(&self, sign: &Range<usize>, limit: usize) -> Option<usize> {
        let is_apart = sign.start > 0 && self.chars[sign.start - 1].is_space();
        if is_apart && !self.is_domain(sign.end, limit) {
            return None;
        }
        let start = self.start_before(sign.start);
        (start < sign.start).then_some(start)
    }

    /// Where a local part starts that ends at `end`, perhaps with white space after it.
    fn start_before(&self, end: usize) -> usize {
        let (mut start, mut has_word) = (end, false);
        while let Some(before) = start.checked_sub(1) {
            let char = self.chars[before];
            let opening = self.pairs[before].opening;
            match (char.c, opening) {
                _ if char.is_space() => {
                    let spaces = self.chars[..start].iter().rev();
                    let run = start - spaces.take_while(|char| char.is_space()).count();
                    if has_word && !self.is_between_words(run..start) {
                        break;
                    }
                    // Between two words there is one more to come, perhaps behind a comment.
                    (start, has_word) = (run, false);
                }
                ('"', _) => (start, has_word) = (opening.unwrap_or(before), true),
                // A comment: `john(home)@example.net`.
                (')', Some(opening)) => start = opening,
                _ if is_local(char) => (start, has_word) = (before, true),
                _ if has_word => break,
                // No known form of an address.
                _ => return words(self.chars, before..end).start,
            }
        }
        start
    }

    /// The last quote that is not escaped: whatever is before it, it may open a quoted string.
    fn open_quote(&self) -> Option<usize> {
        let last = self.chars.iter().rposition(|char| char.c == '"')?;
        // An escaped quote closes nothing.
        let open = self.pairs[last].opening;
        open.filter(|open| self.pairs[*open].closing != Some(last))
            .or(Some(last))
    }

    /// Whether white space is within a local part of several words: `anna . x` and `anna .x` (RFC 5322,
    /// section 4.4). A dot right behind a word ends a sentence.
    fn is_between_words(&self, spaces: Range<usize>) -> bool {
        let (before, after) = (&self.chars[..spaces.start], &self.chars[spaces.end..]);
        let is_alone = |next: Option<&Char>| next.is_some_and(|next| next.c != '.');
        match (before, after) {
            (_, [Char { c: '.', .. }, next @ ..]) => is_alone(next.first()),
            ([.., space, Char { c: '.', .. }], _) => space.is_space(),
            _ => false,
        }
    }

    /// The word that begins with an at sign without a local part: a user name (`@anna`).
    fn named(&self, sign: &Range<usize>, limit: usize) -> Option<Range<usize>> {
        let rest = self.chars[..limit].get(sign.end..)?;
        let length = rest.iter().take_while(|char| !char.is_space()).count();
        (length > 0).then(|| sign.start..sign.end + length)
    }

    /// Adds the parts of an address to mask. Returns where the first one begins.
    fn mask(
        &self,
        start: usize,
        sign: &Range<usize>,
        limit: usize,
        found: &mut Vec<Range<usize>>,
    ) -> usize {
        let end = self.odd_end(sign.end, limit);
        let is_decoded = self.chars[start..end].iter().any(|char| char.is_decoded);
        if is_decoded || sign.len() > 1 {
            let word = words(self.chars, start..end);
            found.push(word.clone());
            return word.start;
        }
        if end == limit && end > sign.end {
            // It touches the next address, so both are one range.
            found.push(start..end);
        } else {
            found.extend([sign.end..end, start..sign.start]);
        }
        start
    }

    /// The end of what follows an at sign and is not a plain domain: a comment, a quoted string, or an
    /// address literal in brackets.
    fn odd_end(&self, start: usize, limit: usize) -> usize {
        let mut end = start;
        while end < limit {
            let within = &self.chars[end..limit];
            let word_end = || within.iter().take_while(|char| !char.is_space()).count();
            let closing = match within[0].c {
                '[' => within.iter().position(|char| char.c == ']'),
                '(' | '"' => self.pairs[end].closing.map(|closing| closing - end),
                _ => break,
            };
            let length = closing.map_or_else(word_end, |closing| closing + 1);
            end = limit.min(end + length);
        }
        end
    }

    /// Whether a domain or an IP address follows, after white space and comments; also the beginning of
    /// `example [dot] net` or `example . net`.
    fn is_domain(&self, start: usize, limit: usize) -> bool {
        let mut at = start;
        while let Some(char) = self.chars[..limit].get(at) {
            at = match (char.c, self.pairs[at].closing) {
                ('(', Some(closing)) => closing + 1,
                ('[' | '"', _) => at + 1,
                _ if char.is_space() => at + 1,
                _ => break,
            };
        }
        let is_part = |char: &&Char| char.c.is_alphanumeric() || matches!(char.c, '-' | '_' | '.');
        let rest = self.chars[..limit].get(at..).unwrap_or_default();
        let domain: String = rest.iter().take_while(is_part).map(|char| char.c).collect();
        let mut after = rest
            .iter()
            .skip_while(is_part)
            .skip_while(|char| char.is_space());
        let dot = after.next().filter(|char| char.c == '.');
        let mut next = after.skip_while(|char| char.is_space());
        let goes_on = |_: &&Char| next.next().is_some_and(|char| char.c.is_alphabetic());
        let is_name = |label: &str| label.starts_with(char::is_alphabetic);
        let is_spelt = dot.is_some_and(|dot| dot.is_decoded)
            || (is_name(&domain) && dot.filter(goes_on).is_some());
        let mut labels = domain.split('.').filter(|label| !label.is_empty());
        labels.next().is_some()
            && (is_spelt || labels.any(is_name) || domain.matches('.').count() >= 3)
    }
}

/// Whether a character can be part of an unquoted local part: any encoded character, and any other but
/// white space and delimiters.
fn is_local(char: Char) -> bool {
    let is_end = matches!(
        char.c,
        '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"'
    );
    !char.is_space() && (!is_end || char.is_decoded)
}
