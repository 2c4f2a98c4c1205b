//! What a client is owed, said as simply as possible.
//!
//! A client has a filter from a cursor on, and another one from another cursor on: it has resumed by
//! that filter from there. Take an event and the last of these resumes that began before it. That one
//! had to find the event, if its filter let it pass, and so had all later ones to let it pass: then,
//! whenever it was sent, the client wanted it, and must have it. For what only an earlier filter let
//! pass, nobody can say whether it was sent before the filter was changed, and it is not owed.

use std::collections::BTreeMap;

use domain::{EventId, Millis, Position};
use flows::TestStack;

/// A filter by kinds.
#[derive(Debug, Clone)]
pub(crate) struct Kinds(pub(crate) &'static [&'static str]);

pub(crate) const KINDS: [&str; 4] = ["send", "open", "click", "hard_bounce"];
/// What clients choose from; nothing is everything.
const FILTERS: [&[&str]; 6] = [
    &[],
    &[],
    &["send"],
    &["open", "click"],
    &["open", "send", "hard_bounce"],
    &["click", "hard_bounce"],
];

impl Kinds {
    pub(crate) fn any(random: &mut fastrand::Rng) -> Kinds {
        Kinds(FILTERS[random.usize(..FILTERS.len())])
    }

    pub(crate) fn text(&self) -> String {
        match self.0 {
            [] => String::new(),
            kinds => format!("type:{}", kinds.join(",")),
        }
    }

    pub(crate) fn lets_pass(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.contains(&kind)
    }
}

/// A stored event.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The cursor of the place at which it was stored first.
    pub(crate) cursor: String,
    pub(crate) kind: String,
}

/// Every event that was ever stored, by id.
pub(crate) async fn stored(stack: &TestStack) -> BTreeMap<String, Stored> {
    let feed = stack.cursors();
    let mut stored = BTreeMap::new();
    for record in stack.records().await {
        if record["eventName"] != "INSERT" {
            continue;
        }
        let image = &record["dynamodb"]["NewImage"];
        let place = image["feed_at"]["S"].as_str().unwrap();
        let (at, key) = place.split_once('#').unwrap();
        let id = EventId::from_key(key).unwrap();
        let received_at = Millis(at.parse().unwrap());
        let cursor = feed.cursor_at(Position { received_at, id });
        let kind = image["type"]["S"].as_str().unwrap().to_owned();
        stored.insert(id.to_string(), Stored { cursor, kind });
    }
    stored
}

/// Whether a client with these filters, each from a cursor on, is owed this event.
pub(crate) fn is_owed(filters: &[(String, Kinds)], event: &Stored) -> bool {
    let last = filters.iter().rposition(|(from, _)| *from < event.cursor);
    last.is_some_and(|last| {
        let mut since = filters[last..].iter();
        since.all(|(_, kinds)| kinds.lets_pass(&event.kind))
    })
}
