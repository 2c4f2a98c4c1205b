//! Finding IP addresses.

use std::ops::Range;

use super::reading::Char;

/// The ranges of IP addresses: version 6 in any form, four or more numbers with dots between them, and
/// a number that is the host of a link.
pub(super) fn ip_addresses(chars: &[Char]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let run = at..at + length(&chars[at..], is_part_of_v6);
        if is_v6(chars, run.clone()) {
            found.push(run.clone());
        } else {
            v4_addresses(chars, run.clone(), &mut found);
        }
        // The zero of `0x` ends one run and begins another.
        at = run.end + 1;
    }
    if chars.iter().any(|char| matches!(char.c, 'x' | 'X')) {
        hexadecimal_v4(chars, &mut found);
    }
    numeric_hosts(chars, &mut found);
    found
}

/// Whether the characters begin with a host that is an IPv4 address because its last label is a number,
/// whatever the number of labels (`http://3221226001/`). ("URL Standard", section 3.5: ends-in-a-number
/// checker.)
pub(super) fn is_number(host: &[Char]) -> bool {
    let host = &host[..length(host, is_part_of_host)];
    let is_dot = |char: &Char| char.c == '.';
    let end = host.iter().rposition(|char| char.c != '.');
    let name = &host[..end.map_or(0, |end| end + 1)];
    match name.rsplit(is_dot).next().unwrap_or_default() {
        [Char { c: '0', .. }, Char { c: 'x' | 'X', .. }, digits @ ..] => {
            digits.iter().all(|digit| digit.c.is_ascii_hexdigit())
        }
        digits => !digits.is_empty() && digits.iter().all(|digit| digit.c.is_numeric()),
    }
}

fn is_part_of_host(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.')
}

/// Adds the hosts after `://` that are numbers.
fn numeric_hosts(chars: &[Char], found: &mut Vec<Range<usize>>) {
    let is_slash = |c| matches!(c, '/' | '\\');
    let is_authority = |c: char| !c.is_whitespace() && !matches!(c, '/' | '\\' | '?' | '#');
    let mut at = 0;
    while let Some(colon) = chars[at..].iter().position(|char| char.c == ':') {
        let slashes = at + colon + 1;
        at = slashes + length(&chars[slashes..], is_slash);
        if at < slashes + 2 || !has_host(&chars[..slashes - 1]) {
            continue;
        }
        let authority = &chars[at..at + length(&chars[at..], is_authority)];
        let user = authority.iter().rposition(|char| char.c == '@');
        let host = user.map_or(0, |user| user + 1);
        if is_number(&authority[host..]) {
            let start = at + host;
            found.push(start..start + length(&authority[host..], is_part_of_host));
        }
    }
}

/// Whether a host follows the scheme at the end of the characters. A drive has one letter (`C:\\`), and
/// `file` has a path.
pub(super) fn has_host(before: &[Char]) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.');
    let name = before.iter().rev().take_while(|char| is_part(char.c));
    let file = "elif".chars();
    name.clone().count() >= 2 && !name.map(|char| char.c.to_ascii_lowercase()).eq(file)
}

fn length(chars: &[Char], is_part: impl Fn(char) -> bool) -> usize {
    chars.iter().take_while(|char| is_part(char.c)).count()
}

fn is_part_of_v6(c: char) -> bool {
    c.is_ascii_hexdigit() || matches!(c, ':' | '.')
}

/// Whether a run of hexadecimal digits, colons and dots is or contains an IPv6 address in any form.
fn is_v6(chars: &[Char], run: Range<usize>) -> bool {
    let count = |wanted| {
        chars[run.clone()]
            .iter()
            .filter(|char| char.c == wanted)
            .count()
    };
    let (colons, dots) = (count(':'), count('.'));
    let is_short = |at: usize| chars[at].c == ':' && is_shortened(&chars[..at], &chars[at + 1..]);
    colons >= 7 || (colons >= 6 && dots >= 3) || run.clone().any(is_short)
}

/// Whether a colon between these characters is the second one of an IPv6 address that leaves out zeros
/// (`2001:db8::1`); not of code (`std::f64`, `a::before`) or a time (`12::30`).
fn is_shortened(before: &[Char], after: &[Char]) -> bool {
    let [before @ .., Char { c: ':', .. }] = before else {
        return false;
    };
    let is_hex = |char: &&Char| char.c.is_ascii_hexdigit();
    let (left, right) = (
        before.iter().rev().take_while(is_hex),
        after.iter().take_while(is_hex),
    );
    let (ahead, behind) = (left.clone().count(), right.clone().count());
    let (before, after) = (&before[..before.len() - ahead], &after[behind..]);
    let is_longer = (ahead > 0
        && matches!(before, [.., digit, Char { c: ':', .. }] if digit.c.is_ascii_hexdigit()))
        || (behind > 0
            && matches!(after, [Char { c: ':', .. }, digit, ..] if digit.c.is_ascii_hexdigit()));
    let is_in_word = |char: &Char| char.c.is_ascii_alphanumeric() || char.c == '_';
    let is_beside = before.last().is_some_and(is_in_word) || after.first().is_some_and(is_in_word);
    let is_digit = |char: &Char| char.c.is_ascii_digit();
    let (has_left, has_right) = (left.clone().any(is_digit), right.clone().any(is_digit));
    // No public address begins with a group below `0x100`.
    let is_time =
        (1..=2).contains(&ahead) && (1..=2).contains(&behind) && left.chain(right).all(is_digit);
    match (is_longer, is_beside) {
        (true, _) => true,
        (false, true) => has_left && has_right,
        (false, false) => (has_left || has_right) && !is_time,
    }
}

fn v4_addresses(chars: &[Char], within: Range<usize>, found: &mut Vec<Range<usize>>) {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let mut at = within.start;
    while at < within.end {
        let end = at + length(&chars[at..within.end], is_part);
        let numbers = chars[at..end].split(|char| char.c == '.');
        if numbers.filter(|number| !number.is_empty()).count() >= 4 {
            found.push(at..end);
        }
        at = end + 1;
    }
}

/// `0xC0.0x0.0x2.0x11`; some of the numbers may be decimal or octal.
fn hexadecimal_v4(chars: &[Char], found: &mut Vec<Range<usize>>) {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | 'x' | 'X');
    let mut at = 0;
    while at < chars.len() {
        let end = at + length(&chars[at..], is_part);
        let run = &chars[at..end];
        let is_hexadecimal = |number: &&[Char]| matches!(number, [zero, x, _, ..] if zero.c == '0' && matches!(x.c, 'x' | 'X'));
        let numbers = || run.split(|char| char.c == '.');
        if numbers().any(|number| is_hexadecimal(&number)) && numbers().count() >= 4 {
            found.push(at..end);
        }
        at = end + 1;
    }
}
