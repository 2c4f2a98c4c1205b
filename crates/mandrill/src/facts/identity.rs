//! The identity of an event. Mandrill's events have no id, and a batch may be sent more than once.
//!
//! The identity covers every field that consumers act on and that is the same in a retry. It leaves out
//! what Mandrill may render differently in a later attempt: opens, clicks, state, resends and version of
//! the message, locations, parsed user agents, SMTP events later than the event itself, and unknown
//! fields.

use std::borrow::Cow;

use crate::canonical::Canonical;
use crate::fields::{Msg, Top, attempts_until, reason};
use crate::json::{pick_in, seconds, string};
use crate::kind::UNKNOWN;
use crate::raw::RawEvent;

type Digest = [u8; 32];

#[derive(Clone)]
pub(super) enum Identity<'a> {
    Message(Digest),
    Inbound(Digest),
    Sync(Digest),
    /// The whole text, for an event without the fields that the others need.
    Text(&'a str),
}

impl<'a> Identity<'a> {
    pub(super) fn of(
        event: &'a RawEvent<'_>,
        kind: &str,
        top: &Top<'_>,
        msg: &Msg<'_>,
        message_id: Option<&str>,
        recipient: Option<&str>,
    ) -> Self {
        let is_known = message_id.or(recipient).is_some();
        match (kind, &top.event, &top.sync_type, &top.action) {
            (UNKNOWN, ..) => Identity::Text(&event.text),
            ("inbound", ..) => {
                inbound(top, msg, recipient).map_or(Identity::Text(&event.text), Identity::Inbound)
            }
            (_, Some(event), ..) if is_known => {
                Identity::Message(message(event, top, msg, message_id, recipient))
            }
            (_, None, Some(kind), Some(action)) if recipient.is_some() => {
                Identity::Sync(sync([kind, action], top, recipient))
            }
            _ => Identity::Text(&event.text),
        }
    }

    pub(super) fn parts(&self) -> [&[u8]; 2] {
        match self {
            Identity::Message(digest) => [b"message", digest],
            Identity::Inbound(digest) => [b"inbound", digest],
            Identity::Sync(digest) => [b"sync", digest],
            Identity::Text(text) => [b"text", text.as_bytes()],
        }
    }
}

fn message(
    event: &str,
    top: &Top<'_>,
    msg: &Msg<'_>,
    message_id: Option<&str>,
    recipient: Option<&str>,
) -> Digest {
    let mut all = Canonical::new();
    all.text(Some(event));
    all.text(message_id);
    all.text(recipient);
    all.text(reason(msg.reject).as_deref());
    for field in [
        top.ts,
        top.url,
        top.ip,
        top.user_agent,
        top.diag,
        msg.subaccount,
        msg.sender,
        msg.from_email,
        msg.subject,
        msg.tags,
        msg.template,
        msg.metadata,
    ] {
        all.value(field);
    }
    for smtp_event in attempts_until(seconds(top.ts), msg.smtp_events) {
        all.value(Some(smtp_event));
    }
    // For these kinds it is the reason; for others, a later state of the message.
    if matches!(event, "hard_bounce" | "soft_bounce" | "deferral") {
        let [bgtools_code] = pick_in(top.msg, ["bgtools_code"]);
        for field in [msg.diag, msg.bounce_description, bgtools_code] {
            all.value(field);
        }
    }
    all.finish()
}

/// Covers the raw message, or the parsed fields if there is none. `None` if both are missing.
fn inbound(top: &Top<'_>, msg: &Msg<'_>, recipient: Option<&str>) -> Option<Digest> {
    let mut all = Canonical::new();
    if let Some(raw_msg) = string(msg.raw_msg) {
        all.text(Some(&raw_msg));
        all.text(recipient);
        return Some(all.finish());
    }
    let read = pick_in(
        top.msg,
        ["headers", "text", "html", "attachments", "images"],
    );
    let named = [msg.from_email, msg.subject];
    if read.iter().chain(&named).all(Option::is_none) {
        return None;
    }
    all.text(recipient);
    all.value(top.ts);
    for field in named.into_iter().chain(read) {
        all.value(field);
    }
    Some(all.finish())
}

/// Leaves out the reputation of the sender and whether the listing has expired: both change without an
/// event.
fn sync(name: [&str; 2], top: &Top<'_>, recipient: Option<&str>) -> Digest {
    let mut all = Canonical::new();
    for text in name {
        all.text(Some(text));
    }
    all.text(recipient);
    all.value(top.ts);
    for listing in [top.reject, top.entry] {
        let [reason, detail, subaccount, expires_at, sender] = pick_in(
            listing,
            ["reason", "detail", "subaccount", "expires_at", "sender"],
        );
        for field in [reason, detail, subaccount, expires_at] {
            all.value(field);
        }
        let [address] = pick_in(sender, ["address"]);
        let sender: Option<Cow<'_, str>> = string(sender).or_else(|| string(address));
        all.text(sender.as_deref());
    }
    all.finish()
}
