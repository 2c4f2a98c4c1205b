//! What is known about one event.
//!
//! Mandrill's payloads differ by kind, age and sender, and their types are not to be relied on:
//! a field that is missing, null, empty or of another type than it should be is `None`.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::batch::RawEvent;
use crate::json::{elements, object, pick, pick_in, seconds, string};

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

/// What is known about one event. No text in it is ever empty, and none is cut.
#[derive(Clone)]
pub struct Facts<'a> {
    /// Mandrill's `event`; of a sync event `<type>_<action>`; else [`UNKNOWN`]. The list of
    /// kinds is open. At most 64 bytes, without white space and control characters.
    pub kind: Cow<'a, str>,
    /// The id of the message, which all its events share. Events themselves have none.
    pub message_id: Option<Cow<'a, str>>,
    /// When it happened, in Unix seconds.
    pub ts: Option<u32>,
    /// The address the message was sent to; of a sync event the address that was listed.
    pub recipient: Option<Cow<'a, str>>,
    pub sender: Option<Cow<'a, str>>,
    pub subject: Option<Cow<'a, str>>,
    pub tags: Vec<Cow<'a, str>>,
    pub subaccount: Option<Cow<'a, str>>,
    pub template: Option<Cow<'a, str>>,
    /// An object with something in it; its values are of any type.
    pub metadata: Option<&'a RawValue>,
    pub url: Option<Cow<'a, str>>,
    pub ip: Option<Cow<'a, str>>,
    pub user_agent: Option<Cow<'a, str>>,
    /// An object with something in it.
    pub location: Option<&'a RawValue>,
    /// What the receiving server said about a bounce or deferral.
    pub diag: Option<Cow<'a, str>>,
    pub bounce_description: Option<Cow<'a, str>>,
    /// Why a message was rejected or an address listed.
    pub reason: Option<Cow<'a, str>>,
    text: &'a str,
    is_sync: bool,
    identity: Identity<'a>,
}

/// What tells an event from the others of its message.
#[derive(Clone)]
enum Identity<'a> {
    /// The texts of `ts`, `url`, `ip` and `user_agent`, so that an unreadable one counts too.
    Message([&'a str; 4]),
    /// The text of `raw_msg`.
    Inbound(&'a str),
    Sync {
        kind: Cow<'a, str>,
        action: Cow<'a, str>,
        ts: &'a str,
    },
    /// There is nothing but the whole text.
    Text,
}

impl fmt::Debug for Facts<'_> {
    /// Shows what is not personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("kind", &self.kind)
            .field("ts", &self.ts)
            .finish_non_exhaustive()
    }
}

/// What the events of the message with this id have in common: what [`Facts::message_key`] gives
/// for each of them.
#[must_use]
pub fn message_key(id: &str) -> [&[u8]; 2] {
    [b"message", id.as_bytes()]
}

impl Facts<'_> {
    /// What the events of one message have in common: the message's id; of a sync event the
    /// address; else the whole text. The parts are meant to be hashed, each with its length; the
    /// first says which of the three it is.
    pub fn message_key(&self) -> [&[u8]; 2] {
        let (tag, part) = match (&self.message_id, &self.recipient) {
            (Some(id), _) => return message_key(id),
            (None, Some(address)) if self.is_sync => ("address", &**address),
            _ => ("text", self.text),
        };
        [tag.as_bytes(), part.as_bytes()]
    }

    /// What makes the event itself: the same for the same event received again, whether or not
    /// the rest of its message has changed since. The parts are meant to be hashed, each with
    /// its length; the first says what they are made of, and unused ones are empty.
    pub fn fingerprint(&self) -> [&[u8]; 7] {
        let parts: [&str; 7] = match &self.identity {
            Identity::Message([ts, url, ip, user_agent]) => [
                "message",
                &self.kind,
                self.message_id.as_deref().unwrap_or_default(),
                ts,
                self.url.as_deref().unwrap_or(url),
                self.ip.as_deref().unwrap_or(ip),
                self.user_agent.as_deref().unwrap_or(user_agent),
            ],
            Identity::Inbound(raw_msg) => ["inbound", raw_msg, "", "", "", "", ""],
            Identity::Sync { kind, action, ts } => {
                let address = self.recipient.as_deref().unwrap_or_default();
                ["sync", kind, action, address, ts, "", ""]
            }
            Identity::Text => ["text", self.text, "", "", "", "", ""],
        };
        parts.map(str::as_bytes)
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn read(event: &'a RawEvent<'_>) -> Self {
        let top = Top::read(event);
        let msg = Msg::read(top.msg);
        let kind = kind(&top);
        let is_sync = top.event.is_none() && top.sync_type.is_some();
        let listing = if is_sync {
            Listing::read(top.reject).or(Listing::read(top.entry))
        } else {
            Listing::default()
        };
        let message_id = top.id.or(string(msg.id));
        let recipient = string(msg.email).or(listing.email);
        let identity = match (&*kind, top.event, top.sync_type, top.action) {
            (UNKNOWN, ..) => Identity::Text,
            ("inbound", ..) => string_text(msg.raw_msg).map_or(Identity::Text, Identity::Inbound),
            (_, Some(_), ..) if message_id.is_some() => {
                Identity::Message([top.ts, top.url, top.ip, top.user_agent].map(text_of))
            }
            (_, None, Some(kind), Some(action)) if recipient.is_some() => Identity::Sync {
                kind,
                action,
                ts: text_of(top.ts),
            },
            _ => Identity::Text,
        };
        Self {
            diag: string(msg.diag).or_else(|| last_smtp_diag(&kind, msg.smtp_events)),
            kind,
            message_id,
            ts: seconds(top.ts),
            recipient,
            sender: string(msg.sender)
                .or(string(msg.from_email))
                .or(listing.sender),
            subject: string(msg.subject),
            tags: elements(msg.tags)
                .into_iter()
                .filter_map(|tag| string(Some(tag)))
                .collect(),
            subaccount: string(msg.subaccount).or(listing.subaccount),
            template: string(msg.template),
            metadata: object(msg.metadata),
            url: string(top.url),
            ip: string(top.ip),
            user_agent: string(top.user_agent),
            location: object(top.location),
            bounce_description: string(msg.bounce_description),
            reason: reason(msg.reject).or(listing.reason),
            text: &event.text,
            is_sync,
            identity,
        }
    }
}

/// The fields of the event itself.
struct Top<'a> {
    event: Option<Cow<'a, str>>,
    sync_type: Option<Cow<'a, str>>,
    action: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    ts: Option<&'a RawValue>,
    url: Option<&'a RawValue>,
    ip: Option<&'a RawValue>,
    user_agent: Option<&'a RawValue>,
    location: Option<&'a RawValue>,
    msg: Option<&'a RawValue>,
    reject: Option<&'a RawValue>,
    entry: Option<&'a RawValue>,
}

impl<'a> Top<'a> {
    fn read(event: &'a RawEvent<'_>) -> Self {
        let text = if event.is_json { &*event.text } else { "" };
        let [
            event,
            sync_type,
            action,
            id,
            ts,
            url,
            ip,
            user_agent,
            location,
            msg,
            reject,
            entry,
        ] = pick(
            text,
            [
                "event",
                "type",
                "action",
                "_id",
                "ts",
                "url",
                "ip",
                "user_agent",
                "location",
                "msg",
                "reject",
                "entry",
            ],
        );
        Self {
            event: string(event),
            sync_type: string(sync_type),
            action: string(action),
            id: string(id),
            ts,
            url,
            ip,
            user_agent,
            location,
            msg,
            reject,
            entry,
        }
    }
}

/// The fields of `msg`, which is the message's state and not the event's.
struct Msg<'a> {
    id: Option<&'a RawValue>,
    email: Option<&'a RawValue>,
    sender: Option<&'a RawValue>,
    /// Of inbound mail, whose `sender` is null.
    from_email: Option<&'a RawValue>,
    subject: Option<&'a RawValue>,
    tags: Option<&'a RawValue>,
    subaccount: Option<&'a RawValue>,
    template: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    reject: Option<&'a RawValue>,
    bounce_description: Option<&'a RawValue>,
    diag: Option<&'a RawValue>,
    smtp_events: Option<&'a RawValue>,
    raw_msg: Option<&'a RawValue>,
}

impl<'a> Msg<'a> {
    fn read(msg: Option<&'a RawValue>) -> Self {
        let [
            id,
            email,
            sender,
            from_email,
            subject,
            tags,
            subaccount,
            template,
            metadata,
            reject,
            bounce_description,
            diag,
            smtp_events,
            raw_msg,
        ] = pick_in(
            msg,
            [
                "_id",
                "email",
                "sender",
                "from_email",
                "subject",
                "tags",
                "subaccount",
                "template",
                "metadata",
                "reject",
                "bounce_description",
                "diag",
                "smtp_events",
                "raw_msg",
            ],
        );
        Self {
            id,
            email,
            sender,
            from_email,
            subject,
            tags,
            subaccount,
            template,
            metadata,
            reject,
            bounce_description,
            diag,
            smtp_events,
            raw_msg,
        }
    }
}

/// What a sync event says about the address on the list. Denylist events have it in `reject`,
/// allowlist events in `entry`, although the documentation says `reject` for both.
#[derive(Default)]
struct Listing<'a> {
    email: Option<Cow<'a, str>>,
    sender: Option<Cow<'a, str>>,
    subaccount: Option<Cow<'a, str>>,
    reason: Option<Cow<'a, str>>,
}

impl<'a> Listing<'a> {
    fn read(listing: Option<&'a RawValue>) -> Self {
        let [email, sender, subaccount] = pick_in(listing, ["email", "sender", "subaccount"]);
        // Documented as a string, really an object of the sender's reputation.
        let [sender_address] = pick_in(sender, ["address"]);
        Self {
            email: string(email),
            sender: string(sender).or(string(sender_address)),
            subaccount: string(subaccount),
            reason: reason(listing),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            email: self.email.or(other.email),
            sender: self.sender.or(other.sender),
            subaccount: self.subaccount.or(other.subaccount),
            reason: self.reason.or(other.reason),
        }
    }
}

fn kind<'a>(top: &Top<'a>) -> Cow<'a, str> {
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

/// A reason stands alone or in an object; an allowlist entry has only a note.
fn reason(reject: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let [reason, detail] = pick_in(reject, ["reason", "detail"]);
    string(reject).or(string(reason)).or(string(detail))
}

/// What the receiving server said last, for the kinds that are about its refusal.
fn last_smtp_diag<'a>(kind: &str, smtp_events: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    if !matches!(kind, "deferral" | "hard_bounce" | "soft_bounce") {
        return None;
    }
    let diag = |smtp_event| string(pick_in(Some(smtp_event), ["diag"])[0]);
    elements(smtp_events).into_iter().rev().find_map(diag)
}

/// The JSON text of a value; null says as little as a missing one.
fn text_of(value: Option<&RawValue>) -> &str {
    value
        .map(RawValue::get)
        .filter(|text| *text != "null")
        .unwrap_or_default()
}

/// The JSON text of a string that is not empty.
fn string_text(value: Option<&RawValue>) -> Option<&str> {
    value
        .map(RawValue::get)
        .filter(|text| text.starts_with('"') && *text != "\"\"")
}

#[cfg(test)]
mod tests;
