//! Sending a batch's events to the connections that want them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::frame::{self, Cause, Rendered};
use domain::{Event, Feed, Millis};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use platform::clock;
use platform::connections::{Closed, Posted};
use platform::telemetry::Chain;
use tokio::time::{Instant, timeout_at};

use crate::Deps;
use crate::directory::{Audience, Listener, Look};

/// How many messages are under way at once.
const CONCURRENCY: usize = 64;
/// How long a push waits for turns to close connections: the next events wait meanwhile.
const CLOSING: Duration = Duration::from_secs(1);
/// How many bytes of messages may be under way when more are made. Each choice has its own, with all
/// of a batch in them if it comes to that: 64 of them may not fit a function's memory.
const BYTES_UNDER_WAY: usize = 32 * 1024 * 1024;

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sent {
    /// Connections that wanted some of it.
    pub(crate) connections: usize,
    /// Messages that the gateway took.
    pub(crate) sent: usize,
    /// Connections that turned out to be gone.
    pub(crate) gone: usize,
    /// Connections that could not take it in time.
    pub(crate) given_up: usize,
    /// Those of the given up that could not be marked as having missed something.
    pub(crate) unmarked: usize,
    /// When the gateway took the last message.
    pub(crate) last: Option<Millis>,
}

/// Sends the events to every listener whose filter lets some of them pass, and whose rights hold.
/// An event is rendered once for all who get it alike: with `data` or without, masked or not. The
/// messages of those who get the same are made once, when their turn comes and not too much is under
/// way, and dropped when they are sent.
pub(crate) async fn broadcast(
    deps: &Deps,
    events: &[Event<'_>],
    audiences: &[Audience],
    (now, oldest): (Millis, Millis),
    deadline: Instant,
) -> Sent {
    let mut rendering = Rendering::new(deps, events);
    let mut total = Sent::default();
    let mut sending = FuturesUnordered::new();
    let mut under_way = UnderWay::default();
    for (choice, audiences) in choices(events, audiences) {
        while under_way.bytes() > BYTES_UNDER_WAY
            && let Some(sent) = sending.next().await
        {
            total = total.and(sent);
        }
        let messages = under_way.add(rendering.messages(&choice));
        let listeners = audiences.iter().flat_map(|audience| &audience.listeners);
        for listener in listeners.filter(|listener| now < listener.until) {
            if sending.len() == CONCURRENCY
                && let Some(sent) = sending.next().await
            {
                total = total.and(sent);
            }
            sending.push(send(deps, listener, messages.clone(), oldest, deadline));
        }
    }
    while let Some(sent) = sending.next().await {
        total = total.and(sent);
    }
    total
}

/// What a listener gets: some of the events, by their places in the batch, and how they look.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Choice {
    look: Look,
    events: Vec<usize>,
}

/// Who gets what; many filters may choose the same. Who gets nothing is left out.
fn choices<'l>(
    events: &[Event<'_>],
    audiences: &'l [Audience],
) -> HashMap<Choice, Vec<&'l Audience>> {
    let mut choices: HashMap<_, Vec<_>> = HashMap::new();
    for audience in audiences {
        let wanted = events.iter().enumerate();
        let wanted = wanted.filter(|(_, event)| audience.form.view.matches(&event.content));
        let choice = Choice {
            look: audience.form.look,
            events: wanted.map(|(place, _)| place).collect(),
        };
        if !choice.events.is_empty() {
            choices.entry(choice).or_default().push(audience);
        }
    }
    choices
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
struct Rendering<'a> {
    deps: &'a Deps,
    events: &'a [Event<'a>],
    rendered: HashMap<(usize, Look), Rendered>,
}

impl<'a> Rendering<'a> {
    fn new(deps: &'a Deps, events: &'a [Event<'a>]) -> Rendering<'a> {
        Rendering {
            deps,
            events,
            rendered: HashMap::new(),
        }
    }

    fn messages(&mut self, choice: &Choice) -> Vec<String> {
        let look = choice.look;
        for place in &choice.events {
            let rendered = self.rendered.entry((*place, look));
            rendered.or_insert_with(|| render(&self.deps.feed, &self.events[*place], look));
        }
        let wanted = choice.events.iter();
        let wanted: Vec<_> = wanted
            .filter_map(|place| self.rendered.get(&(*place, look)))
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
    let render = |event: &Event<'_>| Rendered {
        json: event.to_json_within(feed, look.with_data, frame::EVENT_BYTES),
        cursor: feed.cursor_at(event.position()),
    };
    match look.mask {
        true => render(&event.masked()),
        false => render(event),
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
                result.given_up = 1;
                if let Err(error) = deps.list.mark_missed(&listener.id, oldest).await {
                    result.unmarked = 1;
                    tracing::warn!(connection.id = listener.id, error = %Chain(&error), "A connection that missed something could not be marked.");
                }
                break;
            }
        }
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
