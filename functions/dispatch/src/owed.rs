//! What is owed to whom.

use domain::delivery::{DeliveryId, Owed};
use domain::health::HealthState;
use domain::{EndpointId, Event, Millis};
use store::Endpoints;

/// A delivery for each event and each endpoint that wants it, event by event.
pub(crate) fn owed<'b>(
    events: impl Iterator<Item = &'b Event<'static>>,
    endpoints: &'b Endpoints,
    retention_ms: u64,
    now: Millis,
) -> impl Iterator<Item = Owed> {
    let of_event = move |event: &'b Event<'static>| {
        let wanting = endpoints.wanting(&event.content);
        wanting.map(move |known| Owed {
            id: DeliveryId::new(event.id, known.endpoint.id),
            event_type: event.content.kind.to_string(),
            source: event.content.source,
            keep_ms: known.endpoint.settings.schedule.keep_ms(retention_ms),
            due_at: open_until(endpoints, known.endpoint.id, now),
        })
    };
    events.flat_map(of_event)
}

/// Until when an endpoint takes nothing, by what is known of how it fares. Its deliveries need no
/// message: they would only be put off.
pub(crate) fn open_until(
    endpoints: &Endpoints,
    endpoint: EndpointId,
    now: Millis,
) -> Option<Millis> {
    match endpoints.get(endpoint)?.health.state(now) {
        HealthState::Open { until } => Some(until),
        HealthState::Ok | HealthState::Failing | HealthState::HalfOpen | HealthState::Strained => {
            None
        }
    }
}
