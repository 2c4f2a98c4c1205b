//! What is known about one event.
//!
//! Mandrill's payloads differ by kind, age and sender, and their types are not to be relied on:
//! a field that is missing, null, empty or of another type than it should be is `None`.

mod identity;

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use self::identity::Identity;
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
    /// What the receiving server said.
    pub diag: Option<Cow<'a, str>>,
    pub bounce_description: Option<Cow<'a, str>>,
    /// Why a message was rejected or an address listed.
    pub reason: Option<Cow<'a, str>>,
    is_sync: bool,
    identity: Identity<'a>,
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
    /// address; else the [`fingerprint`](Facts::fingerprint). The parts are meant to be hashed, each
    /// with its length; the first says what the second is.
    pub fn message_key(&self) -> [&[u8]; 2] {
        match (&self.message_id, &self.recipient) {
            (Some(id), _) => message_key(id),
            (None, Some(address)) if self.is_sync => [b"address", address.as_bytes()],
            _ => self.fingerprint(),
        }
    }

    /// What makes the event itself: the same for the same event received again, whether or not
    /// the rest of its message has changed since, and however its JSON is written. The parts are
    /// meant to be hashed, each with its length; the first says what the second is.
    pub fn fingerprint(&self) -> [&[u8]; 2] {
        self.identity.parts()
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn read(event: &'a RawEvent<'_>) -> Self {
        let top = Top::read(event);
        let msg = Msg::read(top.msg);
        let kind = kind(&top);
        let listing = Listing::of(&top);
        let message_id = top.id.clone().or_else(|| string(msg.id));
        let recipient = string(msg.email).or(listing.email);
        let identity = Identity::of(
            event,
            &kind,
            &top,
            &msg,
            message_id.as_deref(),
            recipient.as_deref(),
        );
        Self {
            // The event's own answer before its message's, which may be of a later attempt.
            diag: string(top.diag)
                .or_else(|| string(msg.diag))
                .or_else(|| smtp_answer(seconds(top.ts), msg.smtp_events)),
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
            is_sync: top.is_sync(),
            identity,
        }
    }
}

/// The fields of the event itself.
pub(crate) struct Top<'a> {
    pub(crate) event: Option<Cow<'a, str>>,
    pub(crate) sync_type: Option<Cow<'a, str>>,
    pub(crate) action: Option<Cow<'a, str>>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) ts: Option<&'a RawValue>,
    pub(crate) url: Option<&'a RawValue>,
    pub(crate) ip: Option<&'a RawValue>,
    pub(crate) user_agent: Option<&'a RawValue>,
    pub(crate) location: Option<&'a RawValue>,
    pub(crate) msg: Option<&'a RawValue>,
    pub(crate) reject: Option<&'a RawValue>,
    pub(crate) entry: Option<&'a RawValue>,
    pub(crate) diag: Option<&'a RawValue>,
}

impl<'a> Top<'a> {
    fn is_sync(&self) -> bool {
        self.event.is_none() && self.sync_type.is_some()
    }

    pub(crate) fn read(event: &'a RawEvent<'_>) -> Self {
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
            diag,
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
                "diag",
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
            diag,
        }
    }
}

/// The fields of `msg`, which is the message's state and not the event's.
pub(crate) struct Msg<'a> {
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) email: Option<&'a RawValue>,
    pub(crate) sender: Option<&'a RawValue>,
    /// Of inbound mail, whose `sender` is null.
    pub(crate) from_email: Option<&'a RawValue>,
    pub(crate) subject: Option<&'a RawValue>,
    pub(crate) tags: Option<&'a RawValue>,
    pub(crate) subaccount: Option<&'a RawValue>,
    pub(crate) template: Option<&'a RawValue>,
    pub(crate) metadata: Option<&'a RawValue>,
    pub(crate) reject: Option<&'a RawValue>,
    pub(crate) bounce_description: Option<&'a RawValue>,
    pub(crate) diag: Option<&'a RawValue>,
    pub(crate) smtp_events: Option<&'a RawValue>,
    pub(crate) raw_msg: Option<&'a RawValue>,
}

impl<'a> Msg<'a> {
    pub(crate) fn read(msg: Option<&'a RawValue>) -> Self {
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
    /// Of a sync event; of another nothing.
    fn of(top: &Top<'a>) -> Self {
        if top.is_sync() {
            Self::read(top.reject).or(Self::read(top.entry))
        } else {
            Self::default()
        }
    }

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

/// The address that a message or a listing is about.
pub(crate) fn recipient<'a>(top: &Top<'a>, msg: &Msg<'a>) -> Option<Cow<'a, str>> {
    string(msg.email).or_else(|| Listing::of(top).email)
}

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

/// A reason stands alone or in an object; an allowlist entry has only a note.
fn reason(reject: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let [reason, detail] = pick_in(reject, ["reason", "detail"]);
    string(reject).or(string(reason)).or(string(detail))
}

/// What the receiving server said at the last attempt up to the event's own time: a list that was
/// rendered anew, for another attempt to post the event, may go on. Without such an attempt, the
/// last of all counts.
fn smtp_answer(ts: Option<u32>, smtp_events: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let diag = |smtp_event| string(pick_in(Some(smtp_event), ["diag"])[0]);
    let last = |smtp_events: Vec<_>| smtp_events.into_iter().rev().find_map(diag);
    last(attempts_until(ts, smtp_events)).or_else(|| last(elements(smtp_events)))
}

/// The SMTP events that are not later than `ts`; one without a readable time is never later.
fn attempts_until(ts: Option<u32>, smtp_events: Option<&RawValue>) -> Vec<&RawValue> {
    let is_later = |smtp_event: &RawValue| {
        let [at] = pick_in(Some(smtp_event), ["ts"]);
        ts.is_some_and(|ts| seconds(at).is_some_and(|at| at > ts))
    };
    let mut attempts = elements(smtp_events);
    attempts.retain(|smtp_event| !is_later(smtp_event));
    attempts
}

#[cfg(test)]
mod tests;
