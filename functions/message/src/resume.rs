//! Sending a client what it missed. Why nothing is missed stands in ARCHITECTURE.md.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::cursor::LOOK_BACK_MS;
use domain::frame::{self, Rendered};
use domain::{Cursor, CursorKind, Event, Filter, Millis, Position};
use platform::clock;
use store::Connection;

use crate::action::{Bad, From};
use crate::answer::Answer;
use crate::{Client, Failure};

/// How many events are read at once: a hundred of the largest fit a function's memory.
const PAGE: usize = 100;
/// How many events one invocation looks at, and for how long: API Gateway waits 29 s. A longer
/// replay goes on with the client's next message.
const MAX_EVENTS: usize = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// How far ahead of ours the clock of the function that stored an event may be.
const CLOCK_SKEW_MS: u64 = 60_000;

/// How long after a mark is cleared a push may still pass over the connection: its list of
/// connections is a second old at most.
const LIST_AGE: Duration = Duration::from_millis(1_200);

/// Replays the feed to the client, and answers what comes after the last event.
pub(crate) async fn resume(
    client: &Client<'_>,
    row: &Connection,
    from: From,
) -> Result<Answer, Failure> {
    let own: Filter = row.filter.parse().map_err(Bad::filter)?;
    let replay = Replay {
        client,
        row,
        filter: row.rights.narrow(&own).map_err(Bad::forbidden)?,
        now: clock::now(),
        started: Instant::now(),
    };
    match from {
        From::Last(last) => {
            replay.clear_missed().await?;
            replay.newest(last).await
        }
        From::Cursor(text) => {
            let cursor = client.deps.feed.decode(&text).map_err(Bad::cursor)?;
            if cursor.position.received_at > replay.now.plus(CLOCK_SKEW_MS) {
                return Err(Bad::future().into());
            }
            let start = start(client, row, cursor).await?;
            replay.clear_missed().await?;
            replay.after(cursor, start).await
        }
    }
}

/// From where to read for a client with this cursor.
async fn start(client: &Client<'_>, row: &Connection, cursor: Cursor) -> Result<Position, Failure> {
    let seen = cursor.position.received_at;
    let mut start = cursor.position;
    let looks_back = match cursor.kind {
        CursorKind::Seen | CursorKind::Polled { .. } => true,
        CursorKind::Replayed { .. } => false,
    };
    if looks_back {
        let mut from = seen.minus(LOOK_BACK_MS);
        if let Some(late) = client.deps.session.late_since(seen).await? {
            from = from.min(late);
        }
        start = start.min(Position::start_of(from));
    }
    Ok(match row.missed_since {
        Some(missed) => start.min(Position::start_of(missed)),
        None => start,
    })
}

/// One replay to one client.
struct Replay<'a> {
    client: &'a Client<'a>,
    row: &'a Connection,
    /// What the client wants of what it may see.
    filter: Filter,
    now: Millis,
    started: Instant,
}

impl Replay<'_> {
    /// From now on live events flow again: what is stored until they do is in the replay.
    async fn clear_missed(&self) -> Result<(), Failure> {
        if let Some(missed) = self.row.missed_since {
            self.client
                .deps
                .session
                .clear_missed(self.client.id, missed)
                .await?;
        }
        Ok(())
    }

    async fn after(&self, seen: Cursor, start: Position) -> Result<Answer, Failure> {
        let reader = &self.client.deps.reader;
        let recovered = match seen.kind {
            CursorKind::Seen | CursorKind::Polled { .. } => {
                seen.position.received_at >= reader.kept_since(self.now)
            }
            CursorKind::Replayed { recovered } => recovered,
        };
        let (mut reached, is_end) = self.send_after(start).await?;
        if !is_end {
            return Ok(self.go_on(reached, recovered));
        }
        if self.row.missed_since.is_some() {
            // What was stored since the mark was cleared may have been passed over.
            tokio::time::sleep(LIST_AGE.saturating_sub(self.started.elapsed())).await;
            let (further, is_end) = self
                .send_after(Position::start_of(self.now.minus(CLOCK_SKEW_MS)))
                .await?;
            reached = reached.max(further);
            if !is_end {
                return Ok(self.go_on(further, recovered));
            }
        }
        let cursor = self
            .client
            .cursor(reached.max(seen.position), CursorKind::Seen);
        Ok(Answer::Live { recovered, cursor })
    }

    fn go_on(&self, reached: Position, recovered: bool) -> Answer {
        let kind = CursorKind::Replayed { recovered };
        Answer::Continue {
            cursor: self.client.cursor(reached, kind),
        }
    }

    /// Sends what was stored after `start`. Answers how far it got, and whether that is the end.
    async fn send_after(&self, start: Position) -> Result<(Position, bool), Failure> {
        let mut scan = self.client.deps.reader.after(start, clock::now());
        let mut reached = start;
        let mut looked_at = 0;
        while let Some((events, last)) = scan.next(PAGE).await? {
            let rendered: Vec<_> = self
                .wanted(&events)
                .map(|event| self.render(event))
                .collect();
            drop(events);
            self.send(&rendered).await?;
            reached = last;
            looked_at += PAGE;
            if looked_at >= MAX_EVENTS || self.started.elapsed() >= TIME_LIMIT {
                return Ok((reached, false));
            }
        }
        Ok((reached, true))
    }

    /// The newest events, oldest first. With a filter that little passes, only so many are looked at.
    async fn newest(&self, wanted: usize) -> Result<Answer, Failure> {
        let beginning = Position::start_of(Millis::MAX);
        let mut scan = self.client.deps.reader.before(beginning, self.now);
        let mut newest: Vec<Rendered> = Vec::with_capacity(wanted);
        let mut reached = None;
        let mut looked_at = 0;
        while newest.len() < wanted && looked_at < MAX_EVENTS && self.started.elapsed() < TIME_LIMIT
        {
            let Some((events, _)) = scan.next(PAGE).await? else {
                break;
            };
            reached = reached.or(events.first().map(Event::position));
            newest.extend(self.wanted(&events).map(|event| self.render(event)));
            looked_at += PAGE;
        }
        newest.truncate(wanted);
        newest.reverse();
        self.send(&newest).await?;
        let reached = reached.unwrap_or(Position::start_of(self.now));
        Ok(Answer::Live {
            recovered: true,
            cursor: self.client.cursor(reached, CursorKind::Seen),
        })
    }

    fn wanted<'e>(&self, events: &'e [Event<'static>]) -> impl Iterator<Item = &'e Event<'static>> {
        events
            .iter()
            .filter(|event| self.filter.matches(&event.content))
    }

    fn render(&self, event: &Event<'_>) -> Rendered {
        let feed = &self.client.deps.feed;
        let shown = self.row.rights.show(event);
        Rendered {
            json: shown.to_json_within(feed, self.row.with_data, frame::EVENT_BYTES),
            cursor: feed.cursor_at(event.position()),
        }
    }

    async fn send(&self, events: &[Rendered]) -> Result<(), Failure> {
        for message in frame::messages(events, true) {
            self.client.send(&message).await?;
        }
        let sent = events.len() as u64;
        self.client.replayed.fetch_add(sent, Ordering::Relaxed);
        Ok(())
    }
}
