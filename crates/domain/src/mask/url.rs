//! Links.

use std::borrow::Cow;

use super::MASK;
use super::text::{ROUNDS, holds_address, masked as masked_text};

/// The link without query, fragment and user, and with each part of its path masked that holds an
/// address, encoded or not.
pub(super) fn masked(url: &str) -> Cow<'_, str> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let mut masked = Cow::Borrowed(&url[..end]);
    // With a mask in it, an odd link may have other parts than before.
    for _ in 0..ROUNDS {
        match masked_once(&masked) {
            Some(next) if next != masked => masked = Cow::Owned(next),
            _ => break,
        }
    }
    masked
}

/// None when there is nothing to mask.
fn masked_once(url: &str) -> Option<String> {
    let (scheme, authority, path) = parts(url);
    let (is_user_cut, host) = match authority.rfind('@') {
        Some(at) => (true, &authority[at + 1..]),
        None => (false, authority),
    };
    if !is_user_cut && !holds_address(url) {
        return None;
    }
    let mut masked = String::with_capacity(url.len());
    masked.push_str(&masked_text(scheme));
    if is_user_cut && scheme.is_empty() {
        masked.push_str(MASK);
        masked.push('@');
    }
    masked.push_str(&match is_user_cut && host.is_empty() {
        true => Cow::Borrowed(MASK),
        false => masked_text(host),
    });
    for segment in path.split_inclusive(['/', '\\']) {
        let text = segment.trim_end_matches(['/', '\\']);
        masked.push_str(if holds_address(text) { MASK } else { text });
        masked.push_str(&segment[text.len()..]);
    }
    Some(masked)
}

/// Up to the slashes, up to the next slash, and the rest. Browsers take a backslash for a slash.
/// Without slashes (`mailto:`) the scheme is empty.
fn parts(url: &str) -> (&str, &str, &str) {
    const SLASHES: [char; 2] = ['/', '\\'];
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
