//! The event, as every reader gets it.

mod bounds;

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::cursor::{Feed, Position};
use crate::id::EventId;
use crate::time::Millis;

pub use bounds::is_bounded;

/// The bytes of a text field that the content keeps: about twice the longest line of mail, whose
/// characters may have several bytes. (RFC 5322, section 2.1.1: 998.)
pub const FIELD_BYTES: usize = 2_048;
/// The bytes of metadata, and of a location, that the content keeps. Mandrill itself allows
/// senders about 200.
pub const METADATA_BYTES: usize = 16 * 1024;
/// The levels of objects and lists that metadata, and a location, keep. Mandrill's metadata has one.
/// An event stands in pages and messages within others, and some parsers stop at 64 levels.
pub const METADATA_LEVELS: usize = 16;
/// The tags that the content keeps.
pub const TAGS: usize = 100;
/// The bytes of a tag that the content keeps: 100 characters of any script.
pub const TAG_BYTES: usize = 400;

/// The beginning of a text that is at most `limit` bytes long and ends between two characters.
#[inline]
pub(crate) fn beginning(text: &str, limit: usize) -> &str {
    match text.len() <= limit {
        true => text,
        false => &text[..text.floor_char_boundary(limit)],
    }
}

/// Where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Mandrill posted it.
    Mandrill,
    /// Somebody published it.
    Api,
    /// It was posted to one endpoint's address.
    Ingest,
    /// Posthorn itself has something to tell.
    Posthorn,
}

impl Source {
    /// The word for it in the event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Mandrill => "mandrill",
            Source::Api => "api",
            Source::Ingest => "ingest",
            Source::Posthorn => "posthorn",
        }
    }

    /// Reads what [`Source::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Source> {
        [
            Source::Mandrill,
            Source::Api,
            Source::Ingest,
            Source::Posthorn,
        ]
        .into_iter()
        .find(|source| source.as_str() == word)
    }
}

/// What an event says, apart from when and where it was stored. This is what the store keeps
/// beside `data`; a field that is added later must have a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Content<'a> {
    /// Mandrill's own word, `<type>_<action>` for sync events, or a publisher's type.
    #[serde(rename = "type")]
    pub kind: Cow<'a, str>,
    /// Where it came from.
    pub source: Source,
    /// The name of the key that verified it.
    pub webhook: Option<Cow<'a, str>>,
    /// When it happened, in seconds since 1970, by the sender's word; none when unreadable.
    pub ts: Option<u32>,
    /// The id of the message that it is about.
    pub message_id: Option<Cow<'a, str>>,
    /// To whom.
    pub recipient: Option<Cow<'a, str>>,
    /// From whom.
    pub sender: Option<Cow<'a, str>>,
    /// The subject line.
    pub subject: Option<Cow<'a, str>>,
    /// The message's tags.
    #[serde(default)]
    pub tags: Vec<Cow<'a, str>>,
    /// The sender's subaccount.
    pub subaccount: Option<Cow<'a, str>>,
    /// The slug of the template.
    pub template: Option<Cow<'a, str>>,
    /// The sender's own data about the message: an object, none when empty.
    pub metadata: Option<Cow<'a, RawValue>>,
    /// What is worth showing for its kind.
    #[serde(default)]
    pub detail: Detail<'a>,
    /// Something was cut or left out, because it is too large or too deep: `data` has the whole.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

impl<'a> Content<'a> {
    /// An event of a kind and a source, of which nothing else is known.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'a, str>>, source: Source) -> Content<'a> {
        Content {
            kind: kind.into(),
            source,
            webhook: None,
            ts: None,
            message_id: None,
            recipient: None,
            sender: None,
            subject: None,
            tags: Vec::new(),
            subaccount: None,
            template: None,
            metadata: None,
            detail: Detail::default(),
            truncated: false,
        }
    }

    /// The least that can be said of the event: everything of unbounded size is left out.
    #[must_use]
    pub fn stripped(&self) -> Content<'static> {
        let kind: String = self.kind.chars().take(64).collect();
        Content {
            ts: self.ts,
            truncated: true,
            ..Content::new(kind, self.source)
        }
    }
}

/// What is worth showing, per kind. Absent fields are left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Detail<'a> {
    /// The link that was clicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    /// From where it was opened or clicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Cow<'a, str>>,
    /// With what it was opened or clicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// What Mandrill makes of the IP address: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Cow<'a, RawValue>>,
    /// What the receiving server said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diag: Option<Cow<'a, str>>,
    /// Mandrill's word for the kind of bounce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounce_description: Option<Cow<'a, str>>,
    /// Why it was rejected or listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// An event as it is kept.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// Which event.
    pub id: EventId,
    /// When it was stored.
    pub received_at: Millis,
    /// What it says.
    pub content: Content<'a>,
    /// The exact text received; none when it was too large to be kept. It must be valid JSON:
    /// it becomes a part of every answer as it is.
    pub data: Option<Cow<'a, str>>,
}

impl Event<'_> {
    /// Where it stands in the feed.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            received_at: self.received_at,
            id: self.id,
        }
    }

    /// The event as JSON text, with everything.
    #[must_use]
    pub fn to_json(&self, feed: &Feed) -> String {
        self.text(&self.content, feed, Some(self.data.as_deref()))
    }

    /// The event as JSON text for a socket: without the field `data` unless `with_data`, and
    /// never longer than `limit` bytes. What does not fit goes without `data`, then without
    /// anything of unbounded size, and says `"truncated": true`.
    #[must_use]
    pub fn to_json_within(&self, feed: &Feed, with_data: bool, limit: usize) -> String {
        let data = with_data.then_some(self.data.as_deref());
        let text = self.text(&self.content, feed, data);
        if text.len() <= limit {
            return text;
        }
        let without_data = with_data.then_some(None);
        if with_data {
            let content = Content {
                truncated: true,
                ..self.content.clone()
            };
            let text = self.text(&content, feed, without_data);
            if text.len() <= limit {
                return text;
            }
        }
        self.text(&self.content.stripped(), feed, without_data)
    }

    fn text(&self, content: &Content<'_>, feed: &Feed, data: Option<Option<&str>>) -> String {
        let head = Head {
            id: self.id,
            kind: &content.kind,
            source: content.source,
            webhook: content.webhook.as_deref(),
            occurred_at: content.ts.map_or(self.received_at, Millis::from_secs),
            received_at: self.received_at,
            message_id: content.message_id.as_deref(),
            recipient: content.recipient.as_deref(),
            sender: content.sender.as_deref(),
            subject: content.subject.as_deref(),
            tags: &content.tags,
            subaccount: content.subaccount.as_deref(),
            template: content.template.as_deref(),
            metadata: content.metadata.as_deref(),
            detail: &content.detail,
        };
        // Texts, numbers and JSON that was parsed before: nothing in it can fail to serialise.
        let mut text = serde_json::to_string(&head).unwrap_or_default();
        text.pop();
        // `data` is spliced in as it is: parsing it once more could only change it.
        if let Some(data) = data {
            text.push_str(r#","data":"#);
            text.push_str(data.unwrap_or("null"));
        }
        if content.truncated {
            text.push_str(r#","truncated":true"#);
        }
        text.push_str(r#","cursor":""#);
        text.push_str(&feed.cursor_at(self.position()));
        text.push_str(r#""}"#);
        text
    }
}

/// The fields before `data`, in the order that `docs/API.md` documents.
#[derive(Serialize)]
struct Head<'a> {
    id: EventId,
    #[serde(rename = "type")]
    kind: &'a str,
    source: Source,
    webhook: Option<&'a str>,
    occurred_at: Millis,
    received_at: Millis,
    message_id: Option<&'a str>,
    recipient: Option<&'a str>,
    sender: Option<&'a str>,
    subject: Option<&'a str>,
    tags: &'a [Cow<'a, str>],
    subaccount: Option<&'a str>,
    template: Option<&'a str>,
    #[serde(serialize_with = "object_or_empty")]
    metadata: Option<&'a RawValue>,
    detail: &'a Detail<'a>,
}

fn object_or_empty<S: Serializer>(
    object: &Option<&RawValue>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match object {
        Some(object) => object.serialize(serializer),
        None => serializer.serialize_map(Some(0))?.end(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, data: Option<&str>) -> Event<'static> {
        Event {
            id: EventId::of_content(&[b"m"], 1, &[b"f"], 0),
            received_at: Millis(1_795_300_005_123),
            content: Content {
                webhook: Some("main".into()),
                ts: Some(1_795_300_002),
                message_id: Some("m".into()),
                recipient: Some("reader1@example.net".into()),
                subject: Some(subject.to_owned().into()),
                tags: vec!["order-shipped".into()],
                detail: Detail {
                    url: Some("https://example.com".into()),
                    ..Detail::default()
                },
                ..Content::new("click", Source::Mandrill)
            },
            data: data.map(|text| Cow::Owned(text.to_owned())),
        }
    }

    #[test]
    fn an_event_has_the_documented_fields_in_the_documented_order() {
        let event = event("Hello", Some(r#"{"b":1.50,"a":"\/"}"#));
        let feed = Feed::new("test");
        let expected = format!(
            concat!(
                r#"{{"id":"{}","type":"click","source":"mandrill","webhook":"main","#,
                r#""occurred_at":"2026-11-21T22:26:42Z","received_at":"2026-11-21T22:26:45.123Z","#,
                r#""message_id":"m","recipient":"reader1@example.net","sender":null,"subject":"Hello","#,
                r#""tags":["order-shipped"],"subaccount":null,"template":null,"metadata":{{}},"#,
                r#""detail":{{"url":"https://example.com"}},"data":{{"b":1.50,"a":"\/"}},"cursor":"{}"}}"#
            ),
            event.id,
            feed.cursor_at(event.position()),
        );
        assert_eq!(event.to_json(&feed), expected);
    }

    #[test]
    fn an_event_without_a_readable_time_shows_when_it_was_received() {
        let mut event = event("Hello", None);
        event.content.ts = None;
        let json: serde_json::Value =
            serde_json::from_str(&event.to_json(&Feed::new("f"))).unwrap();
        assert_eq!(json["occurred_at"], json["received_at"]);
        assert_eq!(json["data"], serde_json::Value::Null);
    }

    #[test]
    fn a_socket_gets_no_data_unless_it_asked() {
        let event = event("Hello", Some("[1]"));
        let feed = Feed::new("f");
        assert!(
            !event
                .to_json_within(&feed, false, 1 << 20)
                .contains(r#""data""#)
        );
        assert!(
            event
                .to_json_within(&feed, true, 1 << 20)
                .contains(r#""data":[1]"#)
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_so() {
        let feed = Feed::new("f");
        let large = format!("\"{}\"", "x".repeat(5_000));
        let without_data = event("Hello", Some(&large)).to_json_within(&feed, true, 4_000);
        assert!(
            without_data.contains(r#""subject":"Hello""#)
                && without_data.contains(r#""data":null,"truncated":true"#)
        );

        let stripped = event(&"y".repeat(5_000), Some(&large)).to_json_within(&feed, true, 4_000);
        assert!(stripped.len() <= 4_000);
        assert!(stripped.contains(r#""type":"click""#) && stripped.contains(r#""truncated":true"#));
    }

    #[test]
    fn content_survives_being_stored() {
        let event = event("Grüße", None);
        let text = serde_json::to_string(&event.content).unwrap();
        let back: Content<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
