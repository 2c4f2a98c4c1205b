//! The fields of an event and of its message that facts and ids are read from.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{elements, pick, pick_in, seconds, string};
use crate::raw::RawEvent;

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
    pub(crate) fn is_sync(&self) -> bool {
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
pub(crate) struct Listing<'a> {
    pub(crate) email: Option<Cow<'a, str>>,
    pub(crate) sender: Option<Cow<'a, str>>,
    pub(crate) subaccount: Option<Cow<'a, str>>,
    pub(crate) reason: Option<Cow<'a, str>>,
}

impl<'a> Listing<'a> {
    /// Of a sync event; of another nothing.
    pub(crate) fn of(top: &Top<'a>) -> Self {
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

/// A reason stands alone or in an object; an allowlist entry has only a note.
pub(crate) fn reason(reject: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let [reason, detail] = pick_in(reject, ["reason", "detail"]);
    string(reject).or(string(reason)).or(string(detail))
}

/// The SMTP events that are not later than `ts`; one without a readable time is never later.
pub(crate) fn attempts_until(ts: Option<u32>, smtp_events: Option<&RawValue>) -> Vec<&RawValue> {
    let is_later = |smtp_event: &RawValue| {
        let [at] = pick_in(Some(smtp_event), ["ts"]);
        ts.is_some_and(|ts| seconds(at).is_some_and(|at| at > ts))
    };
    let mut attempts = elements(smtp_events);
    attempts.retain(|smtp_event| !is_later(smtp_event));
    attempts
}
