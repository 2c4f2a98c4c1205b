//! Links.

use std::borrow::Cow;

use super::ip::{has_host, is_number};
use super::reading::{Char, decoded};
use super::text::{MASK, ROUNDS, holds_address, looked_at, masked as masked_text};
use crate::event::{FIELD_BYTES, beginning};

const SLASHES: [char; 2] = ['/', '\\'];

/// The link without query, fragment and user. Each segment of its path that holds an address, encoded or
/// not, is masked.
pub(super) fn masked(url: &str) -> Cow<'_, str> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (kept, cut) = url.split_at(end);
    let is_slash = |c| SLASHES.contains(&c);
    let mut masked = looked_at(kept, FIELD_BYTES, whole);
    if is_within_address(kept, cut) {
        let before = masked.trim_end_matches(|c| !is_slash(c));
        masked = Cow::Owned(format!("{before}{MASK}"));
    }
    // A mask may change how a malformed link is split.
    for _ in 0..ROUNDS {
        match masked_once(&masked) {
            Some(next) if next != masked => {
                masked = Cow::Owned(looked_at(&next, FIELD_BYTES, whole).into_owned());
            }
            _ => break,
        }
    }
    masked
}

/// The length of a cut link without the last two segments of its path, which may be parts of an address
/// (`anna/@example.net`), and without those that are at signs before them.
fn whole(kept: &str) -> usize {
    let (scheme, authority, _) = parts(kept);
    // The host stays, unless it may be a local part.
    let least = match scheme.is_empty() {
        true => 0,
        false => kept.len().min(scheme.len() + authority.len() + 1),
    };
    let without_last = |text: &str| text.trim_end_matches(|c| !SLASHES.contains(&c)).len();
    let mut end = without_last(kept);
    while end > least {
        let text = kept[..end].trim_end_matches(SLASHES);
        end = without_last(text);
        if !begins_with_sign(&text[end..]) {
            break;
        }
    }
    end.max(least.min(without_last(kept)))
}

/// Whether the apparent fragment of a link may be the rest of an address: `anna&#64;…`,
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

/// `None` if there is nothing to mask.
fn masked_once(url: &str) -> Option<String> {
    let (scheme, authority, path) = parts(url);
    let (is_user_cut, host) = match authority.rfind('@') {
        Some(at) => (true, &authority[at + 1..]),
        None => (false, authority),
    };
    let is_number = is_before_host(scheme) && is_number(&decoded(host));
    // The apparent path may begin with an escape (`anna\u0040`), and without a scheme the apparent host
    // may be a local part (`anna/@example.net`).
    let first = segments(path).next().unwrap_or_default();
    let is_host_masked = (path.starts_with('\\') && holds_address(first))
        || (scheme.is_empty()
            && !host.is_empty()
            && segments(path)
                .find(|part| !part.is_empty())
                .is_some_and(begins_with_sign));
    let has_sign = || segments(path).any(begins_with_sign);
    if !is_user_cut && !is_number && !holds_address(url) && !has_sign() {
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
        _ if is_host_masked => Cow::Borrowed(MASK),
        host if is_number => {
            let port = host.find(':').map_or("", |colon| &host[colon..]);
            Cow::Owned(format!("{MASK}{port}"))
        }
        host => masked_text(host),
    });
    masked.push_str(&masked_path(path));
    Some(masked)
}

/// The path with each segment masked that holds an address, or a local part whose at sign begins the
/// next segment (`anna/@example.net`, `anna/%40/example.net`).
fn masked_path(path: &str) -> String {
    let mut parts: Vec<Cow<'_, str>> = Vec::new();
    let mut is_before_sign = false;
    for part in segments(path).rev() {
        let is_masked = !part.is_empty() && (is_before_sign || holds_address(part));
        parts.push(match is_masked {
            true => Cow::Owned(format!("{}{MASK}", backslashes(part))),
            false => Cow::Borrowed(part),
        });
        is_before_sign = begins_with_sign(part) || (is_before_sign && part.is_empty());
    }
    parts.reverse();
    parts.join("/")
}

/// The backslashes before a segment that separate it from what is before it and begin no escape.
fn backslashes(part: &str) -> &str {
    let chars = decoded(part);
    let first = chars.iter().find(|char| char.c != '\\' || char.is_decoded);
    &part[..first.map_or(part.len(), |char| char.start)]
}

/// Whether a host follows a scheme and its slashes: `http://`, `http:/`, `//`; not `C:\`, `file:///`, `/`.
fn is_before_host(scheme: &str) -> bool {
    match scheme.trim_end_matches(SLASHES).strip_suffix(':') {
        Some(name) => has_host(&decoded(name)),
        None => scheme.len() > 1,
    }
}

/// The segments of a path. Backslashes do not split it, since they may begin an escape (`\u0040`).
fn segments(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/')
}

/// Whether a segment is an at sign, or an at sign and a domain. `@anna` is a user name.
fn begins_with_sign(part: &str) -> bool {
    let chars = decoded(part);
    let rest = match chars.as_slice() {
        [Char { c: '@', .. }, rest @ ..] => rest,
        [
            Char { c: '=', .. },
            Char { c: '4', .. },
            Char { c: '0', .. },
            rest @ ..,
            // Unless it is an ordinary number: `=40.5`.
        ] if rest.is_empty() || rest.iter().any(|char| char.c.is_alphabetic()) => rest,
        _ => return false,
    };
    rest.is_empty() || rest.iter().any(|char| char.c == '.')
}

/// Scheme with its slashes, authority, and the rest. Browsers read a backslash as a slash. The scheme is
/// empty if no slashes follow it (`mailto:`).
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
