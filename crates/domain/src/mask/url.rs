//! Links.

use std::borrow::Cow;

use super::MASK;
use super::reading::decoded;
use super::text::{ROUNDS, holds_address, looked_at, masked as masked_text};
use crate::event::{FIELD_BYTES, beginning};

const SLASHES: [char; 2] = ['/', '\\'];

/// The link without query, fragment and user, and with each part of its path masked that holds an
/// address, encoded or not.
pub(super) fn masked(url: &str) -> Cow<'_, str> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (kept, cut) = url.split_at(end);
    let is_slash = |c| SLASHES.contains(&c);
    let mut masked = looked_at(kept, FIELD_BYTES, is_slash);
    if is_within_address(kept, cut) {
        let before = masked.trim_end_matches(|c| !is_slash(c));
        masked = Cow::Owned(format!("{before}{MASK}"));
    }
    // With a mask in it, an odd link may have other parts than before.
    for _ in 0..ROUNDS {
        match masked_once(&masked) {
            Some(next) if next != masked => {
                masked = Cow::Owned(looked_at(&next, FIELD_BYTES, is_slash).into_owned());
            }
            _ => break,
        }
    }
    masked
}

/// Whether what looks like the fragment of a link may be the rest of an address: `anna&#64;…`,
/// `mailto:anna#1@…`.
fn is_within_address(kept: &str, cut: &str) -> bool {
    if !cut.starts_with('#') {
        return false;
    }
    let segment = kept.rsplit(SLASHES).next().unwrap_or_default();
    let last = decoded(beginning(segment, FIELD_BYTES));
    let is_entity = last.last().is_some_and(|char| char.c == '&');
    is_entity || (!kept.contains(SLASHES) && holds_address(beginning(cut, FIELD_BYTES)))
}

/// None when there is nothing to mask.
fn masked_once(url: &str) -> Option<String> {
    let (scheme, authority, path) = parts(url);
    let (is_user_cut, host) = match authority.rfind('@') {
        Some(at) => (true, &authority[at + 1..]),
        None => (false, authority),
    };
    let is_number = !scheme.is_empty() && is_number(host);
    if !is_user_cut && !is_number && !holds_address(url) {
        return None;
    }
    let mut masked = String::with_capacity(url.len());
    masked.push_str(&masked_text(scheme));
    if is_user_cut && scheme.is_empty() {
        masked.push_str(MASK);
        masked.push('@');
    }
    masked.push_str(&match host {
        "" if is_user_cut => Cow::Borrowed(MASK),
        host if is_number => {
            let port = host.find(':').map_or("", |colon| &host[colon..]);
            Cow::Owned(format!("{MASK}{port}"))
        }
        host => masked_text(host),
    });
    // A backslash may begin an escape (`\u0040`), and belongs to its part then.
    for segment in path.split_inclusive('/') {
        let text = segment.trim_end_matches('/');
        masked.push_str(if holds_address(text) { MASK } else { text });
        masked.push_str(&segment[text.len()..]);
    }
    Some(masked)
}

/// Whether a host is an IP address since its last part is a number, however many parts it has
/// (`http://3221226001/`). ("URL Standard", section 3.5: ends-in-a-number checker.)
fn is_number(host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let is_dot = |c: char| matches!(c, '.' | '\u{3002}' | '\u{FF0E}' | '\u{FF61}');
    let last = name.trim_end_matches(is_dot).rsplit(is_dot).next();
    last.is_some_and(|last| {
        let digits = last.strip_prefix("0x").or(last.strip_prefix("0X"));
        let is_hexadecimal =
            digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
        is_hexadecimal || (!last.is_empty() && last.chars().all(char::is_numeric))
    })
}

/// Up to the slashes, up to the next slash, and the rest. Browsers take a backslash for a slash.
/// Without slashes (`mailto:`) the scheme is empty.
fn parts(url: &str) -> (&str, &str, &str) {
    let start = match url.find(SLASHES) {
        Some(slash) if slash == 0 || url[..slash].ends_with(':') => {
            let rest = url[slash..].trim_start_matches(SLASHES);
            url.len() - rest.len()
        }
        _ => 0,
    };
    let end = url[start..]
        .find(SLASHES)
        .map_or(url.len(), |end| start + end);
    (&url[..start], &url[start..end], &url[end..])
}
