//! From what Mandrill sends to what is stored.

use std::borrow::Cow;
use std::collections::HashMap;

use domain::{Content, Detail, EventId, Source};
use mandrill::{Facts, RawEvent};
use store::NewEvent;

/// The events of a batch, each with its identity, verified by the key `webhook`.
#[must_use]
pub fn events<'a>(batch: &'a [RawEvent<'_>], webhook: Option<&'a str>) -> Vec<NewEvent<'a>> {
    let mut occurrences = Occurrences::with_capacity(batch.len());
    batch
        .iter()
        .map(|raw| {
            let facts = raw.facts();
            let ts = facts.ts.unwrap_or(0);
            let (message, fingerprint) = (facts.message_key(), facts.fingerprint());
            NewEvent {
                id: occurrences.id(&message, ts, &fingerprint),
                content: content(facts, webhook),
                data: data(raw),
            }
        })
        .collect()
}

/// How often each identity has occurred in a batch.
pub(crate) struct Occurrences(HashMap<EventId, u32>);

impl Occurrences {
    pub(crate) fn with_capacity(events: usize) -> Self {
        Self(HashMap::with_capacity(events))
    }

    /// Equal events of a batch are several: two clicks in one second.
    pub(crate) fn id(&mut self, message: &[&[u8]], ts: u32, fingerprint: &[&[u8]]) -> EventId {
        let first = EventId::of_content(message, ts, fingerprint, 0);
        let occurrence = self.0.entry(first).or_default();
        let id = match *occurrence {
            0 => first,
            occurrence => EventId::of_content(message, ts, fingerprint, occurrence),
        };
        *occurrence += 1;
        id
    }
}

/// What was received, as it was: what is not JSON becomes a JSON string.
fn data<'a>(raw: &'a RawEvent<'_>) -> Cow<'a, str> {
    if raw.is_json {
        Cow::Borrowed(&raw.text)
    } else {
        Cow::Owned(serde_json::Value::from(&*raw.text).to_string())
    }
}

fn content<'a>(facts: Facts<'a>, webhook: Option<&'a str>) -> Content<'a> {
    Content {
        kind: facts.kind,
        source: Source::Mandrill,
        webhook: webhook.map(Cow::Borrowed),
        ts: facts.ts,
        message_id: facts.message_id,
        recipient: facts.recipient,
        sender: facts.sender,
        subject: facts.subject,
        tags: facts.tags,
        subaccount: facts.subaccount,
        template: facts.template,
        metadata: facts.metadata.map(Cow::Borrowed),
        detail: Detail {
            url: facts.url,
            ip: facts.ip,
            user_agent: facts.user_agent,
            location: facts.location.map(Cow::Borrowed),
            diag: facts.diag,
            bounce_description: facts.bounce_description,
            reason: facts.reason,
        },
        truncated: false,
    }
    .bounded()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(batch: &str) -> Vec<EventId> {
        let raw = mandrill::split(batch.as_bytes());
        events(&raw, Some("main"))
            .iter()
            .map(|event| event.id)
            .collect()
    }

    const CLICK: &str = r#"{"event":"click","_id":"m","ts":1795300000,"url":"https://example.com","ip":"192.0.2.1","msg":{"opens":[]}}"#;

    #[test]
    fn the_same_batch_gives_the_same_ids() {
        let batch =
            format!(r#"[{CLICK},{{"event":"send","_id":"n","ts":1}},null,{{broken}},{CLICK}]"#);
        assert_eq!(ids(&batch), ids(&batch));
    }

    #[test]
    fn equal_clicks_in_a_batch_are_two_events() {
        let ids = ids(&format!("[{CLICK},{CLICK}]"));
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[0].partition(), ids[1].partition());
    }

    #[test]
    fn a_click_keeps_its_id_when_its_message_has_changed_since() {
        let later = CLICK.replace(r#""opens":[]"#, r#""opens":[{"ts":1}]"#);
        assert_eq!(ids(&format!("[{CLICK}]")), ids(&format!("[{later}]")));
    }

    #[test]
    fn what_is_not_json_is_kept_as_text() {
        let raw = mandrill::split(br#"[{"event":"open"},{bad "x" \ json}]"#);
        let events = events(&raw, None);
        assert_eq!(events[1].content.kind, "unknown");
        let kept: String = serde_json::from_str(&events[1].data).unwrap();
        assert!(kept.contains(r#"bad "x" \ json"#), "{kept}");
    }
}
