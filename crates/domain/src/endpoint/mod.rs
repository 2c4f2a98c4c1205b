//! Endpoints: who is sent which events, where, and how.

mod headers;
mod id;
mod secrets;
mod subscription;
mod url;

use std::num::NonZeroU32;

pub use headers::{CustomHeaders, HeaderError, MAX_HEADERS, MAX_NAME_BYTES, MAX_VALUE_BYTES};
pub use id::{EndpointId, InvalidEndpointId};
pub use secrets::{DatedSecret, MAX_RETIRING, Secrets, TooManySecrets};
pub use subscription::{EventTypesError, MAX_TYPE_BYTES, MAX_TYPES, Subscription};
pub use url::{MAX_URL_BYTES, PrivateAddresses, TargetUrl, UrlError};

use crate::event::{Content, Source};
use crate::redacted::Redacted;
use crate::retry::RetrySchedule;
use crate::time::Millis;

/// The most endpoints of a deployment: every event is matched with each of them.
pub const MAX_ENDPOINTS: u64 = 1_000;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 1_000;
/// The most attempts a second that an endpoint can be limited to.
pub const MAX_RATE: u32 = 1_000;
/// The type of the event that tries an endpoint out, which goes to that one alone.
pub const TEST_TYPE: &str = "endpoint.test";

/// A subscriber's URL, and what is sent there how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// What its owner chose.
    pub settings: Settings,
    /// Whether anything is sent there.
    pub status: EndpointStatus,
    /// With what it is signed.
    pub secrets: Secrets,
    /// What proves that a POST to its ingest address is meant for it.
    pub ingest_secret: Redacted<String>,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed, by whomever.
    pub updated_at: Millis,
    /// Counts its changes.
    pub version: u64,
}

/// What an endpoint's owner chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to.
    pub url: TargetUrl,
    /// For people.
    pub description: String,
    /// Which events.
    pub subscription: Subscription,
    /// Headers of its own.
    pub headers: CustomHeaders,
    /// When a failed attempt is repeated.
    pub schedule: RetrySchedule,
    /// The most attempts a second, [`MAX_RATE`] at most; none when there is no limit.
    pub rate_limit: Option<NonZeroU32>,
}

/// Whether anything is sent to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointStatus {
    /// It is.
    Enabled,
    /// It is not.
    Disabled {
        /// Why.
        reason: DisabledReason,
        /// Since when.
        since: Millis,
    },
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisabledReason {
    /// It answered 410.
    Gone,
    /// Nothing but failures for days.
    Failing,
    /// Somebody wanted it so, and said why, or nothing (`manual`).
    Asked(String),
}

impl DisabledReason {
    /// Its text, in the API and in the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            DisabledReason::Gone => "gone",
            DisabledReason::Failing => "failing",
            DisabledReason::Asked(reason) if reason.is_empty() => "manual",
            DisabledReason::Asked(reason) => reason,
        }
    }

    /// Reads what [`DisabledReason::as_str`] wrote.
    #[must_use]
    pub fn stored(text: &str) -> DisabledReason {
        match text {
            "gone" => DisabledReason::Gone,
            "failing" => DisabledReason::Failing,
            asked => DisabledReason::Asked(asked.to_owned()),
        }
    }
}

/// For whom an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every endpoint that subscribes to it.
    Subscribers,
    /// This one alone, past its filter.
    One(EndpointId),
    /// No endpoint: it is for one, but does not say for which.
    Nobody,
}

impl Audience {
    /// For whom this event is. One that was posted to an endpoint's address, or that tries an
    /// endpoint out, names it in `webhook`.
    #[must_use]
    pub fn of(content: &Content<'_>) -> Audience {
        let is_test = content.source == Source::Posthorn && content.kind == TEST_TYPE;
        if content.source != Source::Ingest && !is_test {
            return Audience::Subscribers;
        }
        let id = content.webhook.as_deref().map(str::parse);
        match id {
            Some(Ok(id)) => Audience::One(id),
            _ => Audience::Nobody,
        }
    }
}

impl Endpoint {
    /// Whether anything is sent there.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.status == EndpointStatus::Enabled
    }

    /// Whether this event is to be sent there. Allocates nothing for an event that is for every
    /// subscriber; for many endpoints, ask [`Audience::of`] once.
    #[must_use]
    pub fn wants(&self, content: &Content<'_>) -> bool {
        self.is_enabled()
            && match Audience::of(content) {
                Audience::Subscribers => self.settings.subscription.matches(content),
                Audience::One(id) => id == self.id,
                Audience::Nobody => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(kind: &'static str, source: Source, webhook: &str) -> Content<'static> {
        Content {
            webhook: Some(webhook.to_owned().into()),
            ..Content::new(kind, source)
        }
    }

    #[test]
    fn an_event_for_one_endpoint_is_for_nobody_else() {
        let id = EndpointId::new([7; 16]);
        let name = id.to_string();
        let of = |kind, source, webhook: &str| Audience::of(&content(kind, source, webhook));
        assert_eq!(of("order", Source::Ingest, &name), Audience::One(id));
        assert_eq!(of(TEST_TYPE, Source::Posthorn, &name), Audience::One(id));
        assert_eq!(of("order", Source::Ingest, "main"), Audience::Nobody);
        let nameless = Content::new("order", Source::Ingest);
        assert_eq!(Audience::of(&nameless), Audience::Nobody);
        // What is told of an endpoint is for everybody, and nobody else can test one.
        assert_eq!(
            of("endpoint.failing", Source::Posthorn, &name),
            Audience::Subscribers
        );
        assert_eq!(
            of(TEST_TYPE, Source::Mandrill, &name),
            Audience::Subscribers
        );
        assert_eq!(of("open", Source::Mandrill, "main"), Audience::Subscribers);
    }

    #[test]
    fn a_reason_is_read_as_it_was_written() {
        for text in ["gone", "failing", "manual", "moving to another host"] {
            assert_eq!(DisabledReason::stored(text).as_str(), text);
        }
        assert_eq!(DisabledReason::Asked(String::new()).as_str(), "manual");
        assert_eq!(DisabledReason::stored("gone"), DisabledReason::Gone);
    }
}
