//! The event that tells a notice.

use serde::Serialize;

use super::{Health, Notice, NoticeKind};
use crate::endpoint::{DisabledReason, Endpoint, EndpointId};
use crate::event::{Content, Source};
use crate::id::EventId;
use crate::time::{HOUR_MS, Millis};

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
