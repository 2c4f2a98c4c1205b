//! What is told of an endpoint, as an event: once an hour at most, with how often it happened; that it
//! was disabled, each time.

use serde::{Deserialize, Serialize};

use super::Health;
use crate::endpoint::{DisabledReason, Endpoint, EndpointId};
use crate::event::{Content, Source};
use crate::id::EventId;
use crate::time::Millis;

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The breaker has opened.
    Failing,
    /// The breaker has closed again.
    Recovered,
    /// The endpoint was disabled.
    Disabled,
    /// A delivery was given up.
    Exhausted,
}

impl NoticeKind {
    /// Every kind that there is.
    pub const ALL: [NoticeKind; 4] = [
        NoticeKind::Failing,
        NoticeKind::Recovered,
        NoticeKind::Disabled,
        NoticeKind::Exhausted,
    ];

    /// The type of the event that tells it.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            NoticeKind::Failing => "endpoint.failing",
            NoticeKind::Recovered => "endpoint.recovered",
            NoticeKind::Disabled => "endpoint.disabled",
            NoticeKind::Exhausted => "delivery.exhausted",
        }
    }
}

/// Something that is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// How often it happened since it was told last, this time included.
    pub count: u32,
    /// When.
    pub at: Millis,
}

/// When something was told last, and how often it has happened since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    kind: NoticeKind,
    hour: u64,
    held: u32,
}

impl Told {
    /// Counts that it happened; how often, if that is to be told now.
    pub(super) fn count(all: &mut Vec<Told>, kind: NoticeKind, now: Millis) -> Option<u32> {
        let hour = now.0 / HOUR_MS;
        let Some(told) = all.iter_mut().find(|told| told.kind == kind) else {
            all.push(Told {
                kind,
                hour,
                held: 0,
            });
            return Some(1);
        };
        told.held = told.held.saturating_add(1);
        if hour <= told.hour {
            return None;
        }
        told.hour = hour;
        Some(std::mem::take(&mut told.held))
    }

    /// Something was not told after all: the next time tells it, with how often it happened until
    /// then.
    pub(super) fn put_back(all: &mut [Told], kind: NoticeKind, count: u32) {
        if let Some(told) = all.iter_mut().find(|told| told.kind == kind) {
            told.hour = 0;
            told.held = told.held.saturating_add(count);
        }
    }
}

/// The `data` of a notice's event.
#[derive(Serialize)]
struct Data<'a> {
    endpoint_id: EndpointId,
    count: u32,
    consecutive_failures: u32,
    failing_since: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Notice {
    /// The id of its event: the same for everybody who tells it of this endpoint in this hour, or
    /// who disables the endpoint as it is now and since it fails.
    #[must_use]
    pub fn event_id(
        &self,
        endpoint: &Endpoint,
        health: &Health,
        reason: Option<&DisabledReason>,
    ) -> EventId {
        let message: [&[u8]; 2] = [b"posthorn", endpoint.id.bytes()];
        let event_type = self.kind.event_type().as_bytes();
        let id = |at: Millis, what: &[&[u8]]| {
            let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
            EventId::of_content(&message, seconds, what, 0)
        };
        match self.kind {
            // Each change of an endpoint has a number of its own, and each time of nothing but
            // failure its beginning.
            NoticeKind::Disabled => {
                let is_failing = reason == Some(&DisabledReason::Failing);
                let since = health
                    .failing_since()
                    .filter(|_| is_failing)
                    .unwrap_or_default();
                let (version, since) = (endpoint.version.to_be_bytes(), since.0.to_be_bytes());
                id(endpoint.updated_at, &[event_type, &version, &since])
            }
            _ => id(Millis(self.at.0 / HOUR_MS * HOUR_MS), &[event_type]),
        }
    }

    /// What its event says, and its `data`. The reason is why the endpoint was disabled.
    #[must_use]
    pub fn event(
        &self,
        endpoint: &Endpoint,
        health: &Health,
        reason: Option<&DisabledReason>,
    ) -> (Content<'static>, String) {
        let content = Content {
            webhook: Some(endpoint.id.to_string().into()),
            ts: u32::try_from(self.at.as_secs()).ok(),
            ..Content::new(self.kind.event_type(), Source::Posthorn)
        };
        let data = Data {
            endpoint_id: endpoint.id,
            count: self.count,
            consecutive_failures: health.consecutive_failures(),
            failing_since: health.failing_since(),
            reason: reason.map(DisabledReason::as_str),
        };
        // Texts and numbers: nothing in it can fail to serialise.
        (content, serde_json::to_string(&data).unwrap_or_default())
    }
}
