//! Woken by the stream of the events table, with the events that were just stored. Decides which
//! connections want which of them, and sends them through API Gateway's management API.
//!
//! It never fails a batch for one connection: who missed something is told so and resumes. What
//! it writes: it deletes connections that are gone, marks those that missed something, and notes
//! when it is late.

mod batch;
mod broadcast;
mod choosing;
mod counts;
mod deps;
mod directory;
mod failure;
mod late;

use std::time::Duration;

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use domain::Millis;
use lambda_runtime::{Error, LambdaEvent};
use platform::telemetry::Chain;
use platform::{clock, stream};
use store::StoreError;
use tokio::time::{Instant, timeout_at};

pub use deps::{Deps, permissions};

use crate::batch::Batch;
use crate::broadcast::Sent;
use crate::failure::Failure;
use crate::late::{Span, TIME_LIMIT};

/// For marking who missed something, after the time is up.
const GRACE: Duration = Duration::from_secs(20);

/// Sends the batch's new events to everybody who wants them.
///
/// # Errors
/// None: what has to come again is in the answer.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<dynamodb::Event>,
) -> Result<DynamoDbEventResponse, Error> {
    let request_id = &event.context.request_id;
    let first = event
        .payload
        .records
        .first()
        .and_then(|record| record.change.sequence_number.clone());
    // In this order: whether the batch is late is decided as of when the time begins to run.
    let deadline = Instant::now() + TIME_LIMIT;
    let now = clock::now();
    let batch = Batch::decode(event.payload.records, now);
    // In time, or as if DynamoDB had not answered: the batch is retried.
    let pushed = timeout_at(deadline + GRACE, push(deps, &batch, now, deadline)).await;
    let pushed = pushed.unwrap_or(Err(Failure::OutOfTime));
    counts::record(deps, &batch, now, &pushed);
    match pushed {
        Ok(sent) => {
            tracing::info!(
                request.id = request_id,
                batch.size = batch.events.len(),
                batch.discarded = batch.discarded,
                batch.stale = batch.stale,
                connections = sent.connections,
                messages.sent = sent.sent,
                messages.gone = sent.gone,
                messages.given_up = sent.given_up,
                lag_ms = batch
                    .oldest()
                    .map(|oldest| clock::now().0.saturating_sub(oldest.0)),
                "A batch was pushed."
            );
            Ok(stream::done())
        }
        Err(error) => {
            tracing::error!(request.id = request_id, error = %Chain(&error), "A batch could not be pushed; Lambda will retry it.");
            Ok(stream::retry_from(first))
        }
    }
}

async fn push(deps: &Deps, batch: &Batch, now: Millis, deadline: Instant) -> Result<Sent, Failure> {
    let Some((oldest, newest)) = batch.oldest().zip(batch.newest()) else {
        return Ok(Sent::default());
    };
    let span = Span::new(oldest, deps.reached.with(newest, now), now);
    if span.is_late() {
        note_late(deps, span, now).await?;
    }
    let known = deps.directory.connections(&deps.list, now).await?;
    let (events, audiences) = (&batch.events, &known.audiences);
    let sent = broadcast::broadcast(deps, events, audiences, (now, oldest), deadline).await;
    // Who lost its connection, and the mark with it, comes back with a cursor from the time until
    // which it got other events.
    let ended = clock::now();
    if sent.given_up > 0 && span.was_late(ended) {
        note_late(deps, span, ended).await?;
    }
    broadcast::close(deps, &known.ended, deadline).await;
    // Nobody else would ever tell them.
    if sent.unmarked > 0 {
        return Err(Failure::Unmarked(sent));
    }
    Ok(sent)
}

async fn note_late(deps: &Deps, span: Span, now: Millis) -> Result<(), StoreError> {
    let until = span.noted_until(now);
    let keep_until = until.plus(deps.retention_ms);
    deps.list.note_late(span.from, until, keep_until).await
}
