//! What a file of seeds says. It is read to its end before anything of it is posted.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::tools::ToolError;

/// Endpoints and events as they are posted. A field that nobody knows is refused by its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seed<'a> {
    #[serde(borrow, default)]
    pub(super) endpoints: Vec<Endpoint<'a>>,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

/// The body of `POST /v1/endpoints`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint<'a> {
    pub(super) url: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    retry_schedule: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<u32>,
}

/// The body of `POST /v1/events`, which is posted as it stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "they are named for those who misspell them")]
struct Fields<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    message_id: Option<String>,
    recipient: Option<String>,
    sender: Option<String>,
    subject: Option<String>,
    tags: Option<Vec<String>>,
    subaccount: Option<String>,
    template: Option<String>,
    #[serde(borrow)]
    metadata: Option<BTreeMap<String, &'a RawValue>>,
    occurred_at: Option<String>,
}

/// An event, and the key under which it is stored once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) kind: String,
    pub(super) body: &'a str,
    pub(super) key: String,
}

impl<'a> Seed<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Seed<'a>, String> {
        let wrong = |error: serde_json::Error| format!("this is no file of seeds: {error}");
        let seed: Seed<'_> = serde_json::from_str(text).map_err(wrong)?;
        for (index, event) in seed.events.iter().enumerate() {
            serde_json::from_str::<Fields<'_>>(event.get())
                .map_err(|error| format!("event {} is none: {error}", index + 1))?;
        }
        Ok(seed)
    }

    /// The events with their keys: of what is published, and of how often it stood there before.
    pub(super) fn events(&self) -> impl Iterator<Item = Event<'a>> {
        let mut seen = BTreeMap::<&str, u32>::new();
        self.events.iter().filter_map(move |event| {
            let body = event.get();
            let fields: Fields<'_> = serde_json::from_str(body).ok()?;
            let before = seen.entry(body).or_default();
            let digest = Sha256::new().chain_update(body).finalize();
            let key = format!("seed-{}-{before}", HEXLOWER.encode(&digest[..16]));
            *before += 1;
            Some(Event {
                kind: fields.kind,
                body,
                key,
            })
        })
    }
}

impl Endpoint<'_> {
    pub(super) fn json(&self) -> Result<String, ToolError> {
        serde_json::to_string(self).map_err(|error| ToolError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_twice_has_two_keys_and_the_same_again_the_next_time() {
        let text = r#"{"events":[{"type":"a.b","data":{"x": 1.0}},{"type":"a.b","data":{"x": 1.0}},{"type":"c"}]}"#;
        let seed = Seed::parse(text).unwrap();
        let events: Vec<_> = seed.events().collect();
        assert_eq!(events.len(), 3);
        assert_eq!(events[0].body, r#"{"type":"a.b","data":{"x": 1.0}}"#);
        assert!(events[0].key.ends_with("-0") && events[1].key.ends_with("-1"));
        assert_ne!(events[0].key, events[2].key);
        assert_eq!(events, seed.events().collect::<Vec<_>>());
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused_by_its_name() {
        for (text, name) in [
            (r#"{"endpoint":[]}"#, "endpoint"),
            (r#"{"endpoints":[{"target_url":"x"}]}"#, "target_url"),
            (r#"{"endpoints":[{"url":"x","secret":"s"}]}"#, "secret"),
            (r#"{"events":[{"type":"a","payload":1}]}"#, "payload"),
            (r#"{"events":[{"data":1}]}"#, "type"),
            (r#"{"endpoints":[{}]}"#, "url"),
        ] {
            let error = Seed::parse(text).unwrap_err();
            assert!(error.contains(&format!("`{name}`")), "{text}: {error}");
        }
    }

    #[test]
    fn an_endpoint_is_posted_as_it_stands() {
        let text = r#"{"endpoints":[{"url":"http://127.0.0.1:8888/","retry_schedule":"standard","rate_limit":5}]}"#;
        let seed = Seed::parse(text).unwrap();
        let posted = seed.endpoints[0].json().unwrap();
        assert_eq!(
            posted,
            r#"{"url":"http://127.0.0.1:8888/","description":"","retry_schedule":"standard","rate_limit":5}"#
        );
    }
}
