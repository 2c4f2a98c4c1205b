//! Attempts that are not made now: by another message if it is soon, by the delivery's row if not.
//!
//! Handed back to SQS, a message would be hidden for the queue's visibility timeout, minutes, and a
//! few times of that make it a dead letter. So what only has to be tried again is sent round.

use std::sync::Arc;
use std::time::Duration;

use domain::Millis;
use domain::delivery::{DeliveryMessage, MAX_QUEUE_DELAY_MS};
use futures::future::join_all;
use platform::clock;
use platform::queue::Message;
use platform::telemetry::Chain;
use store::{KnownEndpoint, PutOff};
use tokio::time::Instant;

use crate::Deps;
use crate::admit::Later;
use crate::inbox::Asked;
use crate::serve::{End, Served};

/// How long sending messages may take.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// What waits for others to end asks again after 5 to 15 s, and twice as late each time.
const SOON_MS: u64 = 5_000;
/// So often, and is then put off by its row: messages that go round and round cost more.
const MAX_WAITS: u16 = 3;
const PUT_OFF_MS: u64 = 120_000;
/// What is put off until the same time comes back over so long.
const SPREAD_MS: u64 = 30_000;

/// Puts attempts off.
pub(crate) async fn send(
    deps: &Deps,
    known: &Arc<KnownEndpoint>,
    later: Vec<(Asked, Later)>,
) -> Vec<Served> {
    let now = clock::now();
    let (mut messages, mut rows) = (Vec::new(), Vec::new());
    for (asked, later) in later {
        match when(deps, &asked, later, now) {
            When::Message(message) => messages.push((asked, message)),
            When::Row(until) => rows.push((asked, until)),
        }
    }
    let keep_ms = known
        .endpoint
        .settings
        .schedule
        .keep_ms(deps.records.retention_ms());
    let rows = rows
        .into_iter()
        .map(|(asked, until)| put_off(deps, asked, until, keep_ms));
    let (mut served, by_row) = tokio::join!(send_messages(deps, messages), join_all(rows));
    served.extend(by_row);
    served
}

/// Sends attempts round that could not be decided on or recorded, after `least_ms` and some
/// seconds. What has gone round a few times is left to the queue, and so is what cannot be sent.
pub(crate) async fn again(deps: &Deps, asked: Vec<Asked>, least_ms: u64) -> Vec<Served> {
    let (asked, tired): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .partition(|asked| asked.message.waits < MAX_WAITS);
    let tired = tired
        .into_iter()
        .map(|asked| Served::again(asked.message_id));
    let messages = asked
        .into_iter()
        .map(|asked| {
            let mut next = asked.message;
            let wait_ms = least_ms + soon(&mut next);
            (asked, message(&next, wait_ms))
        })
        .collect();
    let sent = send_messages(deps, messages).await;
    tired.chain(sent).collect()
}

enum When {
    Message(Message),
    Row(Millis),
}

fn when(deps: &Deps, asked: &Asked, later: Later, now: Millis) -> When {
    let mut next = asked.message;
    let (wait_ms, until) = match later {
        Later::Slot(slot) => (slot.0.saturating_sub(now.0), slot),
        Later::Soon if next.waits < MAX_WAITS => {
            let wait_ms = soon(&mut next);
            (wait_ms, now.plus(wait_ms))
        }
        Later::Soon => return When::Row(now.plus(PUT_OFF_MS + fastrand::u64(..SPREAD_MS))),
        Later::Until(until) => {
            let spread = deps.scale.shorten(SPREAD_MS);
            return When::Row(until.plus(fastrand::u64(..spread.max(1))));
        }
    };
    if wait_ms > MAX_QUEUE_DELAY_MS {
        return When::Row(until);
    }
    When::Message(message(&next, wait_ms))
}

/// How long a message waits that asks again, longer each time.
fn soon(message: &mut DeliveryMessage) -> u64 {
    let wait_ms = (SOON_MS + fastrand::u64(..2 * SOON_MS)) << message.waits;
    message.waits += 1;
    message.slot = None;
    wait_ms
}

fn message(message: &DeliveryMessage, wait_ms: u64) -> Message {
    Message {
        body: message.to_json(),
        group: message.group(),
        // Rather too late than too early: then it would only be sent round once more.
        delay: Duration::from_secs(wait_ms.div_ceil(1_000)),
    }
}

async fn send_messages(deps: &Deps, messages: Vec<(Asked, Message)>) -> Vec<Served> {
    let (asked, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    let sent = deps
        .queue
        .send(&messages, Instant::now() + SEND_LIMIT)
        .await;
    let unsent = sent.err().map(|error| {
        tracing::error!(error = %Chain(&error), "Attempts could not be put off.");
        error.unsent
    });
    let unsent = unsent.unwrap_or_default();
    let ended = asked.into_iter().enumerate().map(|(at, asked)| Served {
        message_id: asked.message_id,
        end: if unsent.contains(&at) {
            End::Again
        } else {
            End::PutOff
        },
    });
    ended.collect()
}

async fn put_off(deps: &Deps, asked: Asked, until: Millis, keep_ms: u64) -> Served {
    let off = PutOff {
        id: asked.message.id,
        attempt: asked.message.attempt,
        until,
        keep_ms,
    };
    let end = match deps.records.put_off(off, clock::now()).await {
        Ok(()) => End::PutOff,
        Err(error) => {
            tracing::error!(delivery.id = %off.id, error = %Chain(&error), "A delivery could not be put off.");
            End::Again
        }
    };
    Served {
        message_id: asked.message_id,
        end,
    }
}
