//! Positions in the feed, and the opaque text in which clients hold them.

use crate::id::{BASE32, EventId};
use crate::time::Millis;
use sha2::{Digest, Sha256};

/// How much further back than its cursor a resume reads, in milliseconds: the shards of the stream
/// run at different speeds and the feed's index lags behind the table, so events before the cursor
/// may be unseen. What is pushed later than this after it was stored is noted as late.
pub const LOOK_BACK_MS: u64 = 15_000;

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
}

impl CursorKind {
    fn flags(self) -> u8 {
        match self {
            CursorKind::Seen => 0,
            CursorKind::Replayed { recovered: true } => REPLAYED,
            CursorKind::Replayed { recovered: false } => REPLAYED | LOST,
        }
    }

    fn from_flags(flags: u8) -> CursorKind {
        if flags & REPLAYED == 0 {
            return CursorKind::Seen;
        }
        CursorKind::Replayed {
            recovered: flags & LOST == 0,
        }
    }
}

const VERSION: u8 = 1;
const REPLAYED: u8 = 1;
const LOST: u8 = 2;
/// Version, 48 bits of milliseconds, id, flags.
const BODY_BYTES: usize = 1 + 6 + 24 + 1;
const CHECK_BYTES: usize = 4;
const CURSOR_BYTES: usize = BODY_BYTES + CHECK_BYTES;

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
        let mut bytes = [0; CURSOR_BYTES];
        bytes[0] = VERSION;
        bytes[1..7].copy_from_slice(&cursor.position.received_at.0.to_be_bytes()[2..]);
        bytes[7..31].copy_from_slice(cursor.position.id.bytes());
        bytes[31] = cursor.kind.flags();
        let check = self.check(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&check);
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
        let bytes: [u8; CURSOR_BYTES] = bytes.try_into().map_err(|_| CursorError::Malformed)?;
        if bytes[0] != VERSION {
            return Err(CursorError::Malformed);
        }
        if bytes[BODY_BYTES..] != self.check(&bytes[..BODY_BYTES]) {
            return Err(CursorError::Foreign);
        }
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&bytes[1..7]);
        let mut id = [0; 24];
        id.copy_from_slice(&bytes[7..31]);
        Ok(Cursor {
            position: Position {
                received_at: Millis(u64::from_be_bytes(ms)),
                id: EventId::from_bytes(id),
            },
            kind: CursorKind::from_flags(bytes[31]),
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
        ]
    }

    proptest! {
        #[test]
        fn a_cursor_round_trips(position in position(), kind in kind()) {
            let feed = Feed::new("one");
            let cursor = Cursor { position, kind };
            prop_assert_eq!(feed.decode(&feed.encode(cursor)), Ok(cursor));
        }

        #[test]
        fn cursors_sort_as_positions_do(a in position(), b in position()) {
            let feed = Feed::new("one");
            prop_assert_eq!(feed.cursor_at(a).cmp(&feed.cursor_at(b)), a.cmp(&b));
        }

        #[test]
        fn another_feeds_cursor_is_refused(position in position()) {
            let text = Feed::new("one").cursor_at(position);
            prop_assert_eq!(Feed::new("two").decode(&text), Err(CursorError::Foreign));
        }

        #[test]
        fn a_cursor_with_a_changed_character_is_refused(position in position(), at in 0usize..57, to in "[0-9a-z]") {
            let feed = Feed::new("one");
            let mut text = feed.cursor_at(position);
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
