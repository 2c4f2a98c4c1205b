//! Sending a client what it missed. Why nothing is missed stands in ARCHITECTURE.md.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::cursor::{AHEAD_MS, CLOCK_SKEW_MS, LOOK_BACK_MS};
use domain::frame::{self, Cause, Rendered};
use domain::{Cursor, CursorKind, Event, Filter, Millis, Position, View};
use platform::clock;
use store::Connection;

use crate::action::{Bad, From};
use crate::answer::Answer;
use crate::client::{Client, Failure};

/// How many events are read at once: a hundred of the largest fit a function's memory.
const PAGE: usize = 100;
/// How many events one invocation looks at, and for how long: API Gateway waits 29 s. A longer
/// replay goes on with the client's next message.
const MAX_EVENTS: usize = 10_000;
const TIME_LIMIT_MS: u64 = 15_000;

/// By how much the clocks of two environments are apart without anything being wrong.
const SLACK_MS: u64 = 1_000;

/// How long after a mark is cleared a push may still pass over the connection: its list of
/// connections is a second old at most.
const LIST_AGE: Duration = Duration::from_millis(1_200);

/// Replays the feed to the client, and answers what comes after the last event.
pub(crate) async fn resume(
    client: &Client<'_>,
    row: &Connection,
    from: From,
) -> Result<Answer, Failure> {
    let own = Filter::stored(&row.filter).map_err(Bad::filter)?;
    let replay = Replay {
        client,
        row,
        filter: row.rights.narrow(&own).map_err(Bad::forbidden)?,
        now: clock::now(),
        begun: Instant::now(),
    };
    match from {
        From::Last(last) => replay.newest(last).await,
        From::Cursor(text) => {
            let cursor = client.deps.feed.decode(&text).map_err(Bad::cursor)?;
            replay.after(cursor).await
        }
    }
}

/// One replay to one client.
struct Replay<'a> {
    client: &'a Client<'a>,
    row: &'a Connection,
    /// What the client wants of what it may see.
    filter: View,
    /// When it began, by the wall clock.
    now: Millis,
    begun: Instant,
}

impl Replay<'_> {
    async fn after(&self, seen: Cursor) -> Result<Answer, Failure> {
        let reader = &self.client.deps.reader;
        let late = self
            .client
            .deps
            .session
            .late_since(seen.position.received_at);
        let late = late.await?;
        // A note says that the clock was ahead by which the cursor was made.
        if seen.is_ahead_of(self.now) && late.is_none() {
            return Err(Bad::future().into());
        }
        let (start, recovered) = match seen.kind {
            CursorKind::Seen | CursorKind::Polled { .. } => {
                let is_kept = seen.position.received_at >= reader.kept_since(self.now);
                (self.start(seen.position, late), is_kept)
            }
            CursorKind::Replayed { recovered } => (seen.position, recovered),
        };
        let (reached, is_end) = self.send_after(start, recovered).await?;
        if !is_end {
            return Ok(self.go_on(reached, recovered));
        }
        let begun = match seen.kind {
            CursorKind::Seen | CursorKind::Polled { .. } => Some(start),
            CursorKind::Replayed { .. } => None,
        };
        let reached = reached.max(seen.position);
        match self.row.missed_since {
            Some(missed) => self.again(missed, reached, begun, recovered).await,
            None => Ok(self.live(reached, recovered)),
        }
    }

    /// From where to read for a client that has seen an event at this position.
    fn start(&self, seen: Position, late: Option<Millis>) -> Position {
        let mut from = seen.received_at.minus(LOOK_BACK_MS);
        // A clock was set back since, or was ahead, and perhaps nobody has noted it.
        let is_ahead = seen.received_at > self.now.plus(SLACK_MS);
        let set_back = is_ahead.then(|| self.now.minus(CLOCK_SKEW_MS));
        for earlier in [late, self.row.missed_since, set_back]
            .into_iter()
            .flatten()
        {
            from = from.min(earlier);
        }
        Position::start_of(from).min(seen)
    }

    /// The end of a replay to a client that missed something. `begun` is where it began, if that is
    /// known: a replay in several parts may have begun before the mark was made.
    async fn again(
        &self,
        missed: Millis,
        reached: Position,
        begun: Option<Position>,
        recovered: bool,
    ) -> Result<Answer, Failure> {
        self.hear_again(missed).await?;
        // Late records were pushed past the client, too.
        let late = self.client.deps.session.late_since(missed).await?;
        let owed = late.map_or(missed, |late| late.min(missed));
        let mut from = self.now.minus(AHEAD_MS);
        if begun.is_none_or(|begun| Position::start_of(owed) < begun) {
            from = from.min(owed);
        }
        let from = Position::start_of(from);
        let (further, is_end) = self.send_after(from, recovered).await?;
        if !is_end {
            return Ok(self.go_on(further, recovered));
        }
        Ok(self.live(reached.max(further), recovered))
    }

    /// Lets live events flow again, and waits until they do: what is stored meanwhile may be pushed
    /// past the client. Not before everything was sent that it missed: if that fails, it has to stay
    /// marked. The client is told of a gap from then on, as the index may lag by more than the wait:
    /// this may be the last of its looks, and nobody else knows of the mark any more.
    async fn hear_again(&self, missed: Millis) -> Result<(), Failure> {
        let Client { deps, id, .. } = self.client;
        let cursor = deps.feed.cursor_at(Position::start_of(clock::now()));
        deps.session.clear_missed(id, missed).await?;
        self.client.send(&Answer::Gap { cursor }.to_json()).await?;
        tokio::time::sleep(LIST_AGE).await;
        Ok(())
    }

    fn live(&self, reached: Position, recovered: bool) -> Answer {
        Answer::Live {
            recovered,
            cursor: self.client.cursor(reached, CursorKind::Seen),
        }
    }

    fn go_on(&self, reached: Position, recovered: bool) -> Answer {
        let kind = CursorKind::Replayed { recovered };
        Answer::Continue {
            cursor: self.client.cursor(reached, kind),
        }
    }

    /// Sends what was stored after `start`. Answers how far it got, and whether that is the end.
    /// `recovered` is what the end of the replay will say.
    async fn send_after(
        &self,
        start: Position,
        recovered: bool,
    ) -> Result<(Position, bool), Failure> {
        let mut scan = self.client.deps.reader.after(start, clock::now());
        let mut reached = start;
        let mut looked_at = 0;
        let mut page = scan.next(PAGE).await?;
        while let Some((events, last)) = page {
            let (rendered, stopped) = self.wanted_in_time(events);
            looked_at += PAGE;
            if stopped.is_some() || looked_at >= MAX_EVENTS || self.is_out_of_time() {
                self.send(&rendered, recovered).await?;
                return Ok((stopped.unwrap_or(last), false));
            }
            let (sent, next) = tokio::join!(self.send(&rendered, recovered), scan.next(PAGE));
            sent?;
            reached = last;
            page = next?;
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
        while newest.len() < wanted && looked_at < MAX_EVENTS && !self.is_out_of_time() {
            let Some((events, _)) = scan.next(PAGE).await? else {
                break;
            };
            let mut events = events.peekable();
            reached = reached.or(events.peek().map(Event::position));
            newest.extend(self.wanted_in_time(events).0);
            looked_at += PAGE;
        }
        newest.truncate(wanted);
        newest.reverse();
        self.send(&newest, true).await?;
        let reached = reached.unwrap_or(Position::start_of(self.now));
        if let Some(missed) = self.row.missed_since {
            self.hear_again(missed).await?;
            let (further, is_end) = self.send_after(reached, true).await?;
            if !is_end {
                return Ok(self.go_on(further, true));
            }
            return Ok(self.live(further, true));
        }
        Ok(self.live(reached, true))
    }

    fn is_out_of_time(&self) -> bool {
        // By either clock: the one may be set back, and tests move it.
        self.begun.elapsed().as_millis() >= u128::from(TIME_LIMIT_MS)
            || clock::now() >= self.now.plus(TIME_LIMIT_MS)
    }

    /// Those of these events that pass, and the position of the one at which the time was up: the
    /// replay goes on behind it.
    fn wanted_in_time(
        &self,
        events: impl Iterator<Item = Event<'static>>,
    ) -> (Vec<Rendered>, Option<Position>) {
        let mut wanted = Vec::new();
        for event in events {
            if self.filter.matches(&event.content) {
                wanted.push(self.render(&event));
            }
            if self.is_out_of_time() {
                return (wanted, Some(event.position()));
            }
        }
        (wanted, None)
    }

    fn render(&self, event: &Event<'_>) -> Rendered {
        let feed = &self.client.deps.feed;
        let shown = self.row.rights.show(event);
        Rendered {
            json: shown.to_json_within(feed, self.row.with_data, frame::EVENT_BYTES),
            cursor: feed.cursor_at(event.position()),
        }
    }

    async fn send(&self, events: &[Rendered], recovered: bool) -> Result<(), Failure> {
        for message in frame::messages(events, Cause::Replay { recovered }) {
            self.client.send(&message).await?;
        }
        let sent = events.len() as u64;
        self.client.replayed.fetch_add(sent, Ordering::Relaxed);
        Ok(())
    }
}
