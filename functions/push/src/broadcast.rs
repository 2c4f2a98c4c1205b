//! Sending a batch's events to the connections that want them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use domain::frame::{self, Rendered};
use domain::{Event, Millis};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use platform::clock;
use platform::connections::Posted;
use platform::telemetry::Chain;
use tokio::time::{Instant, timeout_at};

use crate::Deps;
use crate::directory::{Form, Listener};

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

/// Sends the events to every listener whose filter lets some of them pass. Each event is rendered
/// once for all who get it alike: with `data` or without, masked or not. The messages of each form are made once,
/// when their turn comes, and dropped when they are sent.
pub(crate) async fn broadcast<'l>(
    deps: &Deps,
    events: &[Event<'_>],
    listeners: impl Iterator<Item = &'l Listener>,
    oldest: Millis,
    deadline: Instant,
) -> Sent {
    let mut forms: HashMap<&Form, Vec<&Listener>> = HashMap::new();
    for listener in listeners {
        forms.entry(&listener.form).or_default().push(listener);
    }
    let rendering = Rendering::new(deps, events);
    let mut total = Sent::default();
    let mut sending = FuturesUnordered::new();
    for (form, listeners) in forms {
        let messages = Arc::new(rendering.messages(form));
        if messages.is_empty() {
            continue;
        }
        for listener in listeners {
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

/// The batch's events as they are sent.
struct Rendering<'a> {
    deps: &'a Deps,
    events: &'a [Event<'a>],
    /// Without and with `data`, then the same masked.
    rendered: [OnceCell<Vec<Rendered>>; 4],
}

impl<'a> Rendering<'a> {
    fn new(deps: &'a Deps, events: &'a [Event<'a>]) -> Rendering<'a> {
        Rendering {
            deps,
            events,
            rendered: Default::default(),
        }
    }

    fn messages(&self, form: &Form) -> Vec<String> {
        let cell = &self.rendered[usize::from(form.with_data) + 2 * usize::from(form.mask)];
        let rendered = cell.get_or_init(|| self.render(form));
        let wanted: Vec<_> = self
            .events
            .iter()
            .zip(rendered)
            .filter(|(event, _)| form.filter.matches(&event.content))
            .map(|(_, rendered)| rendered)
            .collect();
        frame::messages(&wanted, false)
    }

    fn render(&self, form: &Form) -> Vec<Rendered> {
        let feed = &self.deps.feed;
        let render = |event: &Event<'_>| Rendered {
            json: event.to_json_within(feed, form.with_data, frame::EVENT_BYTES),
            cursor: feed.cursor_at(event.position()),
        };
        let events = self.events.iter();
        if form.mask {
            return events.map(|event| render(&event.masked())).collect();
        }
        events.map(render).collect()
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
