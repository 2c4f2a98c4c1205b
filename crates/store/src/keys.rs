//! How keys are made and read.

use domain::time::Day;
use domain::{EventId, Millis, Position};
use sha2::{Digest, Sha256};

/// Digits of a time in milliseconds: enough until the year 2286.
const MS_DIGITS: usize = 13;

/// Over how many partitions the connections are spread: one takes 3,000 read units a second.
/// A broadcast queries them all. It must not change while rows live (about two hours).
pub(crate) const CONNECTION_SHARDS: u8 = 4;

/// The partition in which notes on late records stand.
pub(crate) const LATE: &str = "late";

/// The feed's partition of an event: its UTC day and a number that spreads a day's events, since
/// one partition takes 1,000 writes a second.
pub(crate) fn feed_shard(day: Day, shard: u32) -> String {
    format!("{day}#{shard}")
}

/// An event's place within a partition of the feed, and among a recipient's events.
pub(crate) fn feed_at(position: Position) -> String {
    format!("{}#{}", ms(position.received_at), position.id.key())
}

/// Reads what [`feed_at`] wrote.
pub(crate) fn parse_feed_at(text: &str) -> Option<Position> {
    let (ms, key) = text.split_once('#')?;
    if ms.len() != MS_DIGITS {
        return None;
    }
    Some(Position {
        received_at: Millis(ms.parse().ok()?),
        id: EventId::from_key(key).ok()?,
    })
}

/// The key of the object in which an event is whole that its item cannot hold.
pub(crate) fn object(id: EventId) -> String {
    format!("oversized/{id}")
}

/// The partition, of one item only, of a claim to store an event once. No event's has this form.
pub(crate) fn claim(id: EventId) -> String {
    format!("key#{}", id.key())
}

/// The partition of a connection.
pub(crate) fn connection_shard(connection_id: &str) -> String {
    let digest = Sha256::digest(connection_id.as_bytes());
    connection_shard_name(digest[0] % CONNECTION_SHARDS)
}

pub(crate) fn connection_shard_name(shard: u8) -> String {
    format!("c{shard}")
}

/// The place of a note on late records: by the time until which they were late.
pub(crate) fn late_at(until: Millis) -> String {
    ms(until)
}

fn ms(at: Millis) -> String {
    format!("{:0width$}", at.0, width = MS_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_feed_is_read_as_it_was_written() {
        let id = EventId::of_content(&[b"m"], 1, &[b"f"], 0);
        let position = Position {
            received_at: Millis(1_795_300_005_123),
            id,
        };
        let text = feed_at(position);
        assert_eq!(text, format!("1795300005123#{}", id.key()));
        assert_eq!(parse_feed_at(&text), Some(position));
        for damaged in ["", "#", "1795300005123", "1795300005123#x", &text[1..]] {
            assert_eq!(parse_feed_at(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn places_sort_by_time() {
        let early = feed_at(Position::start_of(Millis(999)));
        let late = feed_at(Position::start_of(Millis(1_795_300_005_123)));
        assert!(early < late);
    }

    #[test]
    fn connections_are_spread_over_all_shards() {
        let shards: std::collections::BTreeSet<_> = (0..200)
            .map(|n| connection_shard(&format!("id{n}=")))
            .collect();
        assert_eq!(shards.len(), usize::from(CONNECTION_SHARDS));
    }
}
