//! The messages of a batch that are for one endpoint.

use std::collections::HashMap;
use std::sync::Arc;

use domain::delivery::{CLAIM_MS, ErrorClass, Settled};
use domain::health::{Outcome, Report};
use domain::retry::{GivenUp, Next};
use domain::{EventId, Millis};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use platform::clock;
use platform::telemetry::Chain;
use store::{KnownEndpoint, StoreError};

use crate::Deps;
use crate::admit::{self, Admitted, Later};
use crate::attempt::{self, Made, Strain};
use crate::events::Sought;
use crate::inbox::Asked;
use crate::record::Recorder;
use crate::{later, notices};

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its id in SQS.
    pub(crate) message_id: String,
    pub(crate) end: End,
}

/// How a message ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// An attempt was made and is on record.
    Attempted {
        /// How it failed, if it did.
        error: Option<ErrorClass>,
        next: Next,
        /// From when its event was received, if the endpoint took it at the first attempt.
        latency_ms: Option<u64>,
    },
    /// There was nothing to do: the attempt was made already, or the delivery is cancelled or does
    /// not exist.
    Dropped,
    /// The attempt is postponed.
    PutOff,
    /// Its endpoint is deleted or disabled.
    Cancelled,
    /// Something that it needs did not answer: SQS retries the message.
    Again,
}

impl Served {
    pub(crate) fn again(message_id: String) -> Served {
        Served {
            message_id,
            end: End::Again,
        }
    }

    pub(crate) fn is_retried(&self) -> bool {
        self.end == End::Again
    }

    /// A message whose call of DynamoDB failed.
    ///
    /// # Errors
    /// The message, if the call may succeed soon. Otherwise SQS retries it, until it is a dead letter.
    pub(crate) fn failed(asked: Asked, error: &StoreError) -> Result<Served, Asked> {
        if error.is_transient() {
            return Err(asked);
        }
        Ok(Served::again(asked.message_id))
    }

    pub(crate) fn new(asked: Asked, end: End) -> Served {
        Served {
            message_id: asked.message_id,
            end,
        }
    }
}

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
