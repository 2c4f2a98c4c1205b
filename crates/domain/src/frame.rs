//! How events are put into socket messages.
//!
//! API Gateway bills a message in units of 32 KB and refuses more than 128 KB, so several events
//! share a message, up to one unit where that is possible.
//! ("Amazon API Gateway quotas": WebSocket frame size, message payload size.)

use std::borrow::Borrow;

/// The unit in which API Gateway counts a message, and the largest frame that it accepts.
pub const FRAME_BYTES: usize = 32 * 1024;
/// The largest message that API Gateway accepts.
pub const MESSAGE_BYTES: usize = 128 * 1024;
/// What is around the events of a message: `{"type":"events","replay":true,"recovered":false,"events":[`
/// … with a cursor at the end. A test holds it to the truth.
pub const ENVELOPE_BYTES: usize = 144;
/// The largest event that fits a message.
pub const EVENT_BYTES: usize = MESSAGE_BYTES - ENVELOPE_BYTES;

/// Why events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// They were just stored.
    Live,
    /// They were missed. `recovered` is false when some of what was missed is not kept any more: who
    /// is cut off before the end of the replay goes on from what is kept, and would never hear of it.
    Replay { recovered: bool },
}

/// An event ready to be sent.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The event as JSON text.
    pub json: String,
    /// Its cursor, which is in the text as well.
    pub cursor: String,
}

/// Puts events into as few messages as fit [`FRAME_BYTES`] each; an event that is larger than
/// that has a message of its own. The cursor of a message is the furthest of its events'.
#[must_use]
pub fn messages<R: Borrow<Rendered>>(events: &[R], cause: Cause) -> Vec<String> {
    let chunks = chunks(events).into_iter();
    chunks
        .map(|chunk| message(chunk, cause, furthest(chunk)))
        .collect()
}

/// The same for who reads the feed in order: each with its cursor beside it, the last with the
/// cursor that `end` is, which says more than that of an event.
#[must_use]
pub fn messages_until<R: Borrow<Rendered>>(
    events: &[R],
    cause: Cause,
    end: &str,
) -> Vec<(String, String)> {
    let chunks = chunks(events);
    let last = chunks.len().saturating_sub(1);
    let with_cursor = chunks.into_iter().enumerate().map(|(index, chunk)| {
        let cursor = if index == last { end } else { furthest(chunk) };
        (message(chunk, cause, cursor), cursor.to_owned())
    });
    with_cursor.collect()
}

/// The events of each message.
fn chunks<R: Borrow<Rendered>>(events: &[R]) -> Vec<&[R]> {
    let mut chunks = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(fitting(rest));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

fn furthest<R: Borrow<Rendered>>(events: &[R]) -> &str {
    let cursors = events.iter().map(|event| event.borrow().cursor.as_str());
    cursors.max().unwrap_or_default()
}

/// How many of the first events fit one frame; at least one.
fn fitting<R: Borrow<Rendered>>(events: &[R]) -> usize {
    let mut bytes = ENVELOPE_BYTES;
    for (count, event) in events.iter().enumerate() {
        bytes += event.borrow().json.len() + usize::from(count > 0);
        if bytes > FRAME_BYTES && count > 0 {
            return count;
        }
    }
    events.len()
}

fn message<R: Borrow<Rendered>>(events: &[R], cause: Cause, cursor: &str) -> String {
    let bytes: usize = events
        .iter()
        .map(|event| event.borrow().json.len() + 1)
        .sum();
    let mut text = String::with_capacity(bytes + ENVELOPE_BYTES);
    text.push_str(r#"{"type":"events","#);
    text.push_str(match cause {
        Cause::Live => "",
        Cause::Replay { recovered: true } => r#""replay":true,"#,
        Cause::Replay { recovered: false } => r#""replay":true,"recovered":false,"#,
    });
    text.push_str(r#""events":["#);
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&event.borrow().json);
    }
    text.push_str(r#"],"cursor":""#);
    text.push_str(cursor);
    text.push_str(r#""}"#);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{EventId, Feed, Millis, Position};

    const IN_PART: Cause = Cause::Replay { recovered: false };

    #[test]
    fn a_message_says_why_it_is_sent() {
        let events = rendered(&[0]);
        let beginning = |cause| {
            let message = messages(&events, cause).remove(0);
            let (beginning, _) = message.split_once(r#""events":"#).unwrap();
            beginning.to_owned()
        };
        let all = Cause::Replay { recovered: true };
        assert_eq!(beginning(Cause::Live), r#"{"type":"events","#);
        assert_eq!(beginning(all), r#"{"type":"events","replay":true,"#);
        assert_eq!(
            beginning(IN_PART),
            r#"{"type":"events","replay":true,"recovered":false,"#
        );
    }

    fn rendered(sizes: &[usize]) -> Vec<Rendered> {
        let feed = Feed::new("f");
        sizes
            .iter()
            .enumerate()
            .map(|(index, size)| Rendered {
                json: format!("\"{}\"", "x".repeat(*size)),
                cursor: feed.cursor_at(Position {
                    received_at: Millis(index as u64),
                    id: EventId::ZERO,
                }),
            })
            .collect()
    }

    #[test]
    fn the_envelope_is_no_larger_than_it_is_said_to_be() {
        let events = rendered(&[0]);
        let message = messages(&events, IN_PART).remove(0);
        assert!(
            message.len() - events[0].json.len() <= ENVELOPE_BYTES,
            "{}",
            message.len()
        );
    }

    #[test]
    fn the_last_message_has_the_cursor_that_is_given() {
        let events = rendered(&[20_000, 20_000, 5]);
        let messages = messages_until(&events, IN_PART, "end");
        let cursors: Vec<_> = messages.iter().map(|(_, cursor)| cursor.as_str()).collect();
        assert_eq!(cursors, [events[0].cursor.as_str(), "end"]);
        for (message, cursor) in &messages {
            assert!(message.ends_with(&format!(r#"],"cursor":"{cursor}"}}"#)));
        }
    }

    #[test]
    fn an_event_of_the_largest_size_fits_a_message() {
        let message = messages(&rendered(&[EVENT_BYTES - 2]), IN_PART).remove(0);
        assert!(message.len() <= MESSAGE_BYTES);
    }

    proptest! {
        #[test]
        fn every_event_is_in_exactly_one_message_and_in_order(sizes in prop::collection::vec(0usize..40_000, 0..20)) {
            let events = rendered(&sizes);
            let mut seen = Vec::new();
            for message in messages(&events, Cause::Live) {
                let parsed: serde_json::Value = serde_json::from_str(&message).unwrap();
                let inside = parsed["events"].as_array().unwrap().clone();
                prop_assert!(message.len() <= FRAME_BYTES || inside.len() == 1);
                seen.extend(inside.iter().map(ToString::to_string));
                prop_assert_eq!(parsed["cursor"].as_str().unwrap(), &events[seen.len() - 1].cursor);
            }
            prop_assert_eq!(seen, events.into_iter().map(|event| event.json).collect::<Vec<_>>());
        }
    }
}
