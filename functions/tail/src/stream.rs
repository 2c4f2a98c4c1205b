//! A stream of Server-Sent Events: what was missed, then what comes, until Lambda's time is over.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use domain::frame::{self, Cause, Rendered};
use domain::{Cursor, CursorKind, Event, Millis, Position};
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, header};
use platform::clock;
use platform::http::HttpError;
use platform::telemetry::Chain;
use store::{Follow, Look, StoreError};
use tokio::time::{Instant, timeout};

use crate::ask::Ask;
use crate::body::Body;
use crate::call::{Call, instant, time_left};
use crate::deps::Deps;
use crate::pace::Pace;
use crate::sse;

/// How much is read before it is sent.
const EVENTS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 1024 * 1024;
/// Lambda streams 200 MB in an answer ("Lambda quotas"): the reader is sent away before.
const STREAM_BYTES: usize = 180 * 1024 * 1024;
/// How many of the newest events are looked at to find the last that a filter lets through.
const MAX_EVENTS: usize = 10_000;
/// How much of the last events is read before it is sent.
const LAST_BYTES: usize = 16 * 1024 * 1024;
const PAGE: usize = 100;

/// Begins the stream.
pub(crate) async fn answer(
    deps: &Arc<Deps>,
    call: &Call,
    ask: Ask,
) -> Result<Response<Body>, HttpError> {
    let now = clock::now();
    let begun = timeout(
        time_left(call.ends_at),
        Reader::begin(deps.clone(), call, ask, now),
    );
    let begun = begun
        .await
        .map_err(|late| HttpError::unavailable(&call.request_id, &late))?;
    let reader = begun.map_err(|error| HttpError::unavailable(&call.request_id, &error))?;
    let pieces = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok(piece), reader))
    });
    let mut response = Response::new(pieces.boxed());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Somebody who reads a stream.
struct Reader {
    deps: Arc<Deps>,
    request_id: String,
    ask: Ask,
    follow: Follow,
    /// Whether nothing of what was missed is lost.
    recovered: bool,
    /// Whether it has all that was missed.
    is_live: bool,
    /// When it is sent away at the latest.
    ends_at: Instant,
    began: Instant,
    pace: Pace,
    /// When the last piece was sent.
    sent_at: Instant,
    sent_bytes: usize,
    sent_events: usize,
    /// What is ready to be sent.
    ready: VecDeque<Bytes>,
    has_ended: bool,
}

impl Reader {
    async fn begin(
        deps: Arc<Deps>,
        call: &Call,
        ask: Ask,
        now: Millis,
    ) -> Result<Reader, StoreError> {
        // What is stored may not be seen yet, so that the newest are looked for as well.
        let newest = (ask.last > 0).then_some(Cursor {
            position: Position::start_of(now),
            kind: CursorKind::Seen,
        });
        let follow = deps.follow(ask.after.or(newest), now).await?;
        let mut reader = Reader {
            recovered: deps.keeps_all_after(ask.after, now),
            request_id: call.request_id.clone(),
            follow,
            is_live: false,
            ends_at: call.ends_at,
            began: Instant::now(),
            pace: Pace::new(),
            sent_at: Instant::now(),
            sent_bytes: 0,
            sent_events: 0,
            ready: VecDeque::from([sse::beginning()]),
            has_ended: false,
            deps,
            ask,
        };
        if reader.ask.after.is_none() && reader.ask.last > 0 {
            reader.read_last(now).await?;
        }
        Ok(reader)
    }

    /// The next piece of the stream, none at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.sent_at = Instant::now();
                self.sent_bytes += piece.len();
                return Some(piece);
            }
            if self.has_ended {
                tracing::info!(
                    request.id = self.request_id,
                    http.status = 200,
                    body_bytes = self.sent_bytes,
                    events.sent = self.sent_events,
                    duration_ms =
                        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "A reader's stream has ended."
                );
                return None;
            }
            self.go_on().await;
        }
    }

    /// Makes something ready, waits, or ends.
    async fn go_on(&mut self) {
        let now = clock::now();
        if !self.ask.rights.hold(now) {
            self.expire();
            return;
        }
        if Instant::now() >= self.ends_at || self.sent_bytes >= STREAM_BYTES {
            self.hand_over(&self.cursor());
            return;
        }
        // What a read has come across and not sent is not behind this.
        let before = self.cursor();
        let Ok(read) = timeout(time_left(self.ends_at), self.read(now)).await else {
            self.hand_over(&before);
            return;
        };
        match read {
            Ok(true) => self.pace.is_busy(),
            Ok(false) => self.wait().await,
            // The client comes back, to another invocation perhaps, and has missed nothing.
            Err(error) => {
                tracing::error!(
                    request.id = self.request_id,
                    error = %Chain(&error),
                    "The feed could not be read for a stream."
                );
                self.hand_over(&before);
            }
        }
    }

    /// Reads what is new; answers whether there was anything, or is more.
    async fn read(&mut self, now: Millis) -> Result<bool, StoreError> {
        let (deps, ask) = (&self.deps, &self.ask);
        let mut events = Vec::new();
        let mut bytes = 0;
        let more = self.follow.read(now, |event| {
            if events.len() >= EVENTS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                return Look::Stop;
            }
            if ask.filter.matches(&event.content) {
                let rendered = render(deps, ask, event);
                bytes += rendered.json.len();
                events.push(rendered);
            }
            Look::Next
        });
        let more = more.await?;
        let is_new = !events.is_empty();
        self.send(&events);
        if !self.is_live && !more {
            self.say_live();
        }
        Ok(is_new || more)
    }

    /// Makes the newest events ready, as many as were asked for and fit, and is live from then on.
    async fn read_last(&mut self, now: Millis) -> Result<(), StoreError> {
        let (deps, ask) = (&self.deps, &self.ask);
        let start = self.follow.start();
        let mut newest = Newest::of(ask.last);
        loop {
            let more = self.follow.read(now, |event| {
                if ask.filter.matches(&event.content) {
                    newest.add_newer(render(deps, ask, event));
                }
                Look::Next
            });
            if !more.await? {
                break;
            }
        }
        let mut scan = deps.reader.before(start, now);
        let mut looked_at = 0;
        while newest.has_room() && looked_at < MAX_EVENTS {
            let Some((events, _)) = scan.next(PAGE).await? else {
                break;
            };
            for event in events.filter(|event| ask.filter.matches(&event.content)) {
                if !newest.has_room() {
                    break;
                }
                newest.add_older(render(deps, ask, &event));
            }
            looked_at += PAGE;
        }
        let newest = Vec::from(newest.events);
        self.send(&newest);
        self.say_live();
        Ok(())
    }

    fn send(&mut self, events: &[Rendered]) {
        self.sent_events += events.len();
        let cursor = self.cursor();
        let recovered = self.recovered;
        let cause = match self.is_live {
            true => Cause::Live,
            false => Cause::Replay { recovered },
        };
        for (message, cursor) in frame::messages_until(events, cause, &cursor) {
            self.ready
                .push_back(sse::event("events", Some(&cursor), &message));
        }
    }

    fn say_live(&mut self) {
        self.is_live = true;
        let (recovered, cursor) = (self.recovered, self.cursor());
        let live = format!(r#"{{"type":"live","recovered":{recovered},"cursor":"{cursor}"}}"#);
        self.ready
            .push_back(sse::event("live", Some(&cursor), &live));
    }

    /// Tells the client to come back, and where to go on.
    fn hand_over(&mut self, cursor: &str) {
        // No `live` will say it.
        let lost = match self.is_live || self.recovered {
            true => "",
            false => r#""recovered":false,"#,
        };
        let reconnect = format!(r#"{{"type":"reconnect",{lost}"cursor":"{cursor}"}}"#);
        self.ready
            .push_back(sse::event("reconnect", Some(cursor), &reconnect));
        self.has_ended = true;
    }

    /// Tells the client that it has to come back with another ticket.
    fn expire(&mut self) {
        let cursor = self.cursor();
        let error = format!(
            r#"{{"type":"error","code":"expired","message":"the token has expired","cursor":"{cursor}"}}"#
        );
        self.ready
            .push_back(sse::event("error", Some(&cursor), &error));
        self.has_ended = true;
    }

    fn cursor(&self) -> String {
        self.deps.feed.encode(self.follow.cursor())
    }

    /// Waits until the feed is read again, or something else has to be done.
    async fn wait(&mut self) {
        let beats_at = self.sent_at + self.deps.heartbeat;
        if Instant::now() >= beats_at {
            self.ready.push_back(sse::heartbeat());
            return;
        }
        let rights_end = instant(self.ask.rights.until);
        let until = self.ends_at.min(rights_end).min(beats_at);
        tokio::time::sleep(self.pace.pause(until)).await;
    }
}

/// The newest events, oldest first, as many as are wanted and fit the function's memory.
struct Newest {
    wanted: usize,
    events: VecDeque<Rendered>,
    bytes: usize,
}

impl Newest {
    fn of(wanted: usize) -> Newest {
        Newest {
            wanted,
            events: VecDeque::new(),
            bytes: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.events.len() < self.wanted && self.bytes < LAST_BYTES
    }

    fn add_older(&mut self, event: Rendered) {
        self.bytes += event.json.len();
        self.events.push_front(event);
    }

    fn add_newer(&mut self, event: Rendered) {
        while !self.has_room() {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.json.len();
        }
        self.bytes += event.json.len();
        self.events.push_back(event);
    }
}

fn render(deps: &Deps, ask: &Ask, event: &Event<'_>) -> Rendered {
    Rendered {
        json: ask
            .rights
            .show(event)
            .to_json_within(&deps.feed, ask.with_data, frame::EVENT_BYTES),
        cursor: deps.feed.cursor_at(event.position()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize, bytes: usize) -> Rendered {
        Rendered {
            json: "x".repeat(bytes),
            cursor: number.to_string(),
        }
    }

    fn kept(newest: &Newest) -> Vec<&str> {
        let events = newest.events.iter();
        events.map(|event| event.cursor.as_str()).collect()
    }

    #[test]
    fn the_newest_are_kept_in_order_and_no_more_than_are_wanted() {
        let mut newest = Newest::of(3);
        for number in 5..10 {
            newest.add_newer(event(number, 1));
        }
        assert_eq!(kept(&newest), ["7", "8", "9"]);
        assert!(!newest.has_room());
        let mut newest = Newest::of(3);
        newest.add_newer(event(5, 1));
        newest.add_older(event(4, 1));
        assert_eq!(kept(&newest), ["4", "5"]);
        assert!(newest.has_room());
    }

    #[test]
    fn the_newest_are_no_more_than_fit() {
        let mut newest = Newest::of(1_000);
        for number in 0..10 {
            newest.add_newer(event(number, LAST_BYTES / 4));
        }
        assert_eq!(kept(&newest), ["6", "7", "8", "9"]);
        assert!(!newest.has_room());
    }
}
