//! What makes one event distinct from another.
//!
//! Mandrill gives its events no id, and sends a batch again when an answer was lost. So the id is
//! made from what was received and from nothing else: the same batch gives the same ids.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Base32 in the order of the alphabet's bytes: encoded texts of one length sort as their bytes.
pub(crate) static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("0123456789abcdefghjkmnpqrstvwxyz");
    match specification.encoding() {
        Ok(encoding) => encoding,
        Err(_) => data_encoding::BASE32HEX_NOPAD,
    }
});

const PREFIX: &str = "evt_";
const PARTITION_BYTES: usize = 8;
const SORT_BYTES: usize = 16;
const BYTES: usize = PARTITION_BYTES + SORT_BYTES;
/// 64 bits in base32.
const PARTITION_CHARS: usize = 13;
/// 128 bits in base32.
const SORT_CHARS: usize = 26;
const CHARS: usize = PARTITION_CHARS + SORT_CHARS;

/// The identity of an event: 64 bits of its message, 32 bits of its time, 96 bits of what tells
/// it from others.
///
/// `Display` shows `evt_` and 39 characters, the first 13 of which are the partition key of the
/// events table and the other 26 its sort key, so that an event is found by its id, and all
/// events of a message by the message, without an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; BYTES]);

impl EventId {
    /// Before every real id.
    pub const ZERO: EventId = EventId([0; BYTES]);

    /// Makes the id of an event from what was received.
    ///
    /// `message` names the message (or what stands for it), `ts` is the event's own time in
    /// seconds (0 when unreadable), `fingerprint` is what tells the event from others of the
    /// message, and `occurrence` counts equal ones within a batch from 0, so that two clicks in
    /// the same second are two events.
    #[must_use]
    pub fn of_content(
        message: &[&[u8]],
        ts: u32,
        fingerprint: &[&[u8]],
        occurrence: u32,
    ) -> EventId {
        let mut bytes = [0; BYTES];
        bytes[..PARTITION_BYTES].copy_from_slice(&digest(message)[..PARTITION_BYTES]);
        bytes[8..12].copy_from_slice(&ts.to_be_bytes());
        let mut hash = hasher(fingerprint);
        hash.update(occurrence.to_be_bytes());
        bytes[12..].copy_from_slice(&hash.finalize()[..BYTES - 12]);
        EventId(bytes)
    }

    /// The partition of a message's events: what [`EventId::partition`] gives for each of them.
    /// `message` is what was given to [`EventId::of_content`].
    #[must_use]
    pub fn partition_of(message: &[&[u8]]) -> String {
        BASE32.encode(&digest(message)[..PARTITION_BYTES])
    }

    /// The key under which a message's events stand together.
    #[must_use]
    pub fn partition(&self) -> String {
        BASE32.encode(&self.0[..PARTITION_BYTES])
    }

    /// The key of this event among those of its message: by time, then by identity.
    #[must_use]
    pub fn sort(&self) -> String {
        BASE32.encode(&self.0[PARTITION_BYTES..])
    }

    /// The id without its prefix: the partition key and the sort key.
    #[must_use]
    pub fn key(&self) -> String {
        self.partition() + &self.sort()
    }

    /// Reads what [`EventId::key`] wrote.
    ///
    /// # Errors
    /// When the text is not such a key.
    pub fn from_key(key: &str) -> Result<EventId, InvalidId> {
        let (partition, sort) = key
            .split_at_checked(PARTITION_CHARS)
            .filter(|_| key.len() == CHARS)
            .ok_or(InvalidId)?;
        let partition = BASE32.decode(partition.as_bytes()).map_err(|_| InvalidId)?;
        let sort = BASE32.decode(sort.as_bytes()).map_err(|_| InvalidId)?;
        let mut bytes = [0; BYTES];
        bytes[..PARTITION_BYTES].copy_from_slice(&partition);
        bytes[PARTITION_BYTES..].copy_from_slice(&sort);
        Ok(EventId(bytes))
    }

    /// A number that spreads events evenly, whatever their messages are.
    #[must_use]
    pub fn spread(&self) -> u32 {
        u32::from_be_bytes([self.0[20], self.0[21], self.0[22], self.0[23]])
    }

    pub(crate) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; BYTES]) -> EventId {
        EventId(bytes)
    }
}

/// Each part is preceded by its length, so that parts cannot run into each other.
fn hasher(parts: &[&[u8]]) -> Sha256 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    hasher(parts).finalize().into()
}

/// The key of a recipient in the index: 80 bits of a hash of the lower-cased address, since the
/// address itself may be too long or empty for a key, and need not stand in one more place.
#[must_use]
pub fn recipient_key(address: &str) -> String {
    BASE32.encode(&digest(&[address.to_lowercase().as_bytes()])[..10])
}

/// The text is not an event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event id")]
pub struct InvalidId;

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<EventId, InvalidId> {
        EventId::from_key(text.strip_prefix(PREFIX).ok_or(InvalidId)?)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}{}", self.partition(), self.sort())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(message: &str, ts: u32, fingerprint: &str, occurrence: u32) -> EventId {
        EventId::of_content(
            &[message.as_bytes()],
            ts,
            &[fingerprint.as_bytes()],
            occurrence,
        )
    }

    #[test]
    fn an_id_never_changes_for_the_same_content() {
        // Stored events are found by it: a change here loses every stored event's identity.
        assert_eq!(
            id("8854ad3594d6d7cca5a6c161f8ca3d01", 1_795_300_002, "send", 0).to_string(),
            "evt_8rfhddttae6rpdc11n8jnqegk883n33w57yhngg"
        );
    }

    #[test]
    fn equal_events_of_a_batch_differ_by_their_occurrence() {
        assert_ne!(id("m", 1, "click", 0), id("m", 1, "click", 1));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = EventId::of_content(&[b"m"], 1, &[b"ab", b"c"], 0);
        let other = EventId::of_content(&[b"m"], 1, &[b"a", b"bc"], 0);
        assert_ne!(one, other);
    }

    #[test]
    fn events_of_a_message_share_the_partition_and_sort_by_time() {
        let (early, late) = (id("m", 5, "zzz", 0), id("m", 6, "aaa", 0));
        assert_eq!(early.partition(), late.partition());
        assert!(early.sort() < late.sort());
        assert_eq!(EventId::partition_of(&[b"m"]), early.partition());
    }

    #[test]
    fn addresses_that_differ_only_in_case_share_a_recipient_key() {
        assert_eq!(
            recipient_key("Reader@Example.NET"),
            recipient_key("reader@example.net")
        );
        assert_ne!(
            recipient_key("a@example.net"),
            recipient_key("b@example.net")
        );
    }

    proptest! {
        #[test]
        fn an_id_round_trips_through_its_text(bytes in any::<[u8; BYTES]>()) {
            let id = EventId(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn keys_sort_as_ids_do(a in any::<[u8; BYTES]>(), b in any::<[u8; BYTES]>()) {
            prop_assert_eq!(EventId(a).key().cmp(&EventId(b).key()), a.cmp(&b));
        }

        #[test]
        fn reading_any_text_as_an_id_never_panics(text in ".*") {
            let _ = text.parse::<EventId>();
        }
    }
}
