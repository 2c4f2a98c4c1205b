//! The types that events of others may have.

use platform::http::HttpError;
use platform::parameters::bad;

use crate::body::has_length;

/// What a type has to be, as a message says it.
pub(crate) const RULE: &str = "1 to 64 letters, digits, `.`, `-` or `_`, and not start with \
                               `.` or `-`";
const CHARACTERS: usize = 64;
/// Types that start so are Mandrill's or ours.
const RESERVED: [&str; 6] = [
    "allowlist_",
    "blacklist_",
    "delivery.",
    "denylist_",
    "endpoint.",
    "whitelist_",
];

/// Whether a text can be a type.
pub(crate) fn is_valid(kind: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    has_length(kind, CHARACTERS)
        && kind
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
        && kind.bytes().next().is_some_and(is_word)
}

/// Refuses the types that only Mandrill's events have, and ours.
pub(crate) fn refuse_reserved(kind: &str) -> Result<(), HttpError> {
    // Filters know no case.
    let lower = kind.to_ascii_lowercase();
    let is_reserved = mandrill::is_documented(&lower)
        || lower == mandrill::UNKNOWN
        || RESERVED.iter().any(|start| lower.starts_with(start));
    if !is_reserved {
        return Ok(());
    }
    let message = format!("type `{kind}` is reserved");
    Err(bad("reserved_type", message))
}
