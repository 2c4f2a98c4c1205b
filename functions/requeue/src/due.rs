//! Queueing what is due of one endpoint.

use std::time::Duration;

use domain::health::HealthState;
use domain::{Delivery, Millis};
use futures::{StreamExt, stream};
use platform::clock;
use platform::queue::Message;
use platform::telemetry::Chain;
use store::{Due, KnownEndpoint, StoreError};
use tokio::time::Instant;

use crate::deps::Deps;

/// Until when messages are sent, once their deliveries are taken.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How many deliveries of an endpoint are taken at once.
pub(crate) const TAKES: usize = 16;
/// The most deliveries of one endpoint that a minute queues: with more it would rather be slow than
/// forgotten.
const MOST: usize = 3_000;
/// How many are looked for, taken and sent in one piece.
pub(crate) const PIECE: usize = 100;
/// How often in a minute each of a few permits is taken at least: an attempt has 15 s.
const TURNS: usize = 4;
const SECONDS: usize = 60;

/// Queues what is due of one endpoint, as much as it may get; how much that was. One endpoint's
/// failure is none of the others' business.
pub(crate) async fn endpoint(deps: &Deps, known: &KnownEndpoint, end: Instant) -> usize {
    let room = room(known, clock::now());
    let (mut queued, mut last) = (0, None);
    while queued < room && Instant::now() < end {
        match piece(deps, known, last, (room - queued).min(PIECE)).await {
            Ok((count, looked_at)) => {
                queued += count;
                last = looked_at;
                if last.is_none() {
                    break;
                }
            }
            Err(error) => {
                tracing::error!(endpoint.id = %known.endpoint.id, error = %Chain(&error), "Deliveries that are due could not be queued.");
                break;
            }
        }
    }
    queued
}

/// How many attempts of an endpoint a minute has room for. One that is disabled takes none, but its
/// deliveries are looked at once more, to be cancelled.
fn room(known: &KnownEndpoint, now: Millis) -> usize {
    let rate = known.endpoint.settings.rate_limit;
    let by_rate = rate.map_or(MOST, |rate| rate.get() as usize * SECONDS);
    if !known.endpoint.is_enabled() {
        return MOST;
    }
    let by_health = match (known.health.state(now), known.health.capacity(now)) {
        (HealthState::Open { .. } | HealthState::HalfOpen, Some(capacity)) => capacity,
        (_, Some(capacity)) => capacity * TURNS,
        (_, None) => MOST,
    };
    by_rate.min(by_health).min(MOST)
}

/// Takes some of what is due behind `after` and sends it; how much was sent, and what was looked at
/// last, which others may have taken: the next piece begins behind it. Without it there is none: all
/// was looked at, or not all could be sent.
async fn piece(
    deps: &Deps,
    known: &KnownEndpoint,
    after: Option<Due>,
    limit: usize,
) -> Result<(usize, Option<Due>), StoreError> {
    let now = clock::now();
    let due = deps.due.due(known.endpoint.id, after, Some(now), limit);
    let due = due.await?;
    let mut last = due.last().copied();
    let takes: Vec<_> = due.into_iter().map(|due| deps.due.take(due, now)).collect();
    let taken = stream::iter(takes).buffer_unordered(TAKES);
    let taken: Vec<_> = taken.collect().await;
    let deliveries: Vec<_> = taken.iter().flatten().flatten().collect();
    let messages: Vec<_> = deliveries
        .iter()
        .map(|delivery| Message::for_attempt(&delivery.message(), 0))
        .collect();
    let mut sent = messages.len();
    // What was taken is sent, whatever became of the others.
    if let Err(error) = deps
        .queue
        .send(&messages, Instant::now() + SEND_LIMIT)
        .await
    {
        sent -= error.unsent.len();
        last = None;
        let unsent = error.unsent.iter().filter_map(|at| deliveries.get(*at));
        give_back(deps, unsent.copied()).await;
        tracing::warn!(endpoint.id = %known.endpoint.id, error = %Chain(&error), "Deliveries that are due could not be sent, and are due again soon.");
    }
    match taken.into_iter().find_map(Result::err) {
        Some(error) if sent == 0 => Err(error),
        Some(_) | None => Ok((sent, last)),
    }
}

/// What was not sent is due now; what cannot be given back is due again a little later.
async fn give_back(deps: &Deps, unsent: impl Iterator<Item = &Delivery>) {
    let now = clock::now();
    let back: Vec<_> = unsent
        .map(|delivery| deps.due.give_back(delivery, now))
        .collect();
    let mut back = stream::iter(back).buffer_unordered(TAKES);
    while let Some(given) = back.next().await {
        if let Err(error) = given {
            tracing::warn!(error = %Chain(&error), "A delivery that could not be sent is due again later.");
        }
    }
}
