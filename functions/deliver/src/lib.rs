//! Invoked with messages of the queue of deliveries, each of which asks for one attempt. Decides
//! whether its endpoint takes attempts now, makes the attempt if it is the first to claim it, and
//! decides what follows. Writes the attempt and its delivery, the message for the next attempt, the
//! endpoint's health, and events about endpoints that fail or recover.
//!
//! A function never waits for a retry to be due, and an attempt that hangs does not delay the record
//! of another.

mod admit;
mod attempt;
mod counts;
mod deps;
mod events;
mod inbox;
mod later;
mod notices;
mod post;
mod record;
mod serve;
mod served;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use domain::Millis;
use futures::future::join_all;
use lambda_runtime::{Error, LambdaEvent};
use platform::telemetry::Chain;
use platform::{clock, sqs};
use store::StoreError;

pub use deps::{Deps, permissions};

use crate::counts::Counts;
use crate::inbox::{Asked, Inbox};
use crate::record::Recorder;
use crate::served::Served;

/// Makes the attempts that the messages ask for, as far as they may be made now.
///
/// # Errors
/// None: the answer names the messages that SQS has to retry.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let request_id = &event.context.request_id;
    let now = clock::now();
    let Inbox { asked, unreadable } = Inbox::read(event.payload.records);
    let size = asked.len() + unreadable.len();
    let served = match deliver(deps, asked.clone(), now).await {
        Ok(served) => served,
        Err(error) => {
            tracing::error!(request.id = request_id, error = %Chain(&error), "Deliveries could not be made, and are attempted later.");
            later::again(deps, None, asked, 0).await
        }
    };
    let counts = Counts::of(&served);
    counts.record(&deps.metrics, clock::now());
    tracing::info!(
        request.id = request_id,
        batch.size = size,
        batch.retried = counts.again + unreadable.len(),
        attempts.made = counts.attempts,
        attempts.failed = counts.failed_attempts(),
        attempts.dropped = counts.dropped,
        deliveries.put_off = counts.put_off,
        deliveries.cancelled = counts.cancelled,
        "Deliveries were attempted."
    );
    // SQS retries an unreadable message until it is a dead letter, for which there is an alarm.
    let retried = served.into_iter().filter(Served::is_retried);
    Ok(sqs::retry(
        retried.map(|served| served.message_id).chain(unreadable),
    ))
}

async fn deliver(deps: &Deps, asked: Vec<Asked>, now: Millis) -> Result<Vec<Served>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let events = asked.iter().map(|asked| asked.message.id.event).collect();
    let (endpoints, events) =
        tokio::try_join!(deps.endpoints.current(now), deps.events.find(events, now),)?;
    let (recorder, recording) = Recorder::new(deps);
    let groups = inbox::by_endpoint(asked).into_iter();
    let serving = groups.map(|(endpoint, asked)| {
        let (known, recorder) = (endpoints.get(endpoint), recorder.clone());
        let events = &events;
        async move { serve::serve(deps, known, asked, events, &recorder).await }
    });
    let serving = join_all(serving);
    drop(recorder);
    let (served, ()) = tokio::join!(serving, recording);
    Ok(served.into_iter().flatten().collect())
}
