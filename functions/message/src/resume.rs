//! Sending a client what it missed. Why nothing is missed stands in ARCHITECTURE.md.

use std::time::{Duration, Instant};

use domain::cursor::LOOK_BACK_MS;
use domain::frame::{self, Rendered};
use domain::{Cursor, CursorKind, Event, Filter, Millis, Position};
use platform::clock;
use store::{Connection, FeedScan};

use crate::action::{Bad, From};
use crate::answer::Answer;
use crate::{Client, Failure};

/// How many events are read at once.
const PAGE: usize = 500;
/// How many events one invocation looks at, and for how long: API Gateway waits 29 s. A longer
/// replay goes on with the client's next message.
const MAX_EVENTS: usize = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// How far ahead of ours the clock of the function that stored an event may be.
const CLOCK_SKEW_MS: u64 = 60_000;

/// Replays the feed to the client, and answers what comes after the last event.
pub(crate) async fn resume(
    client: &Client<'_>,
    row: &Connection,
    from: From,
) -> Result<Answer, Failure> {
    let filter: Filter = row.filter.parse().map_err(Bad::filter)?;
    let now = clock::now();
    match from {
        From::Last(last) => {
            clear_missed(client, row).await?;
            replay_last(client, row, &filter, last, now).await
        }
        From::Cursor(text) => {
            let cursor = client.deps.feed.decode(&text).map_err(Bad::cursor)?;
            if cursor.position.received_at > now.plus(CLOCK_SKEW_MS) {
                return Err(Bad::future().into());
            }
            let start = start(client, row, cursor).await?;
            clear_missed(client, row).await?;
            replay(client, row, &filter, cursor, start, now).await
        }
    }
}

/// From where to read for a client with this cursor.
async fn start(client: &Client<'_>, row: &Connection, cursor: Cursor) -> Result<Position, Failure> {
    let seen = cursor.position.received_at;
    let mut start = cursor.position;
    if cursor.kind == CursorKind::Seen {
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

/// From now on live events flow again: what is stored until they do is in the replay.
async fn clear_missed(client: &Client<'_>, row: &Connection) -> Result<(), Failure> {
    if let Some(missed) = row.missed_since {
        client.deps.session.clear_missed(client.id, missed).await?;
    }
    Ok(())
}

async fn replay(
    client: &Client<'_>,
    row: &Connection,
    filter: &Filter,
    seen: Cursor,
    start: Position,
    now: Millis,
) -> Result<Answer, Failure> {
    let started = Instant::now();
    let recovered = match seen.kind {
        CursorKind::Seen => seen.position.received_at >= client.deps.reader.kept_since(now),
        CursorKind::Replayed { recovered } => recovered,
    };
    let mut scan = client.deps.reader.after(start, now);
    let mut reached = start;
    let mut looked_at = 0;
    while let Some((events, last)) = scan.next(PAGE).await? {
        send(
            client,
            row,
            events.iter().filter(|event| filter.matches(&event.content)),
        )
        .await?;
        reached = last;
        looked_at += PAGE;
        if looked_at >= MAX_EVENTS || started.elapsed() >= TIME_LIMIT {
            return Ok(Answer::Continue {
                cursor: client.cursor(reached, CursorKind::Replayed { recovered }),
            });
        }
    }
    Ok(Answer::Live {
        recovered,
        cursor: client.cursor(reached.max(seen.position), CursorKind::Seen),
    })
}

/// The newest events, oldest first. With a filter that little passes, only so many are looked at.
async fn replay_last(
    client: &Client<'_>,
    row: &Connection,
    filter: &Filter,
    wanted: usize,
    now: Millis,
) -> Result<Answer, Failure> {
    let mut scan: FeedScan<'_> = client
        .deps
        .reader
        .before(Position::start_of(Millis::MAX), now);
    let mut newest: Vec<Event<'_>> = Vec::with_capacity(wanted);
    let mut looked_at = 0;
    while newest.len() < wanted && looked_at < MAX_EVENTS {
        let page = PAGE.min(wanted.max(64));
        let Some((events, _)) = scan.next(page).await? else {
            break;
        };
        newest.extend(
            events
                .into_iter()
                .filter(|event| filter.matches(&event.content)),
        );
        looked_at += page;
    }
    newest.truncate(wanted);
    let reached = newest
        .first()
        .map_or(Position::start_of(now), Event::position);
    send(client, row, newest.iter().rev()).await?;
    Ok(Answer::Live {
        recovered: true,
        cursor: client.cursor(reached, CursorKind::Seen),
    })
}

async fn send<'e>(
    client: &Client<'_>,
    row: &Connection,
    events: impl Iterator<Item = &'e Event<'static>>,
) -> Result<(), Failure> {
    let feed = &client.deps.feed;
    let rendered: Vec<_> = events
        .map(|event| Rendered {
            json: event.to_json_within(feed, row.with_data, frame::EVENT_BYTES),
            cursor: feed.cursor_at(event.position()),
        })
        .collect();
    for message in frame::messages(&rendered, true) {
        client.send(&message).await?;
    }
    Ok(())
}
