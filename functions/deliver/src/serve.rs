//! The messages of a batch that are for one endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use domain::delivery::{CLAIM_MS, Settled};
use domain::health::{Outcome, Report};
use domain::retry::{GivenUp, Next};
use domain::{EventId, Millis};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use platform::clock;
use platform::telemetry::Chain;
use store::KnownEndpoint;

use crate::admit::{self, Admitted, Later};
use crate::attempt::{self, Made, Strain};
use crate::deps::Deps;
use crate::events::Sought;
use crate::inbox::Asked;
use crate::record::Recorder;
use crate::served::{End, Served};
use crate::{later, notices};

/// Makes the attempts that may be made now, concurrently, and postpones the others. Each is on record
/// as soon as it has ended.
pub(crate) async fn serve(
    deps: &Deps,
    known: Option<&Arc<KnownEndpoint>>,
    asked: Vec<Asked>,
    events: &HashMap<EventId, Sought>,
    recorder: &Recorder,
) -> Vec<Served> {
    let Some(known) = known.filter(|known| known.endpoint.is_enabled()) else {
        let cancelled = join_all(asked.into_iter().map(|asked| cancel(deps, asked))).await;
        return later::or_again(deps, cancelled).await;
    };
    let (readable, unread): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| {
        !matches!(
            events.get(&asked.message.id.event),
            Some(Sought::Unread) | None
        )
    });
    let (put_off, served) = tokio::join!(
        later::again(deps, Some(known), unread, 0),
        serve_readable(deps, known, readable, events, recorder)
    );
    put_off.into_iter().chain(served).collect()
}

async fn serve_readable(
    deps: &Deps,
    known: &Arc<KnownEndpoint>,
    asked: Vec<Asked>,
    events: &HashMap<EventId, Sought>,
    recorder: &Recorder,
) -> Vec<Served> {
    let admitted = match admit::admit(deps, known, asked.clone()).await {
        Ok(admitted) => admitted,
        Err(error) => {
            tracing::error!(endpoint.id = %known.endpoint.id, error = %Chain(&error), "The rate limit or health of an endpoint could not be read or written.");
            if !error.is_transient() {
                let ids = asked.into_iter().map(|asked| asked.message_id);
                return ids.map(Served::again).collect();
            }
            // As when all of its permits are taken, which they may be after version conflicts.
            let later = asked.into_iter().map(|asked| (asked, Later::Soon));
            return later::send(deps, known, later.collect()).await;
        }
    };
    let putting_off = later::send(deps, known, admitted.later);
    let making = make(deps, known, admitted.now, events, recorder);
    let (put_off, made) = tokio::join!(putting_off, making);
    put_off.into_iter().chain(made).collect()
}

/// Cancels the delivery of a message.
///
/// # Errors
/// The message, if DynamoDB does not answer for the moment.
async fn cancel(deps: &Deps, asked: Asked) -> Result<Served, Asked> {
    let id = asked.message.id;
    match deps.records.cancel(id, clock::now()).await {
        Ok(true) => Ok(Served::new(asked, End::Cancelled)),
        Ok(false) => Ok(Served::new(asked, End::Dropped)),
        Err(error) => {
            tracing::error!(delivery.id = %id, error = %Chain(&error), "A delivery could not be cancelled.");
            Served::failed(asked, &error)
        }
    }
}

/// Makes attempts, and records their outcomes in the endpoint's health once all of them have ended.
async fn make(
    deps: &Deps,
    known: &Arc<KnownEndpoint>,
    admitted: Vec<Admitted>,
    events: &HashMap<EventId, Sought>,
    recorder: &Recorder,
) -> Vec<Served> {
    if admitted.is_empty() {
        return Vec::new();
    }
    let strain = Strain::of(deps, known);
    let mut making: FuturesUnordered<_> = admitted
        .into_iter()
        .map(|admitted| {
            let (sought, strain) = (events.get(&admitted.asked.message.id.event), &strain);
            async move {
                let made = attempt::make(deps, known, &admitted, sought, strain).await;
                finish(deps, admitted, made, recorder).await
            }
        })
        .collect();
    let (mut served, mut reports) = (Vec::new(), Vec::new());
    while let Some((one, report)) = making.next().await {
        served.push(one);
        // An attempt that was not made changes no health, unless it releases a permit.
        if report.outcome != Outcome::NotMade || report.permit.is_some() {
            reports.push(report);
        }
    }
    drop(making);
    if !reports.is_empty() {
        notices::report(deps, known, &reports).await;
    }
    served
}

/// Has an attempt recorded. One whose claim or record is uncertain is retried once its claim has
/// expired.
async fn finish(
    deps: &Deps,
    admitted: Admitted,
    made: Made,
    recorder: &Recorder,
) -> (Served, Report) {
    let Admitted { asked, permit, .. } = admitted;
    let (outcome, is_own, end) = match made {
        Made::Not(end) => (Outcome::NotMade, false, end),
        Made::Attempt {
            settled,
            is_own,
            received_at,
        } => {
            let (outcome, end) = (outcome(&settled), attempted(&settled, received_at));
            let is_recorded = recorder.record(*settled).await;
            (outcome, is_own, if is_recorded { end } else { End::Again })
        }
    };
    let report = Report {
        outcome,
        is_own,
        permit,
    };
    let served = match end {
        // Not by its row, which is left as it is while it may be claimed.
        End::Again => later::again(deps, None, vec![asked.clone()], CLAIM_MS)
            .await
            .pop(),
        end => Some(Served::new(asked.clone(), end)),
    };
    let served = served.unwrap_or_else(|| Served::again(asked.message_id));
    (served, report)
}

fn outcome(settled: &Settled) -> Outcome {
    match settled.next {
        Next::Delivered => Outcome::Success,
        Next::Retry { .. } => Outcome::Failure { is_last: false },
        Next::Failed(GivenUp::Exhausted | GivenUp::Blocked) => Outcome::Failure { is_last: true },
        Next::Failed(GivenUp::Gone) => Outcome::Gone,
        Next::Failed(GivenUp::Missing) => Outcome::NotMade,
    }
}

fn attempted(settled: &Settled, received_at: Option<Millis>) -> End {
    let exchange = &settled.attempt.exchange;
    let is_first_success = settled.attempt.number == 1 && settled.next == Next::Delivered;
    let ended = exchange.at.plus(exchange.duration_ms);
    let latency_ms = received_at
        .filter(|_| is_first_success)
        .map(|received_at| ended.0.saturating_sub(received_at.0));
    End::Attempted {
        error: exchange.error(),
        next: settled.next,
        latency_ms,
    }
}
