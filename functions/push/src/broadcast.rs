//! Sending a batch's events to the connections that want them.

use std::collections::HashMap;
use std::future::ready;
use std::time::Duration;

use domain::frame::{self, Rendered};
use domain::{Event, Millis};
use futures::{StreamExt, stream};
use platform::clock;
use platform::connections::Posted;
use platform::telemetry::Chain;
use tokio::time::{Instant, timeout_at};

use crate::Deps;
use crate::directory::{Form, Listener};

/// How many messages are under way at once.
const CONCURRENCY: usize = 64;
/// How long sending a batch may take: what is not sent by then is given up, well before the
/// function's own time limit would repeat the batch for everybody.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);

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
}

/// Sends the events to every listener whose filter lets some of them pass. The messages of each
/// form are made once, however many listeners have it.
pub(crate) async fn broadcast(
    deps: &Deps,
    events: &[Event<'_>],
    listeners: &[Listener],
    oldest: Millis,
) -> Sent {
    let deadline = Instant::now() + TIME_LIMIT;
    let mut forms: HashMap<&Form, Vec<String>> = HashMap::new();
    for listener in listeners {
        forms
            .entry(&listener.form)
            .or_insert_with(|| messages(deps, events, &listener.form));
    }
    // Collected first: a stream over the closure itself cannot be sent between threads.
    let wanted = listeners
        .iter()
        .filter_map(|listener| {
            let messages = forms
                .get(&listener.form)
                .filter(|messages| !messages.is_empty())?;
            Some(send(deps, listener, messages, oldest, deadline))
        })
        .collect::<Vec<_>>();
    stream::iter(wanted)
        .buffer_unordered(CONCURRENCY)
        .fold(Sent::default(), |total, sent| ready(total.and(sent)))
        .await
}

impl Sent {
    fn and(self, other: Sent) -> Sent {
        Sent {
            connections: self.connections + other.connections,
            sent: self.sent + other.sent,
            gone: self.gone + other.gone,
            given_up: self.given_up + other.given_up,
        }
    }
}

fn messages(deps: &Deps, events: &[Event<'_>], form: &Form) -> Vec<String> {
    let rendered: Vec<_> = events
        .iter()
        .filter(|event| form.filter.matches(&event.content))
        .map(|event| Rendered {
            json: event.to_json_within(&deps.feed, form.with_data, frame::EVENT_BYTES),
            cursor: deps.feed.cursor_at(event.position()),
        })
        .collect();
    frame::messages(&rendered, false)
}

/// Sends one listener its messages, one after the other, and stops at the first that fails.
async fn send(
    deps: &Deps,
    listener: &Listener,
    messages: &[String],
    oldest: Millis,
    deadline: Instant,
) -> Sent {
    let mut result = Sent {
        connections: 1,
        ..Sent::default()
    };
    for message in messages {
        let post = deps.connections.post(&listener.id, message.as_bytes());
        let posted = timeout_at(deadline, post).await.unwrap_or(Posted::GivenUp);
        let noted = match posted {
            Posted::Sent => {
                result.sent += 1;
                continue;
            }
            Posted::Gone => {
                result.gone += 1;
                deps.list.forget_gone(&listener.id, clock::now()).await
            }
            Posted::GivenUp => {
                result.given_up += 1;
                deps.list.mark_missed(&listener.id, oldest).await
            }
        };
        if let Err(error) = noted {
            tracing::warn!(connection.id = listener.id, error = %Chain(&error), "What became of a connection could not be noted.");
        }
        break;
    }
    result
}
