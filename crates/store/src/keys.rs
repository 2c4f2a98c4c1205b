//! How keys are made and read.

use domain::time::Day;
use domain::{DeliveryId, DeliveryStatus, EndpointId, EventId, Millis, Position};
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

/// Before every place of a partition, and after: all are of letters, digits, `#` and `_`.
pub(crate) const START: &str = "#";
pub(crate) const END: &str = "~";

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

/// The partition of the endpoints' configuration, and of the item that counts its changes.
pub(crate) const ENDPOINTS: &str = "endpoint";
/// The place of that item: before every endpoint.
pub(crate) const ENDPOINTS_VERSION: &str = "#version";
/// The partition of how endpoints fare.
pub(crate) const HEALTH: &str = "health";
/// The partition of the endpoints that were deleted a short time ago.
pub(crate) const DELETED: &str = "deleted";

/// The place of an endpoint in each of these partitions.
pub(crate) fn endpoint(id: EndpointId) -> String {
    id.to_string()
}

/// Over how many partitions of the index an endpoint's deliveries are spread: one takes 1,000 writes
/// a second, and a delivery costs four. It must not change while rows live.
pub(crate) const DELIVERY_SHARDS: u32 = 4;

/// The partition of the deliveries of an event.
pub(crate) fn deliveries(event: EventId) -> String {
    event.to_string()
}

const DELIVERY: &str = "d#";
const ATTEMPT: &str = "a#";

/// The place of a delivery among those of its event.
pub(crate) fn delivery(endpoint: EndpointId) -> String {
    format!("{DELIVERY}{endpoint}")
}

/// The places of the deliveries to the endpoints after this one, from and to.
pub(crate) fn deliveries_after(after: Option<EndpointId>) -> (String, String) {
    let from = after.map_or(DELIVERY.to_owned(), |id| format!("{}{END}", delivery(id)));
    (from, format!("{DELIVERY}{END}"))
}

/// The place of an attempt among the items of its event.
pub(crate) fn attempt(endpoint: EndpointId, number: u16) -> String {
    format!("{ATTEMPT}{endpoint}#{number:05}")
}

/// The places of the attempts at all endpoints from the one to the other, from and to.
pub(crate) fn attempts_between(first: EndpointId, last: EndpointId) -> (String, String) {
    (format!("{ATTEMPT}{first}"), format!("{ATTEMPT}{last}{END}"))
}

/// What an item of the deliveries table is, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeliveryKey {
    Delivery(DeliveryId),
    Attempt(DeliveryId, u16),
}

impl DeliveryKey {
    /// The delivery that it is of.
    pub(crate) fn delivery(self) -> DeliveryId {
        match self {
            DeliveryKey::Delivery(id) | DeliveryKey::Attempt(id, _) => id,
        }
    }
}

/// Reads the keys that [`deliveries`] and [`delivery`] or [`attempt`] wrote.
pub(crate) fn parse_delivery(pk: &str, sk: &str) -> Option<DeliveryKey> {
    let event = pk.parse().ok()?;
    let id = |endpoint: &str| Some(DeliveryId::new(event, endpoint.parse().ok()?));
    if let Some(endpoint) = sk.strip_prefix(DELIVERY) {
        return id(endpoint).map(DeliveryKey::Delivery);
    }
    let (endpoint, number) = sk.strip_prefix(ATTEMPT)?.split_once('#')?;
    Some(DeliveryKey::Attempt(id(endpoint)?, number.parse().ok()?))
}

/// The partition of parked records.
pub(crate) const PARKED: &str = "parked";

/// The partition of the index in which a delivery and its attempts stand.
pub(crate) fn endpoint_shard(id: DeliveryId) -> String {
    endpoint_shard_name(id.endpoint, id.event.spread() % DELIVERY_SHARDS)
}

pub(crate) fn endpoint_shard_name(endpoint: EndpointId, shard: u32) -> String {
    format!("{endpoint}#{shard}")
}

/// What stands in a partition of the index, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Deliveries(DeliveryStatus),
    Attempts,
}

impl Listed {
    fn letter(self) -> char {
        match self {
            Listed::Deliveries(DeliveryStatus::Pending) => 'p',
            Listed::Deliveries(DeliveryStatus::Delivered) => 'd',
            Listed::Deliveries(DeliveryStatus::Failed) => 'f',
            Listed::Deliveries(DeliveryStatus::Cancelled) => 'c',
            Listed::Attempts => 'a',
        }
    }
}

/// A delivery's place in its partition of the index.
pub(crate) fn delivery_at(status: DeliveryStatus, at: Millis, event: EventId) -> String {
    let letter = Listed::Deliveries(status).letter();
    format!("{letter}#{}#{event}", ms(at))
}

/// An attempt's place in its partition of the index.
pub(crate) fn attempt_at(at: Millis, event: EventId, number: u16) -> String {
    let letter = Listed::Attempts.letter();
    format!("{letter}#{}#{event}#{number:05}", ms(at))
}

/// Before everything that is listed from a time on.
pub(crate) fn listed_from(listed: Listed, at: Millis) -> String {
    format!("{}#{}", listed.letter(), ms(at))
}

/// Behind everything that is listed up to a time, this included.
pub(crate) fn listed_to(listed: Listed, at: Millis) -> String {
    format!("{}#{}{END}", listed.letter(), ms(at))
}

/// Behind everything that is listed.
pub(crate) fn listed_end(listed: Listed) -> String {
    format!("{}{END}", listed.letter())
}

/// Before a place in the index, and behind all others that are before it. All places of a list have
/// the same length.
pub(crate) fn just_before(place: &str) -> String {
    let mut before = place.to_owned();
    let last = before.pop().map(|last| (last as u8).saturating_sub(1));
    before.extend(last.map(char::from));
    before.push_str(END);
    before
}

/// Behind a place in the index, and before all others that are behind it.
pub(crate) fn just_behind(place: &str) -> String {
    format!("{place}{END}")
}

/// The time in what [`delivery_at`] or [`attempt_at`] wrote.
pub(crate) fn parse_listed_at(state_at: &str) -> Option<Millis> {
    let (_, rest) = state_at.split_once('#')?;
    let (ms, _) = rest.split_once('#')?;
    (ms.len() == MS_DIGITS).then(|| ms.parse().ok().map(Millis))?
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

    fn id(event: u32) -> DeliveryId {
        let event = EventId::of_content(&[b"m"], 1, &[&event.to_be_bytes()], 0);
        DeliveryId::new(event, EndpointId::new([7; 16]))
    }

    #[test]
    fn keys_of_deliveries_and_attempts_are_read_as_they_were_written() {
        let id = id(0);
        let pk = deliveries(id.event);
        let found = parse_delivery(&pk, &delivery(id.endpoint));
        assert_eq!(found, Some(DeliveryKey::Delivery(id)));
        let found = parse_delivery(&pk, &attempt(id.endpoint, 12));
        assert_eq!(found, Some(DeliveryKey::Attempt(id, 12)));
        for sk in ["", "d#", "a#", "d#x", "x", &attempt(id.endpoint, 1)[..10]] {
            assert_eq!(parse_delivery(&pk, sk), None, "{sk}");
        }
        assert_eq!(parse_delivery(PARKED, &delivery(id.endpoint)), None);
    }

    #[test]
    fn attempts_and_deliveries_of_an_event_stand_in_their_bounds() {
        let (a, b) = (EndpointId::new([1; 16]), EndpointId::new([2; 16]));
        let (from, to) = deliveries_after(None);
        assert!(from < delivery(a) && delivery(b) < to);
        let (from, to) = deliveries_after(Some(a));
        assert!(delivery(a) < from && from < delivery(b) && delivery(b) < to);
        let (from, to) = attempts_between(a, a);
        assert!(from < attempt(a, 1) && attempt(a, 9) < attempt(a, 10));
        assert!(attempt(a, u16::MAX) < to && to < attempt(b, 1));
    }

    #[test]
    fn what_is_listed_stands_in_the_order_of_time_within_its_bounds() {
        let (event, at) = (id(0).event, Millis(1_795_300_005_123));
        let pending = Listed::Deliveries(DeliveryStatus::Pending);
        let place = delivery_at(DeliveryStatus::Pending, at, event);
        assert_eq!(parse_listed_at(&place), Some(at));
        assert_eq!(parse_listed_at(&attempt_at(at, event, 3)), Some(at));
        assert!(listed_from(pending, at) < place && place < listed_to(pending, at));
        assert!(listed_to(pending, at.minus(1)) < place);
        assert!(place < listed_from(pending, at.plus(1)) && place < listed_end(pending));
        assert!(attempt_at(at, event, 9) < attempt_at(at, event, 10));
        for status in DeliveryStatus::ALL {
            let listed = Listed::Deliveries(status);
            let is_in = |place: &str| {
                *listed_from(listed, Millis(0)) < *place && *place < *listed_end(listed)
            };
            assert!(is_in(&delivery_at(status, at, event)));
            assert!(!is_in(&attempt_at(at, event, 1)), "{status:?}");
        }
        for damaged in ["", "p", "p#1#x", "p#1795300005123"] {
            assert_eq!(parse_listed_at(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn nothing_stands_between_a_place_and_what_is_just_beside_it() {
        let place = |n| attempt_at(Millis(5), id(0).event, n);
        for n in [0, 9, 10, 99, 100] {
            let (before, behind) = (just_before(&place(n + 1)), just_behind(&place(n)));
            assert!(place(n) < before && before < place(n + 1), "{n}");
            assert!(place(n) < behind && behind < place(n + 1), "{n}");
        }
    }

    #[test]
    fn deliveries_to_an_endpoint_are_spread_over_all_shards() {
        let shards: std::collections::BTreeSet<_> = (0..200).map(id).map(endpoint_shard).collect();
        assert_eq!(shards.len(), DELIVERY_SHARDS as usize);
    }

    #[test]
    fn connections_are_spread_over_all_shards() {
        let shards: std::collections::BTreeSet<_> = (0..200)
            .map(|n| connection_shard(&format!("id{n}=")))
            .collect();
        assert_eq!(shards.len(), usize::from(CONNECTION_SHARDS));
    }
}
