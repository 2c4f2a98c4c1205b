//! The kind of an event.

use std::borrow::Cow;

use crate::fields::Top;

/// The kind of an event that does not say what it is.
pub const UNKNOWN: &str = "unknown";

/// The kinds that Mandrill documents. ("Webhook Format", "Sync Event Webhook format" and "Inbound
/// Email Processing Overview", Mailchimp Transactional; the list is open.)
pub const KINDS: [&str; 16] = [
    "send",
    "deferral",
    "delivered",
    "hard_bounce",
    "soft_bounce",
    "open",
    "click",
    "spam",
    "unsub",
    "reject",
    "inbound",
    "blacklist_add",
    "blacklist_change",
    "blacklist_remove",
    "whitelist_add",
    "whitelist_remove",
];

/// Mandrill's longest is `hard_bounce`; what is longer than this is not a name of a kind.
const MAX_KIND_BYTES: usize = 64;

pub(crate) fn kind<'a>(top: &Top<'a>) -> Cow<'a, str> {
    let kind = match (&top.event, &top.sync_type, &top.action) {
        (Some(event), ..) => event.clone(),
        (None, Some(sync_type), Some(action)) => Cow::Owned(format!("{sync_type}_{action}")),
        (None, Some(sync_type), None) => sync_type.clone(),
        (None, None, _) => Cow::Borrowed(UNKNOWN),
    };
    let is_name = kind.len() <= MAX_KIND_BYTES
        && !kind.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_name {
        kind
    } else {
        Cow::Borrowed(UNKNOWN)
    }
}
