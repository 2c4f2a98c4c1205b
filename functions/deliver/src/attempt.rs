//! One attempt: claimed, signed, posted, and settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::delivery::{DeliveryMessage, ErrorClass, Exchange, Pending, Settled, Terms};
use domain::retry::Jitter;
use domain::{EventId, Millis, Source, signing};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use platform::clock;
use platform::telemetry::Chain;
use store::{Claimed, KnownEndpoint};
use tokio::time::{Instant, sleep, timeout};

use crate::admit::{Admitted, SLOT_WAIT_MS};
use crate::deps::Deps;
use crate::events::{Sendable, Sought};
use crate::served::End;

/// An endpoint that takes longer to answer is slow.
const SLOW: Duration = Duration::from_secs(1);
const AGENT: &str = concat!("Posthorn/", env!("CARGO_PKG_VERSION"));

/// The result of an attempt that was to be made.
#[derive(Debug)]
pub(crate) enum Made {
    /// It was made, and has to be recorded.
    Attempt {
        settled: Box<Settled>,
        /// Whether its event is one of ours.
        is_own: bool,
        received_at: Option<Millis>,
    },
    /// It was not.
    Not(End),
}

/// Records once that an endpoint is slow.
#[derive(Debug)]
pub(crate) struct Strain<'a> {
    deps: &'a Deps,
    known: &'a Arc<KnownEndpoint>,
    is_told: AtomicBool,
}

impl<'a> Strain<'a> {
    pub(crate) fn of(deps: &'a Deps, known: &'a Arc<KnownEndpoint>) -> Strain<'a> {
        Strain {
            deps,
            known,
            is_told: AtomicBool::new(false),
        }
    }

    async fn tell(&self) {
        if self.is_told.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.deps.health.strain(self.known, clock::now()).await {
            tracing::warn!(endpoint.id = %self.known.endpoint.id, error = %Chain(&error), "That an endpoint is slow could not be stored.");
        }
    }
}

/// Makes an attempt, if it is the first to claim its number.
pub(crate) async fn make(
    deps: &Deps,
    known: &KnownEndpoint,
    admitted: &Admitted,
    sought: Option<&Sought>,
    strain: &Strain<'_>,
) -> Made {
    if let Some(slot) = admitted.slot {
        let wait_ms = slot.0.saturating_sub(clock::now().0);
        // The clock may have been set back since.
        sleep(Duration::from_millis(wait_ms.min(SLOT_WAIT_MS))).await;
    }
    let pending = match claim(deps, &admitted.asked.message).await {
        Ok(pending) => pending,
        Err(end) => return Made::Not(end),
    };
    let there = match sought {
        Some(Sought::There(sendable)) => Some(sendable),
        Some(Sought::Missing | Sought::Unread) | None => None,
    };
    let exchange = match there {
        Some(sendable) => {
            exchange(deps, known, pending.delivery().id.event, sendable, strain).await
        }
        None => Exchange::missing(clock::now()),
    };
    tracing::debug!(
        endpoint.id = %known.endpoint.id,
        delivery.id = %pending.delivery().id,
        attempt.number = pending.number(),
        duration_ms = exchange.duration_ms,
        class = exchange.error().map(ErrorClass::as_str),
        "An attempt was made."
    );
    let terms = Terms {
        schedule: &known.endpoint.settings.schedule,
        jitter: Jitter::of(fastrand::f64()),
        scale: deps.scale,
        retention_ms: deps.records.retention_ms(),
    };
    Made::Attempt {
        is_own: pending.delivery().source == Source::Posthorn,
        settled: Box::new(pending.complete(exchange).settle(&terms, clock::now())),
        received_at: there.map(|sendable| sendable.received_at),
    }
}

async fn claim(deps: &Deps, message: &DeliveryMessage) -> Result<Pending, End> {
    let claimed = deps.claims.claim(message.id, message.attempt, clock::now());
    match claimed.await {
        Ok(Claimed::Ours(pending)) => Ok(pending),
        Ok(Claimed::NotOurs | Claimed::Missing) => Err(End::Dropped),
        Err(error) => {
            tracing::error!(delivery.id = %message.id, error = %Chain(&error), "An attempt could not be claimed.");
            Err(End::Again)
        }
    }
}

/// Posts the event, and records that the endpoint is slow if it is.
async fn exchange(
    deps: &Deps,
    known: &KnownEndpoint,
    id: EventId,
    sendable: &Sendable,
    strain: &Strain<'_>,
) -> Exchange {
    let (at, start) = (clock::now(), Instant::now());
    let posting = post(deps, known, id, &sendable.body, at);
    let mut posting = std::pin::pin!(posting);
    let outcome = match timeout(SLOW, &mut posting).await {
        Ok(outcome) => outcome,
        Err(_) => tokio::join!(posting, strain.tell()).0,
    };
    Exchange {
        at,
        duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        outcome,
    }
}

async fn post(
    deps: &Deps,
    known: &KnownEndpoint,
    id: EventId,
    body: &Bytes,
    at: Millis,
) -> Result<domain::delivery::Answer, ErrorClass> {
    let url = known.endpoint.settings.url.as_str();
    // It was read as a URL when it was stored.
    let uri: Uri = url.parse().map_err(|_| ErrorClass::Other)?;
    let headers = headers(known, id, body, at);
    deps.client.post(uri, headers, body.clone()).await
}

/// Ours first, then the endpoint's own, whose names are different ones.
fn headers(known: &KnownEndpoint, id: EventId, body: &[u8], at: Millis) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let endpoint = &known.endpoint;
    let signed = signing::sign(endpoint.secrets.signing(at), id, at, body);
    let own = endpoint.settings.headers.sent();
    for (name, value) in signed.headers().into_iter().chain(own) {
        let (name, value) = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}
