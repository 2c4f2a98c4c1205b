//! What is known about one event.
//!
//! Mandrill's payloads differ by kind, age and sender, and their types are not to be relied on:
//! a field that is missing, null, empty or of another type than it should be is `None`.

mod identity;

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use self::identity::Identity;
use crate::fields::{Listing, Msg, Top, attempts_until, reason};
use crate::json::{elements, object, pick_in, seconds, string};
use crate::kind::kind;
use crate::raw::RawEvent;

/// What is known about one event. No text in it is ever empty, and none is cut.
#[derive(Clone)]
pub struct Facts<'a> {
    /// Mandrill's `event`; of a sync event `<type>_<action>`; else [`UNKNOWN`](crate::UNKNOWN). The list of
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

impl RawEvent<'_> {
    /// What is known about the event; never fails.
    pub fn facts(&self) -> Facts<'_> {
        Facts::read(self)
    }
}

impl<'a> Facts<'a> {
    fn read(event: &'a RawEvent<'_>) -> Self {
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

/// What the receiving server said at the last attempt up to the event's own time: a list that was
/// rendered anew, for another attempt to post the event, may go on. Without such an attempt, the
/// last of all counts.
fn smtp_answer(ts: Option<u32>, smtp_events: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let diag = |smtp_event| string(pick_in(Some(smtp_event), ["diag"])[0]);
    let last = |smtp_events: Vec<_>| smtp_events.into_iter().rev().find_map(diag);
    last(attempts_until(ts, smtp_events)).or_else(|| last(elements(smtp_events)))
}

#[cfg(test)]
mod tests;
