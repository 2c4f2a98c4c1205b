//! Masked events, for clients that may not see personal data.
//!
//! Masked are: the local part of every address (`***@example.net`; the domain stays), every IP address
//! (`***`), and the message id, which may be an address. Removed are the fields that may hold anything:
//! `data`, `diag`, metadata, and the query, fragment and user of a link. If it is uncertain whether
//! something is an address, it is masked: a browser version of four numbers becomes `***`.
//!
//! Masking takes time linear in the length of the texts. Only the first
//! [`FIELD_BYTES`] of each text are searched and shown.

mod ip;
mod mail;
mod reading;
#[cfg(test)]
mod tests;
mod text;
mod url;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::event::{Content, Detail, Event, FIELD_BYTES, TAG_BYTES};
use text::{MASK, masked, masked_address, masked_within};

impl Event<'_> {
    /// The event without personal data: addresses and IP addresses are masked in every text, the
    /// message id is masked, and `data`, `diag`, metadata, the query, fragment and user of the link, and
    /// all of the location but the country are removed. Masking is idempotent.
    #[must_use]
    pub fn masked(&self) -> Event<'_> {
        Event {
            id: self.id,
            received_at: self.received_at,
            content: self.content.masked(),
            data: None,
        }
    }
}

impl Content<'_> {
    pub(crate) fn masked(&self) -> Content<'_> {
        Content {
            kind: masked(&self.kind),
            source: self.source,
            webhook: text(self.webhook.as_ref()),
            ts: self.ts,
            message_id: self.message_id.as_ref().map(|_| Cow::Borrowed(MASK)),
            recipient: self.recipient.as_deref().map(masked_address),
            sender: self.sender.as_deref().map(masked_address),
            subject: text(self.subject.as_ref()),
            tags: self
                .tags
                .iter()
                .map(|tag| masked_within(tag, TAG_BYTES))
                .collect(),
            subaccount: text(self.subaccount.as_ref()),
            template: text(self.template.as_ref()),
            metadata: None,
            detail: self.detail.masked(),
            truncated: self.truncated,
        }
    }
}

impl Content<'_> {
    /// About how many bytes of text masking this event searches.
    #[must_use]
    pub fn bytes_to_mask(&self) -> usize {
        let detail = &self.detail;
        let texts = [
            &self.webhook,
            &self.subject,
            &self.subaccount,
            &self.template,
            &detail.url,
            &detail.user_agent,
            &detail.bounce_description,
            &detail.reason,
        ];
        let texts = texts.into_iter().flatten().chain(&self.tags);
        let bytes = texts
            .chain([&self.kind])
            .map(|text| text.len().min(FIELD_BYTES));
        // A text that is not searched is copied.
        bytes.map(|bytes| bytes + 1).sum()
    }
}

impl Detail<'_> {
    fn masked(&self) -> Detail<'_> {
        Detail {
            url: self.url.as_deref().map(url::masked),
            ip: self.ip.as_ref().map(|_| Cow::Borrowed(MASK)),
            user_agent: text(self.user_agent.as_ref()),
            location: self.location.as_deref().and_then(country),
            diag: None,
            bounce_description: text(self.bounce_description.as_ref()),
            reason: text(self.reason.as_ref()),
        }
    }
}

fn text<'t>(text: Option<&'t Cow<'_, str>>) -> Option<Cow<'t, str>> {
    text.map(|text| masked(text))
}

/// The part of a location that a masked event keeps.
#[derive(Serialize, Deserialize)]
struct Country<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    country_short: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    country: Option<Cow<'a, str>>,
}

/// `None` if there is no country, or it is not a string.
fn country(location: &RawValue) -> Option<Cow<'static, RawValue>> {
    let found: Country<'_> = serde_json::from_str(location.get()).ok()?;
    let left = Country {
        country_short: text(found.country_short.as_ref()),
        country: text(found.country.as_ref()),
    };
    if left.country_short.is_none() && left.country.is_none() {
        return None;
    }
    to_raw_value(&left).ok().map(Cow::Owned)
}
