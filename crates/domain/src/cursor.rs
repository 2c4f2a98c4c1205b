//! Positions in the feed, and the opaque text in which clients hold them.

use crate::id::{BASE32, EventId};
use crate::time::Millis;
use sha2::{Digest as _, Sha256};

/// How much further back than its cursor a resume reads, in milliseconds: the shards of the stream
/// run at different speeds and the feed's index lags behind the table, so events before the cursor
/// may be unseen. What is pushed later than this after it was stored is noted as late.
pub const LOOK_BACK_MS: u64 = 15_000;

/// How far apart the clocks of two environments may be, in milliseconds. AWS refuses a request that is
/// signed by a clock further off than these five minutes. ("Signature Version 4", date handling.)
pub const CLOCK_SKEW_MS: u64 = 5 * 60 * 1_000;

/// How far ahead of ours the time of a cursor may be, in milliseconds, before a note has to say that a
/// clock was ahead.
pub const AHEAD_MS: u64 = 60_000;

/// Where an event stands in the feed: by the time at which it was stored, then by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When the event was stored.
    pub received_at: Millis,
    /// Which of the events stored in that millisecond.
    pub id: EventId,
}

impl Position {
    /// Before every event stored at `at` or later.
    #[must_use]
    pub fn start_of(at: Millis) -> Position {
        Position {
            received_at: at,
            id: EventId::ZERO,
        }
    }
}

/// A position that a client holds and gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// What the client has seen, up to and including this position.
    pub position: Position,
    /// What "seen" means.
    pub kind: CursorKind,
}

impl Cursor {
    /// Whether it lies further ahead than any clock of ours may go wrong: it is of another time, or
    /// made up.
    #[must_use]
    pub fn is_ahead_of(self, now: Millis) -> bool {
        self.position.received_at > now.plus(AHEAD_MS)
    }
}

/// How far a cursor can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorKind {
    /// The client has seen this event. Events are not pushed in the order in which they were
    /// stored, so a resume reads some seconds further back.
    Seen,
    /// A replay stopped here, to go on in another invocation: nothing before it is owed.
    Replayed {
        /// Whether everything that the client missed was still kept when the replay began.
        recovered: bool,
    },
    /// The client reads the feed itself, page by page, and has looked at everything up to here
    /// that the feed showed so far.
    Polled {
        /// How many milliseconds up to the position, with its own, may still show more, as the
        /// feed's index lags. None, when 0.
        window_ms: u32,
        /// Of the positions within the window that were looked at.
        digest: Digest,
    },
}

impl CursorKind {
    fn flags(self) -> u8 {
        match self {
            CursorKind::Seen => 0,
            CursorKind::Replayed { recovered: true } => REPLAYED,
            CursorKind::Replayed { recovered: false } => REPLAYED | LOST,
            CursorKind::Polled { .. } => POLLED,
        }
    }

    /// Of a cursor without a window.
    fn from_flags(flags: u8) -> CursorKind {
        if flags & REPLAYED == 0 {
            return CursorKind::Seen;
        }
        CursorKind::Replayed {
            recovered: flags & LOST == 0,
        }
    }
}

/// Tells one set of positions from another, whatever the order in which they were added: the XOR
/// of a 64-bit hash of each. Two sets have the same by chance only, once in 2^64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u64);

impl Digest {
    /// The digest with this position as well; added twice, it is gone again.
    #[must_use]
    pub fn with(self, position: Position) -> Digest {
        let id = position.id.bytes().chunks_exact(8).map(number);
        Digest(
            self.0
                ^ id.fold(mixed(position.received_at.0), |hash, part| {
                    mixed(hash ^ part)
                }),
        )
    }
}

impl FromIterator<Position> for Digest {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Digest {
        let none = Digest::default();
        positions.into_iter().fold(none, Digest::with)
    }
}

/// A step of `SplitMix64`: every bit of the answer depends on every bit given, and no two numbers
/// have the same answer. It is part of cursors that clients hold, and must not change.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

const VERSION: u8 = 1;
const REPLAYED: u8 = 1;
const LOST: u8 = 2;
const POLLED: u8 = 4;
/// Version, 48 bits of milliseconds, id, flags.
const BODY_BYTES: usize = 1 + 6 + 24 + 1;
/// The window and its digest, which stand behind the flags of a polled cursor.
const WINDOW_BYTES: usize = 4 + 8;
const CHECK_BYTES: usize = 4;
/// The longest cursor.
const CURSOR_BYTES: usize = BODY_BYTES + WINDOW_BYTES + CHECK_BYTES;

/// Makes and reads the cursors of one deployment's feed.
///
/// Cursor texts sort bytewise in the order of the feed. Each carries a check that covers the
/// feed's own name, so that a damaged cursor, or one of another deployment, is refused instead of
/// being taken for a position.
#[derive(Debug, Clone)]
pub struct Feed {
    name: String,
}

impl Feed {
    /// `name` is what tells this deployment from others.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Feed {
        Feed { name: name.into() }
    }

    /// The cursor of an event that was seen.
    #[must_use]
    pub fn cursor_at(&self, position: Position) -> String {
        self.encode(Cursor {
            position,
            kind: CursorKind::Seen,
        })
    }

    /// The text of a cursor.
    #[must_use]
    pub fn encode(&self, cursor: Cursor) -> String {
        let mut bytes = Vec::with_capacity(CURSOR_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&cursor.position.received_at.0.to_be_bytes()[2..]);
        bytes.extend_from_slice(cursor.position.id.bytes());
        bytes.push(cursor.kind.flags());
        if let CursorKind::Polled { window_ms, digest } = cursor.kind {
            bytes.extend_from_slice(&window_ms.to_be_bytes());
            bytes.extend_from_slice(&digest.0.to_be_bytes());
        }
        let check = self.check(&bytes);
        bytes.extend_from_slice(&check);
        BASE32.encode(&bytes)
    }

    /// Reads what [`Feed::encode`] wrote.
    ///
    /// # Errors
    /// When the text is no cursor, is damaged, or belongs to another feed.
    pub fn decode(&self, text: &str) -> Result<Cursor, CursorError> {
        // Bounds the work that a stranger's text can cause.
        if text.len() > 2 * CURSOR_BYTES {
            return Err(CursorError::Malformed);
        }
        let bytes = BASE32
            .decode(text.as_bytes())
            .map_err(|_| CursorError::Malformed)?;
        let (body, check) = bytes
            .split_last_chunk::<CHECK_BYTES>()
            .ok_or(CursorError::Malformed)?;
        let (head, window) = body
            .split_first_chunk::<BODY_BYTES>()
            .ok_or(CursorError::Malformed)?;
        let flags = head[BODY_BYTES - 1];
        let window_bytes = match flags & POLLED {
            0 => 0,
            _ => WINDOW_BYTES,
        };
        if head[0] != VERSION || window.len() != window_bytes {
            return Err(CursorError::Malformed);
        }
        if *check != self.check(body) {
            return Err(CursorError::Foreign);
        }
        let mut id = [0; 24];
        id.copy_from_slice(&head[7..31]);
        Ok(Cursor {
            position: Position {
                received_at: Millis(number(&head[1..7])),
                id: EventId::from_bytes(id),
            },
            kind: match window.split_at_checked(4) {
                None => CursorKind::from_flags(flags),
                Some((window_ms, digest)) => CursorKind::Polled {
                    window_ms: u32::try_from(number(window_ms)).unwrap_or(u32::MAX),
                    digest: Digest(number(digest)),
                },
            },
        })
    }

    fn check(&self, body: &[u8]) -> [u8; CHECK_BYTES] {
        let digest = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update(body)
            .finalize();
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&digest[..CHECK_BYTES]);
        check
    }
}

/// The number that these bytes, at most eight, stand for.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A text that cannot be used as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not the form of a cursor.
    #[error("not a cursor")]
    Malformed,
    /// The form of a cursor, but not one that this feed has given.
    #[error("the cursor is damaged or belongs to another deployment")]
    Foreign,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        (0..1u64 << 48, any::<[u8; 24]>()).prop_map(|(ms, id)| Position {
            received_at: Millis(ms),
            id: EventId::from_bytes(id),
        })
    }

    fn kind() -> impl Strategy<Value = CursorKind> {
        prop_oneof![
            Just(CursorKind::Seen),
            any::<bool>().prop_map(|recovered| CursorKind::Replayed { recovered }),
            any::<(u32, u64)>().prop_map(|(window_ms, digest)| CursorKind::Polled {
                window_ms,
                digest: Digest(digest),
            }),
        ]
    }

    #[test]
    fn cursors_that_clients_hold_stay_readable() {
        let feed = Feed::new("one");
        let position = Position::start_of(Millis(1_795_300_005_123));
        let replayed = CursorKind::Replayed { recovered: false };
        let polled = CursorKind::Polled {
            window_ms: 15_000,
            digest: Digest(7),
        };
        let seen = "040t401r2m1g000000000000000000000000000000000000000eyrgmdm";
        let replayed_text = "040t401r2m1g000000000000000000000000000000000000001ktbngkw";
        let polled_text =
            "040t401r2m1g0000000000000000000000000000000000000020001tk0000000000001ra8s4h4";
        for (kind, text) in [
            (CursorKind::Seen, seen),
            (replayed, replayed_text),
            (polled, polled_text),
        ] {
            let cursor = Cursor { position, kind };
            assert_eq!(feed.decode(text), Ok(cursor));
            assert_eq!(feed.encode(cursor), text);
        }
    }

    #[test]
    fn a_cursor_is_ahead_only_beyond_what_a_clock_may_go_wrong() {
        let cursor = Cursor {
            position: Position::start_of(Millis(100_000)),
            kind: CursorKind::Seen,
        };
        assert!(!cursor.is_ahead_of(Millis(40_000)));
        assert!(cursor.is_ahead_of(Millis(39_999)));
    }

    proptest! {
        #[test]
        fn a_cursor_round_trips(position in position(), kind in kind()) {
            let feed = Feed::new("one");
            let cursor = Cursor { position, kind };
            prop_assert_eq!(feed.decode(&feed.encode(cursor)), Ok(cursor));
        }

        #[test]
        fn cursors_sort_as_positions_do(a in (position(), kind()), b in (position(), kind())) {
            let feed = Feed::new("one");
            let text = |(position, kind)| feed.encode(Cursor { position, kind });
            prop_assume!(a.0 != b.0);
            prop_assert_eq!(text(a).cmp(&text(b)), a.0.cmp(&b.0));
        }

        #[test]
        fn a_digest_tells_sets_apart_in_whatever_order(positions in prop::collection::vec(position(), 1..20), left_out in any::<prop::sample::Index>()) {
            let digest = Digest::from_iter(positions.iter().copied());
            prop_assert_eq!(digest, positions.iter().rev().copied().collect());
            let mut fewer = positions.clone();
            fewer.remove(left_out.index(positions.len()));
            prop_assert_ne!(digest, fewer.into_iter().collect());
        }

        #[test]
        fn another_feeds_cursor_is_refused(position in position()) {
            let text = Feed::new("one").cursor_at(position);
            prop_assert_eq!(Feed::new("two").decode(&text), Err(CursorError::Foreign));
        }

        #[test]
        fn a_cursor_with_a_changed_character_is_refused(position in position(), kind in kind(), at in any::<prop::sample::Index>(), to in "[0-9a-z]") {
            let feed = Feed::new("one");
            let mut text = feed.encode(Cursor { position, kind });
            let at = at.index(text.len());
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert!(feed.decode(&text).is_err());
        }

        #[test]
        fn reading_any_text_as_a_cursor_never_panics(text in ".*") {
            let _ = Feed::new("one").decode(&text);
        }
    }
}
