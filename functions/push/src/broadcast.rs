//! Sending a batch's events to the connections that want them.

use std::collections::HashMap;
use std::sync::Arc;

use domain::frame::{self, Cause, Rendered};
use domain::{Event, Feed, Millis};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use platform::clock;
use platform::connections::Posted;
use platform::telemetry::Chain;
use tokio::time::{Instant, timeout_at};

use crate::Deps;
use crate::directory::{Audience, Listener, Look};

/// How many messages are under way at once.
const CONCURRENCY: usize = 64;

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
/// messages of those who get the same are made once, when their turn comes, and dropped when they
/// are sent.
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
    for (choice, audiences) in choices(events, audiences) {
        let messages = Arc::new(rendering.messages(&choice));
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

/// Closes connections whose rights have ended. They are asked again by the next batch that reads the
/// list, if the gateway does not do it; `$disconnect` removes their rows.
pub(crate) async fn close(deps: &Deps, ended: &[String], deadline: Instant) {
    let closing = futures::stream::iter(ended)
        .for_each_concurrent(CONCURRENCY, |id| deps.connections.close(id));
    if timeout_at(deadline, closing).await.is_err() {
        tracing::warn!("Not every connection whose rights have ended could be closed in time.");
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
                if let Err(error) = deps.list.forget_gone(&listener.id, clock::now()).await {
                    // The next batch finds it gone as well.
                    tracing::warn!(connection.id = listener.id, error = %Chain(&error), "A connection that is gone could not be forgotten.");
                }
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
