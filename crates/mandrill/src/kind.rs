//! The kind of an event.

use std::borrow::Cow;

use crate::fields::Top;

/// The kind of an event that does not say what it is.
pub const UNKNOWN: &str = "unknown";

/// A kind that Mandrill documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    /// One sentence for people.
    pub meaning: &'static str,
}

/// The kinds that Mandrill documents. ("Webhook Format", "Sync Event Webhook format" and "Inbound
/// Email Processing Overview", Mailchimp Transactional; the list is open.)
pub const KINDS: [Kind; 16] = [
    Kind {
        name: "send",
        meaning: "The message was sent.",
    },
    Kind {
        name: "deferral",
        meaning: "The receiving server deferred the message; Mandrill will retry.",
    },
    Kind {
        name: "delivered",
        meaning: "The receiving server accepted the message.",
    },
    Kind {
        name: "hard_bounce",
        meaning: "The message cannot be delivered to this address, permanently.",
    },
    Kind {
        name: "soft_bounce",
        meaning: "The message could not be delivered, temporarily.",
    },
    Kind {
        name: "open",
        meaning: "The message was opened.",
    },
    Kind {
        name: "click",
        meaning: "A link in the message was clicked.",
    },
    Kind {
        name: "spam",
        meaning: "The recipient marked the message as spam.",
    },
    Kind {
        name: "unsub",
        meaning: "The recipient unsubscribed.",
    },
    Kind {
        name: "reject",
        meaning: "Mandrill refused to send the message.",
    },
    Kind {
        name: "inbound",
        meaning: "An inbound message arrived.",
    },
    Kind {
        name: "blacklist_add",
        meaning: "An address was added to the denylist.",
    },
    Kind {
        name: "blacklist_change",
        meaning: "A denylist entry was changed.",
    },
    Kind {
        name: "blacklist_remove",
        meaning: "An address was removed from the denylist.",
    },
    Kind {
        name: "whitelist_add",
        meaning: "An address was added to the allowlist.",
    },
    Kind {
        name: "whitelist_remove",
        meaning: "An address was removed from the allowlist.",
    },
];

/// Whether Mandrill documents a kind of this name.
#[must_use]
pub fn is_documented(name: &str) -> bool {
    KINDS.iter().any(|kind| kind.name == name)
}

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
