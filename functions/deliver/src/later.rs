//! Attempts that are not made now: postponed by a new message if they are due soon, by the
//! delivery's row if not.
//!
//! A message that is returned to SQS is hidden for the queue's visibility timeout, which is minutes,
//! and becomes a dead letter after a few of those. So a new message is sent in place of one whose
//! attempt only has to be retried.

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

use crate::admit::Later;
use crate::deps::Deps;
use crate::inbox::Asked;
use crate::served::{End, Served};

/// How long sending messages may take.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// An attempt is retried after 5 to 15 s, and after twice as long each time.
const SOON_MS: u64 = 5_000;
/// How many times, until it is postponed by its row: more messages would cost more.
const MAX_WAITS: u16 = 3;
const PUT_OFF_MS: u64 = 120_000;
/// Attempts that are postponed until the same time are spread over so long.
const SPREAD_MS: u64 = 30_000;

/// Postpones attempts.
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
    let rows = rows
        .into_iter()
        .map(|(asked, until)| put_off(deps, known, asked, until));
    let messages = send_messages(deps, Some(known), messages);
    let (mut served, by_row) = tokio::join!(messages, join_all(rows));
    served.extend(or_again(deps, by_row).await);
    served
}

/// Retries attempts that could not be decided on or recorded, after `least_ms` and some seconds.
/// Those that were retried [`MAX_WAITS`] times are left to SQS. So are those that SQS does not accept,
/// unless `known` is given: then they are postponed by their rows.
pub(crate) async fn again(
    deps: &Deps,
    known: Option<&Arc<KnownEndpoint>>,
    asked: Vec<Asked>,
    least_ms: u64,
) -> Vec<Served> {
    let (asked, exhausted): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .partition(|asked| asked.message.waits < MAX_WAITS);
    let exhausted = exhausted
        .into_iter()
        .map(|asked| Served::again(asked.message_id));
    let messages = asked
        .into_iter()
        .map(|asked| {
            let mut next = asked.message;
            let wait_ms = least_ms + soon(&mut next);
            (asked, Message::for_attempt(&next, wait_ms))
        })
        .collect();
    let sent = send_messages(deps, known, messages).await;
    exhausted.chain(sent).collect()
}

/// Retries soon those whose call failed for the moment (`Err`).
pub(crate) async fn or_again(deps: &Deps, ended: Vec<Result<Served, Asked>>) -> Vec<Served> {
    let (mut served, mut failed) = (Vec::new(), Vec::new());
    for one in ended {
        match one {
            Ok(one) => served.push(one),
            Err(asked) => failed.push(asked),
        }
    }
    served.extend(again(deps, None, failed, 0).await);
    served
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
    When::Message(Message::for_attempt(&next, wait_ms))
}

/// Counts a retry of a message; how long it waits, longer each time.
fn soon(message: &mut DeliveryMessage) -> u64 {
    let wait_ms = (SOON_MS + fastrand::u64(..2 * SOON_MS)) << message.waits;
    message.waits += 1;
    message.slot = None;
    wait_ms
}

/// Sends messages. Those that SQS does not accept are postponed by their rows until the time when they
/// would have been received, if `known` is given, and otherwise left to SQS.
async fn send_messages(
    deps: &Deps,
    known: Option<&Arc<KnownEndpoint>>,
    messages: Vec<(Asked, Message)>,
) -> Vec<Served> {
    let now = clock::now();
    let (asked, messages): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    let sent = deps
        .queue
        .send(&messages, Instant::now() + SEND_LIMIT)
        .await;
    let unsent = sent.err().map(|error| {
        tracing::error!(error = %Chain(&error), "Attempts could not be queued again.");
        error.unsent
    });
    let unsent = unsent.unwrap_or_default();
    let ended = asked.into_iter().zip(&messages).enumerate();
    let ended = ended.map(|(at, (asked, message))| {
        let is_unsent = unsent.binary_search(&at).is_ok();
        let until = now.plus(message.delay.as_secs() * 1_000);
        async move {
            match known {
                _ if !is_unsent => Served::new(asked, End::PutOff),
                Some(known) => put_off(deps, known, asked, until)
                    .await
                    .unwrap_or_else(|asked| Served::again(asked.message_id)),
                None => Served::again(asked.message_id),
            }
        }
    });
    join_all(ended).await
}

/// Postpones an attempt by its row.
///
/// # Errors
/// The attempt, if DynamoDB does not answer for the moment.
async fn put_off(
    deps: &Deps,
    known: &KnownEndpoint,
    asked: Asked,
    until: Millis,
) -> Result<Served, Asked> {
    let schedule = &known.endpoint.settings.schedule;
    let off = PutOff {
        id: asked.message.id,
        attempt: asked.message.attempt,
        until,
        keep_ms: schedule.keep_ms(deps.records.retention_ms()),
    };
    match deps.records.put_off(off, clock::now()).await {
        Ok(()) => Ok(Served::new(asked, End::PutOff)),
        Err(error) => {
            tracing::error!(delivery.id = %off.id, error = %Chain(&error), "A delivery could not be postponed.");
            Served::failed(asked, &error)
        }
    }
}
