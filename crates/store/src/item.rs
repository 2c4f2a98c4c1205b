//! An event as an item of the events table.
//!
//! What the event says and the exact text that was received are kept together in one compressed
//! attribute: they repeat each other, and a write costs by the kilobyte.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Content, Event, EventId, Millis, Position};

use crate::compression::{Compressor, decompress};
use crate::error::StoreError;
use crate::keys;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The version of the attributes and of what is in `body`. Items of version 1 differ in that their
/// bodies were compressed without a dictionary, which a body says by itself.
const VERSION: &str = "2";
/// An item may have 400 KB, names and keys included; those are well below 1 KB here.
const MAX_BODY_BYTES: usize = 400 * 1024 - 1024;

/// Between what the event says and what was received. The former is JSON, in parts as the sender
/// wrote it: line breaks may stand in it, but no control character of another kind.
const SEPARATOR: u8 = 0;

/// Attributes of the events table.
pub(crate) mod attribute {
    pub(crate) const PK: &str = "pk";
    pub(crate) const SK: &str = "sk";
    pub(crate) const VERSION: &str = "v";
    pub(crate) const TYPE: &str = "type";
    pub(crate) const FEED_SHARD: &str = "feed_shard";
    pub(crate) const FEED_AT: &str = "feed_at";
    pub(crate) const RECIPIENT_KEY: &str = "recipient_key";
    pub(crate) const BODY: &str = "body";
    pub(crate) const OBJECT: &str = "object";
    pub(crate) const EXPIRES_AT: &str = "expires_at";
    /// Of a claim: the SHA-256 of the request.
    pub(crate) const REQUEST: &str = "request";
    /// Of a claim: the id of its event, without the prefix.
    pub(crate) const EVENT: &str = "event";
}

/// Turns what an event says into the bytes that are kept.
pub(crate) struct Encoder {
    compressor: Compressor,
}

/// The bytes that are kept of an event.
pub(crate) struct Encoded {
    /// What goes into the item.
    pub(crate) body: Vec<u8>,
    /// The whole, when it does not fit there.
    pub(crate) whole: Option<Vec<u8>>,
}

impl Encoder {
    pub(crate) fn new() -> Result<Encoder, StoreError> {
        let compressor = Compressor::new()?;
        Ok(Encoder { compressor })
    }

    /// What does not fit goes into the item without `data`, then without anything of unbounded
    /// size; the whole is beside it.
    pub(crate) fn encode(
        &mut self,
        content: &Content<'_>,
        data: Option<&str>,
    ) -> Result<Encoded, StoreError> {
        let whole = self.compress(content, data)?;
        if whole.len() <= MAX_BODY_BYTES {
            return Ok(Encoded {
                body: whole,
                whole: None,
            });
        }
        let without_data = Content {
            truncated: true,
            ..content.clone()
        };
        let mut body = self.compress(&without_data, None)?;
        if body.len() > MAX_BODY_BYTES {
            body = self.compress(&content.stripped(), None)?;
        }
        Ok(Encoded {
            body,
            whole: Some(whole),
        })
    }

    fn compress(
        &mut self,
        content: &Content<'_>,
        data: Option<&str>,
    ) -> Result<Vec<u8>, StoreError> {
        self.compressor.compress(&text(content, data)?)
    }
}

/// What a body is made of, before it is compressed.
///
/// # Errors
/// When the content cannot be written as JSON.
pub fn text(content: &Content<'_>, data: Option<&str>) -> Result<Vec<u8>, StoreError> {
    let data = data.unwrap_or_default();
    let mut text = Vec::with_capacity(data.len() + 512);
    serde_json::to_writer(&mut text, content)
        .map_err(|_| StoreError::Corrupt("the content is not JSON"))?;
    text.push(SEPARATOR);
    text.extend_from_slice(data.as_bytes());
    Ok(text)
}

/// The item of a new event, without what [`stamp`] sets.
pub(crate) fn new(id: EventId, content: &Content<'_>, body: Vec<u8>) -> Item {
    let text = |text: String| AttributeValue::S(text);
    let mut item = Item::from([
        (attribute::PK.to_owned(), text(id.partition())),
        (attribute::SK.to_owned(), text(id.sort())),
        (
            attribute::VERSION.to_owned(),
            AttributeValue::N(VERSION.to_owned()),
        ),
        (attribute::TYPE.to_owned(), text(content.kind.to_string())),
        (
            attribute::BODY.to_owned(),
            AttributeValue::B(Blob::new(body)),
        ),
    ]);
    if let Some(recipient) = content
        .recipient
        .as_deref()
        .filter(|address| !address.is_empty())
    {
        item.insert(
            attribute::RECIPIENT_KEY.to_owned(),
            text(domain::id::recipient_key(recipient)),
        );
    }
    item
}

/// Says in which object the event is whole.
pub(crate) fn set_object(item: &mut Item, key: String) {
    item.insert(attribute::OBJECT.to_owned(), AttributeValue::S(key));
}

/// The key of the object in which the event is whole; none when it is so in its item.
pub(crate) fn object(item: &Item) -> Option<&str> {
    Some(item.get(attribute::OBJECT)?.as_s().ok()?)
}

/// Says when the item is stored, which decides its place in the feed and when it expires.
pub(crate) fn stamp(
    item: &mut Item,
    id: EventId,
    now: Millis,
    feed_shards: u32,
    retention_ms: u64,
) {
    let shard = keys::feed_shard(now.day(), id.spread() % feed_shards);
    let at = keys::feed_at(Position {
        received_at: now,
        id,
    });
    let expires_at = now.plus(retention_ms).as_secs().to_string();
    item.insert(attribute::FEED_SHARD.to_owned(), AttributeValue::S(shard));
    item.insert(attribute::FEED_AT.to_owned(), AttributeValue::S(at));
    item.insert(
        attribute::EXPIRES_AT.to_owned(),
        AttributeValue::N(expires_at),
    );
}

/// Reads an event from the image of its item in a stream record.
///
/// # Errors
/// When it is not what [`EventWriter`](crate::EventWriter) writes.
pub fn from_image(image: &serde_dynamo::Item) -> Result<Event<'static>, StoreError> {
    use serde_dynamo::AttributeValue::{B, S};
    match (image.get(attribute::FEED_AT), image.get(attribute::BODY)) {
        (Some(S(at)), Some(B(body))) => decode(at, body),
        _ => Err(StoreError::Corrupt("an attribute is missing")),
    }
}

/// The event that the keys of a stream record name, or, if they are no event's, what stands in them.
///
/// # Errors
/// When they are no event's.
pub fn id_from_keys(keys: &serde_dynamo::Item) -> Result<EventId, String> {
    let text = |name| match keys.get(name) {
        Some(serde_dynamo::AttributeValue::S(text)) => text.as_str(),
        _ => "",
    };
    let key = format!("{}{}", text(attribute::PK), text(attribute::SK));
    EventId::from_key(&key).map_err(|_| key)
}

fn decode(feed_at: &str, body: &[u8]) -> Result<Event<'static>, StoreError> {
    let position =
        keys::parse_feed_at(feed_at).ok_or(StoreError::Corrupt("its place in the feed"))?;
    let bytes = decompress(body)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| StoreError::Corrupt("its body is not text"))?;
    let (content, data) = text
        .split_once(char::from(SEPARATOR))
        .ok_or(StoreError::Corrupt("its body has one part"))?;
    let content = serde_json::from_str(content).map_err(|_| StoreError::Corrupt("what it says"))?;
    Ok(Event {
        id: position.id,
        received_at: position.received_at,
        content,
        data: (!data.is_empty()).then(|| Cow::Owned(data.to_owned())),
    })
}

/// Reads an event from its item. It is not whole if there is an [`object`].
pub(crate) fn from_item(item: &Item) -> Result<Event<'static>, StoreError> {
    from_object(item, body(item)?)
}

/// The bytes that are kept of an event in its item.
pub(crate) fn body(item: &Item) -> Result<&[u8], StoreError> {
    item.get(attribute::BODY)
        .and_then(|value| value.as_b().ok())
        .map(AsRef::as_ref)
        .ok_or(StoreError::Corrupt("an attribute is missing"))
}

/// Reads an event from its item and the object in which it is whole.
pub(crate) fn from_object(item: &Item, body: &[u8]) -> Result<Event<'static>, StoreError> {
    let at = item
        .get(attribute::FEED_AT)
        .and_then(|value| value.as_s().ok());
    match at {
        Some(at) => decode(at, body),
        None => Err(StoreError::Corrupt("an attribute is missing")),
    }
}

#[cfg(test)]
mod tests {
    use domain::Source;

    use super::*;

    fn content(subject: String) -> Content<'static> {
        Content {
            recipient: Some("reader@example.net".into()),
            subject: Some(subject.into()),
            ..Content::new("click", Source::Mandrill)
        }
    }

    /// The event as its item has it, and as it is whole.
    fn both(content: &Content<'_>, data: Option<&str>) -> (Event<'static>, Option<Event<'static>>) {
        let id = EventId::of_content(&[b"m"], 1, &[b"f"], 0);
        let encoded = Encoder::new().unwrap().encode(content, data).unwrap();
        assert!(encoded.body.len() <= MAX_BODY_BYTES);
        let mut item = new(id, content, encoded.body);
        stamp(&mut item, id, Millis(1_795_300_005_123), 8, 1_000);
        let whole = encoded
            .whole
            .map(|whole| from_object(&item, &whole).unwrap());
        let event = from_item(&item).unwrap();
        for event in whole.iter().chain([&event]) {
            assert_eq!(
                (event.id, event.received_at),
                (id, Millis(1_795_300_005_123))
            );
        }
        (event, whole)
    }

    fn stored(content: &Content<'_>, data: Option<&str>) -> Event<'static> {
        let (event, whole) = both(content, data);
        assert!(whole.is_none() && !event.content.truncated);
        event
    }

    /// Text that hardly compresses.
    fn noise(bytes: usize) -> String {
        let mut random = fastrand::Rng::with_seed(7);
        (0..bytes).map(|_| random.alphanumeric()).collect()
    }

    #[test]
    fn an_event_is_read_as_it_was_stored() {
        let data = "{\"msg\" : {\"n\":1.50,\"s\":\"a\\/b\nc\"}}".replace('\n', "\\n");
        let event = stored(&content("Grüße".into()), Some(&data));
        assert_eq!(event.data.as_deref(), Some(data.as_str()));
        assert_eq!(event.content.subject.as_deref(), Some("Grüße"));
        assert_eq!(
            event.content.recipient.as_deref(),
            Some("reader@example.net")
        );
    }

    #[test]
    fn an_event_that_was_stored_under_an_older_version_is_read() {
        let at = format!("1790812800123#{}", EventId::ZERO.key());
        for body in [
            &include_bytes!("item/body-1.zst")[..],
            include_bytes!("item/body-2.zst"),
        ] {
            let event = decode(&at, body).unwrap();
            assert_eq!(event.content.kind, "hard_bounce");
            assert_eq!(event.content.tags, ["canary-tag"]);
            let data: serde_json::Value = serde_json::from_str(&event.data.unwrap()).unwrap();
            assert_eq!(data["event"], "hard_bounce");
        }
    }

    #[test]
    fn line_breaks_in_data_do_not_disturb_the_parts() {
        let event = stored(&content("s".into()), Some("{\n \"a\": 1\n}"));
        assert_eq!(event.data.as_deref(), Some("{\n \"a\": 1\n}"));
    }

    #[test]
    fn line_breaks_in_what_the_sender_wrote_do_not_disturb_the_parts() {
        let mut content = content("s".into());
        let metadata = "{\n  \"order\": 1\n}";
        content.metadata = Some(serde_json::from_str(metadata).unwrap());
        let event = stored(&content, Some("[\n1]"));
        assert_eq!(event.content.metadata.unwrap().get(), metadata);
        assert_eq!(event.data.as_deref(), Some("[\n1]"));
    }

    #[test]
    fn an_event_too_large_for_an_item_is_there_without_its_data_and_whole_beside_it() {
        let data = format!("\"{}\"", noise(700_000));
        let (event, whole) = both(&content("s".into()), Some(&data));
        assert!(event.content.truncated && event.data.is_none());
        assert_eq!(event.content.subject.as_deref(), Some("s"));
        let whole = whole.unwrap();
        assert!(!whole.content.truncated && whole.data.as_deref() == Some(data.as_str()));
        assert_eq!(whole.content.subject.as_deref(), Some("s"));
    }

    #[test]
    fn an_event_whose_fields_are_too_large_keeps_what_is_bounded_and_is_whole_beside_it() {
        let subject = noise(700_000);
        let (event, whole) = both(&content(subject.clone()), Some("1"));
        assert!(event.content.truncated && event.data.is_none() && event.content.subject.is_none());
        assert_eq!(event.content.kind, "click");
        let whole = whole.unwrap();
        assert!(!whole.content.truncated && whole.data.as_deref() == Some("1"));
        assert_eq!(whole.content.subject.as_deref(), Some(subject.as_str()));
    }

    #[test]
    fn the_largest_text_that_can_arrive_is_read_again() {
        let replaced = "\u{fffd}".repeat(4_500_000);
        let event = stored(&content(replaced.clone()), Some(&format!("\"{replaced}\"")));
        assert_eq!(event.data.unwrap().len(), replaced.len() + 2);
    }

    #[test]
    fn an_item_names_the_object_in_which_its_event_is_whole() {
        let id = EventId::of_content(&[b"m"], 1, &[b"f"], 0);
        let mut item = new(id, &content("s".into()), Vec::new());
        assert_eq!(object(&item), None);
        set_object(&mut item, keys::object(id));
        assert_eq!(object(&item), Some(format!("oversized/{id}").as_str()));
    }

    #[test]
    fn a_damaged_body_is_an_error() {
        let at = format!("1795300005123#{}", EventId::ZERO.key());
        for body in [
            &b""[..],
            b"nonsense",
            &zstd::bulk::compress(b"no parts", 1).unwrap(),
        ] {
            assert!(matches!(decode(&at, body), Err(StoreError::Corrupt(_))));
        }
        assert!(matches!(decode("x", b""), Err(StoreError::Corrupt(_))));
    }
}
