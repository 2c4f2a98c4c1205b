//! Reading the feed from a cursor on, again and again, without missing anything and with as few
//! repeats as can be.
//!
//! The index lags behind the table, and not every event as long as the other: what was stored first
//! may be seen last. So who has read up to an event may not simply go on behind it. What was stored
//! [`LOOK_BACK_MS`](domain::cursor::LOOK_BACK_MS) ago or longer is settled: all of it can be seen. Of what is younger, the
//! positions that were looked at are remembered: in memory, as long as one invocation follows the
//! feed, and as a digest in the cursor that a client takes to the next. If the digest still fits
//! the window, nothing new has appeared in it. If not, the window is read once more from its start,
//! and the ids of its events tell which are repeats.

mod window;

use std::time::Duration;

use domain::cursor::CLOCK_SKEW_MS;
use domain::{Cursor, CursorKind, Event, Millis, Position};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::feed::{Events, FeedReader, FeedScan};
use crate::late::LateNotes;
use window::Window;

/// How many new events one read looks at, and for how long it begins to look at more. The window
/// comes on top: at most what can be stored in 15 s.
const MAX_EVENTS: usize = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(8);
/// How many positions are read at once, and of how many the events are got at once: a hundred of
/// the largest items fit a function's memory.
const POSITIONS: usize = 1_000;
const EVENTS: usize = 100;

/// What the caller says to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It was looked at, whether it was wanted or not; the next, please.
    Next,
    /// There is no room for it: the page ends before it.
    Stop,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Where to go on: at once, if there is more, or later.
    pub next: Cursor,
    /// Whether there is more to be looked at right now.
    pub more: bool,
    /// Whether everything after the cursor that was given is still kept.
    pub recovered: bool,
}

/// Follows the feed from a cursor on.
#[derive(Debug)]
pub struct Follow {
    reader: FeedReader,
    window: Window,
}

impl FeedReader {
    /// Follows the feed from a cursor on. A cursor from elsewhere, such as of a pushed event, is
    /// followed from [`LOOK_BACK_MS`](domain::cursor::LOOK_BACK_MS) before it; if events were pushed
    /// late when it was given, from there. So is one that names a time that has not come.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn follow_from(
        &self,
        mut cursor: Cursor,
        late: &LateNotes,
        now: Millis,
    ) -> Result<Follow, StoreError> {
        let seen = cursor.position.received_at;
        let late_since = match cursor.kind {
            // Such a cursor may be of an event that was pushed while others were late.
            CursorKind::Seen | CursorKind::Replayed { .. } => late.since(seen).await?,
            CursorKind::Polled { .. } if seen > now => late.since(seen).await?,
            CursorKind::Polled { .. } => None,
        };
        if late_since.is_some() {
            cursor.kind = CursorKind::Seen;
        }
        Ok(Follow {
            reader: self.clone(),
            window: Window::of(cursor, late_since),
        })
    }

    /// Follows the feed from the present on. What it shows now lies behind; what appears later is
    /// given, though it may have been stored a little before.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn follow_present(&self, now: Millis) -> Result<Follow, StoreError> {
        let present = Cursor {
            position: Position::start_of(self.present(now).await?),
            kind: CursorKind::Seen,
        };
        let mut window = Window::of(present, None);
        let mut scan = self.after(window.start(), now);
        loop {
            let positions = scan.positions(POSITIONS).await?;
            if positions.is_empty() {
                break;
            }
            for position in positions {
                window.add(position);
            }
        }
        window.settle(now, None);
        Ok(Follow {
            reader: self.clone(),
            window,
        })
    }

    /// The present by the feed's own time, since `now` may be of a clock that is ahead: when the
    /// newest event was stored, if that is not long ago.
    async fn present(&self, now: Millis) -> Result<Millis, StoreError> {
        let earliest = now.minus(CLOCK_SKEW_MS);
        let end = Position::start_of(Millis::MAX);
        let newest = self.before(end, now).down_to(earliest).positions(1).await?;
        let newest = newest.first().map_or(earliest, |at| at.received_at);
        Ok(newest.min(now))
    }

    /// Whether everything after a cursor is still kept.
    #[must_use]
    pub fn keeps_all_after(&self, cursor: Cursor, now: Millis) -> bool {
        match cursor.kind {
            CursorKind::Seen | CursorKind::Polled { .. } => {
                cursor.position.received_at >= self.kept_since(now)
            }
            CursorKind::Replayed { recovered } => recovered,
        }
    }

    /// One read of the feed from a cursor on, as [`FeedReader::follow_from`] begins: each event that was
    /// stored after it is given to `look`, oldest first, until there are no more, `look` stops, or
    /// enough was looked at. Those that the page's cursor has behind it are not given again by a
    /// read from there, unless more has appeared among the newest of them.
    ///
    /// # Errors
    /// When DynamoDB does not answer. Some events may have been looked at before.
    pub async fn poll(
        &self,
        cursor: Cursor,
        late: &LateNotes,
        now: Millis,
        look: impl FnMut(&Event<'_>) -> Look,
    ) -> Result<Page, StoreError> {
        let mut follow = self.follow_from(cursor, late, now).await?;
        let more = follow.read(now, look).await?;
        Ok(Page {
            next: follow.cursor(),
            more,
            recovered: self.keeps_all_after(cursor, now),
        })
    }
}

impl Follow {
    /// Gives each event that was not yet looked at to `look`, oldest first, as
    /// [`FeedReader::poll`] does; answers whether there is more.
    ///
    /// # Errors
    /// When DynamoDB does not answer. What was looked at until then stays so.
    pub async fn read(
        &mut self,
        now: Millis,
        mut look: impl FnMut(&Event<'_>) -> Look,
    ) -> Result<bool, StoreError> {
        let begun = Instant::now();
        self.window.rewind(now);
        let mut scan = self.reader.after(self.window.start(), now);
        let mut ready = compare(&mut self.window, &mut scan).await?;
        let mut looked_at = 0;
        loop {
            if ready.is_empty() {
                ready = scan.positions(POSITIONS).await?;
            }
            if ready.is_empty() {
                self.window.settle(now, None);
                return Ok(false);
            }
            for positions in ready.chunks(EVENTS) {
                let new = self.window.new_among(positions);
                let events = self.reader.events(&new, now).await?;
                let until = begun + TIME_LIMIT;
                let mut stop = look_at(&mut self.window, &new, events, &mut look, until);
                looked_at += new.len();
                if looked_at >= MAX_EVENTS || begun.elapsed() >= TIME_LIMIT {
                    stop = stop.or(positions.last().copied());
                }
                if stop.is_some() {
                    self.window.settle(now, stop);
                    return Ok(true);
                }
            }
            ready.clear();
        }
    }

    /// After which position the next read begins.
    #[must_use]
    pub fn start(&self) -> Position {
        self.window.start()
    }

    /// Where a client goes on that was given everything so far.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.window.cursor()
    }
}

/// Reads the window of the cursor that was brought, if it has to be compared. Answers the positions
/// that were read.
async fn compare(
    window: &mut Window,
    scan: &mut FeedScan<'_>,
) -> Result<Vec<Position>, StoreError> {
    let mut ready = Vec::new();
    let Some(end) = window.to_compare() else {
        return Ok(ready);
    };
    loop {
        let positions = scan.positions(POSITIONS).await?;
        let is_over = positions.last().is_none_or(|last| *last > end);
        ready.extend(positions);
        if is_over {
            break;
        }
    }
    window.compare(&ready);
    Ok(ready)
}

/// Gives the events at these positions to `look`; answers the position of the one at which it
/// stopped, or the time was up. The first of them is always looked at.
fn look_at(
    window: &mut Window,
    positions: &[Position],
    events: Events,
    look: &mut impl FnMut(&Event<'_>) -> Look,
    until: Instant,
) -> Option<Position> {
    let mut events = events.peekable();
    for (index, position) in positions.iter().enumerate() {
        if index > 0 && Instant::now() >= until {
            return Some(*position);
        }
        // An event that is gone meanwhile has a position all the same.
        let event = events.next_if(|event| event.position() == *position);
        if event.is_some_and(|event| look(&event) == Look::Stop) {
            return Some(*position);
        }
        window.add(*position);
    }
    None
}
