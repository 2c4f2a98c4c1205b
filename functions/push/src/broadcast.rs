//! Sending a batch's events to the connections that want them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::frame::{self, Cause, Rendered};
use domain::{Event, Feed, Millis};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use platform::clock;
use platform::connections::{Closed, Posted};
use platform::telemetry::Chain;
use tokio::time::{Instant, timeout_at};

use crate::choosing::{Choice, Choosing, waves};
use crate::deps::Deps;
use crate::directory::{Audience, Listener, Look};

/// How many messages are under way at once.
const CONCURRENCY: usize = 64;
/// How long a push waits for turns to close connections: the next events wait meanwhile.
const CLOSING: Duration = Duration::from_secs(1);
/// How many bytes of messages may be under way when more are made. Each choice has its own, with all
/// of a batch in them if it comes to that: 64 of them may not fit a function's memory.
const BYTES_UNDER_WAY: usize = 32 * 1024 * 1024;

/// How many events are rendered before others have the processor.
const RENDERED_AT_ONCE: usize = 64;

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sent {
    /// Connections that wanted some of it.
    pub(crate) connections: usize,
    /// Messages that the gateway took.
    pub(crate) sent: usize,
    /// Connections that turned out to be gone.
    pub(crate) gone: usize,
    /// Connections that could not take it in time, or whose filters cost too much.
    pub(crate) given_up: usize,
    /// Those of the given up that could not be marked as having missed something.
    pub(crate) unmarked: usize,
    /// When the gateway took the last message.
    pub(crate) last: Option<Millis>,
}

/// Sends the events to every listener whose filter lets some of them pass, and whose rights hold.
/// An event is rendered once for all who get it alike: with `data` or without, masked or not. The
/// messages of those who get the same are made once, when their turn comes and not too much is under
/// way, and dropped when they are sent. What is soon chosen is sent while the rest is chosen.
pub(crate) async fn broadcast(
    deps: &Deps,
    events: &[Event<'_>],
    audiences: &[Audience],
    (now, oldest): (Millis, Millis),
    deadline: Instant,
) -> Sent {
    let mut sending = Sending {
        deps,
        oldest,
        deadline,
        under_way: FuturesUnordered::new(),
        bytes: UnderWay::default(),
        total: Sent::default(),
    };
    let mut choosing = Choosing::begin(events, deps.limits);
    let mut rendering = Rendering::default();
    let listening = |audience: &&Audience| audience.listeners.iter().any(|one| now < one.until);
    for wave in waves(audiences) {
        let wave: Vec<_> = wave.into_iter().filter(listening).collect();
        let chosen = choosing.choose(&wave, &mut || sending.take_ready()).await;
        for (choice, audiences) in chosen.choices {
            sending.make_room().await;
            let messages = rendering.messages(&choice, &choosing, &mut sending).await;
            let messages = sending.bytes.add(messages);
            sending.to(&audiences, now, Some(&messages)).await;
        }
        if !chosen.missed.is_empty() {
            tracing::warn!(
                filters = chosen.missed.len(),
                "Filters cost too much for a batch: their connections are told that they missed it."
            );
            sending.to(&chosen.missed, now, None).await;
        }
    }
    sending.finish().await
}

/// The messages that are being sent, and those that are marked since they missed theirs.
struct Sending<'a> {
    deps: &'a Deps,
    oldest: Millis,
    deadline: Instant,
    under_way: FuturesUnordered<BoxFuture<'a, Sent>>,
    bytes: UnderWay,
    total: Sent,
}

impl<'a> Sending<'a> {
    /// Begins to send the listeners these messages, or to mark that they missed them.
    async fn to(
        &mut self,
        audiences: &[&'a Audience],
        now: Millis,
        messages: Option<&Arc<Vec<String>>>,
    ) {
        let listeners = audiences.iter().flat_map(|audience| &audience.listeners);
        for listener in listeners.filter(|listener| now < listener.until) {
            if self.under_way.len() == CONCURRENCY {
                self.wait_for_one().await;
            }
            let (deps, oldest, deadline) = (self.deps, self.oldest, self.deadline);
            self.under_way.push(match messages.cloned() {
                Some(messages) => send(deps, listener, messages, oldest, deadline).boxed(),
                None => miss(deps, listener, oldest).boxed(),
            });
        }
    }

    /// Waits until not too much is under way.
    async fn make_room(&mut self) {
        while self.bytes.bytes() > BYTES_UNDER_WAY && !self.under_way.is_empty() {
            self.wait_for_one().await;
        }
    }

    async fn wait_for_one(&mut self) {
        if let Some(sent) = self.under_way.next().await {
            self.total = self.total.and(sent);
        }
    }

    /// Takes what has been sent by now, without waiting, and lets the rest go on.
    fn take_ready(&mut self) {
        while let Some(Some(sent)) = self.under_way.next().now_or_never() {
            self.total = self.total.and(sent);
        }
    }

    async fn finish(mut self) -> Sent {
        while !self.under_way.is_empty() {
            self.wait_for_one().await;
        }
        self.total
    }
}

impl Sent {
    fn and(self, other: Sent) -> Sent {
        Sent {
            connections: self.connections + other.connections,
            sent: self.sent + other.sent,
            gone: self.gone + other.gone,
            given_up: self.given_up + other.given_up,
            unmarked: self.unmarked + other.unmarked,
            last: self.last.max(other.last),
        }
    }
}

/// The batch's events as they are sent, of which each is rendered when it is first needed.
#[derive(Debug, Default)]
struct Rendering(HashMap<(usize, Look), Rendered>);

impl Rendering {
    async fn messages(
        &mut self,
        choice: &Choice,
        choosing: &Choosing<'_>,
        sending: &mut Sending<'_>,
    ) -> Vec<String> {
        let look = choice.look;
        for place in &choice.events {
            let Entry::Vacant(vacant) = self.0.entry((*place, look)) else {
                continue;
            };
            // What was chosen is shown.
            let Some(event) = choosing.shown(*place, look) else {
                continue;
            };
            vacant.insert(render(&sending.deps.feed, event, look));
            if self.0.len().is_multiple_of(RENDERED_AT_ONCE) {
                tokio::task::yield_now().await;
                sending.take_ready();
            }
        }
        let wanted = choice.events.iter();
        let wanted: Vec<_> = wanted
            .filter_map(|place| self.0.get(&(*place, look)))
            .collect();
        frame::messages(&wanted, Cause::Live)
    }
}

/// The messages that somebody is still to get.
#[derive(Debug, Default)]
struct UnderWay(Vec<(Weak<Vec<String>>, usize)>);

impl UnderWay {
    fn add(&mut self, messages: Vec<String>) -> Arc<Vec<String>> {
        let bytes = messages.iter().map(String::len).sum();
        let messages = Arc::new(messages);
        self.0.push((Arc::downgrade(&messages), bytes));
        messages
    }

    fn bytes(&mut self) -> usize {
        self.0.retain(|(messages, _)| messages.strong_count() > 0);
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }
}

fn render(feed: &Feed, event: &Event<'_>, look: Look) -> Rendered {
    Rendered {
        json: event.to_json_within(feed, look.with_data, frame::EVENT_BYTES),
        cursor: feed.cursor_at(event.position()),
    }
}

/// Closes connections whose rights have ended, as many as have a turn now: the others, and those that
/// the gateway does not close, are asked for by the next batch that reads the list. `$disconnect`
/// removes their rows, if it comes.
pub(crate) async fn close(deps: &Deps, ended: &[String], deadline: Instant) {
    let until = deadline.min(Instant::now() + CLOSING);
    let closing = futures::stream::iter(ended)
        .for_each_concurrent(CONCURRENCY, |id| close_in_turn(deps, id, until));
    if timeout_at(deadline, closing).await.is_err() {
        tracing::warn!("Not every connection whose rights have ended could be closed in time.");
    }
}

async fn close_in_turn(deps: &Deps, id: &str, until: Instant) {
    if !deps.rate.turn(until).await {
        return;
    }
    match deps.connections.close(id).await {
        Closed::Now | Closed::Failed => {}
        Closed::Gone => forget(deps, id).await,
    }
}

async fn forget(deps: &Deps, id: &str) {
    if let Err(error) = deps.list.forget_gone(id, clock::now()).await {
        // The next batch finds it gone as well.
        tracing::warn!(connection.id = id, error = %Chain(&error), "A connection that is gone could not be forgotten.");
    }
}

/// Sends one listener its messages, one after the other, and stops at the first that fails.
async fn send(
    deps: &Deps,
    listener: &Listener,
    messages: Arc<Vec<String>>,
    oldest: Millis,
    deadline: Instant,
) -> Sent {
    let mut result = Sent {
        connections: 1,
        ..Sent::default()
    };
    for message in messages.iter() {
        let bytes = message.as_bytes();
        let post = deps
            .connections
            .post_in_turn(&listener.id, bytes, &deps.rate, deadline);
        match post.await {
            Posted::Sent => {
                result.sent += 1;
                result.last = Some(clock::now());
            }
            Posted::Gone => {
                result.gone = 1;
                forget(deps, &listener.id).await;
                break;
            }
            Posted::GivenUp => {
                let missed = miss(deps, listener, oldest).await;
                result.given_up = missed.given_up;
                result.unmarked = missed.unmarked;
                break;
            }
        }
    }
    result
}

/// Marks a listener as having missed something.
async fn miss(deps: &Deps, listener: &Listener, oldest: Millis) -> Sent {
    let mut result = Sent {
        connections: 1,
        given_up: 1,
        ..Sent::default()
    };
    if let Err(error) = deps.list.mark_missed(&listener.id, oldest).await {
        result.unmarked = 1;
        tracing::warn!(connection.id = listener.id, error = %Chain(&error), "A connection that missed something could not be marked.");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_under_way_until_the_last_who_gets_them_has_them() {
        let mut under_way = UnderWay::default();
        let first = under_way.add(vec!["x".repeat(3), "x".repeat(4)]);
        let second = under_way.add(vec!["x".repeat(10)]);
        let other = first.clone();
        assert_eq!(under_way.bytes(), 17);
        drop(first);
        assert_eq!(under_way.bytes(), 17);
        drop(other);
        assert_eq!(under_way.bytes(), 10);
        drop(second);
        assert_eq!(under_way.bytes(), 0);
    }
}
