//! Which types of events there are.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use domain::endpoint::TEST_TYPE;
use domain::health::NoticeKind;
use domain::{Filter, Millis, Position, Rights, Scope, View};
use platform::clock;
use platform::http::HttpError;
use store::StoreError;
use tokio::time::Instant;

use crate::call::Call;
use crate::caller::holder;
use crate::page::{CHUNK, SCAN_EVENTS, SCAN_TIME};
use crate::response::{Refusal, object};
use crate::schema::{EventType, EventTypes, Refusals};
use crate::state::Shared;
use platform::parameters::Parameters;

/// Among how many of the newest events a type is looked for.
const NEWEST: usize = 1_000;

/// Lists the known event types.
///
/// These are the documented types and every other type among the newest events.
/// Scans the newest 1,000 events that the token may see; if the token has a filter, among the newest
/// 10,000.
#[utoipa::path(
    get,
    path = "/v1/event-types",
    operation_id = "list_event_types",
    tag = "events",
    responses((status = 200, description = "The types", body = EventTypes), Refusals),
    security(("token" = ["read"])),
)]
pub(crate) async fn list(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let now = clock::now();
    let holder = holder(&state, &call, Scope::Read).await?;
    Parameters::read(&call.query, &[])?;
    let filter = holder
        .rights
        .narrow(&Filter::default())
        .map_err(HttpError::from)?;
    let (seen, since) = last_seen(&state, &holder.rights, &filter, now)
        .await
        .map_err(|error| HttpError::unavailable(&call.request_id, &error))?;
    let mut types: BTreeMap<_, _> = seen.keys().map(|kind| (kind.clone(), None)).collect();
    types.extend(known().map(|(kind, meaning)| (kind.to_owned(), Some(meaning))));
    let types = types.into_iter().map(|(kind, description)| EventType {
        last_seen: seen.get(&kind).map(Millis::to_string),
        kind,
        description,
    });
    Ok(object(&EventTypes {
        types: types.collect(),
        since: since.map(|since| since.to_string()),
    }))
}

/// The types of Mandrill's events and of ours, and what each means.
fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_mandrill = mandrill::KINDS.iter().map(|kind| (kind.name, kind.meaning));
    let notices = NoticeKind::ALL.map(|kind| (kind.event_type(), kind.meaning()));
    let others = [
        (TEST_TYPE, "A test event, requested for one endpoint."),
        (mandrill::UNKNOWN, "The event has no valid type."),
    ];
    of_mandrill.chain(notices).chain(others)
}

/// When each type was last seen, and since when was looked; the latter is none when everything was
/// looked at.
async fn last_seen(
    state: &crate::State,
    rights: &Rights,
    filter: &View,
    now: Millis,
) -> Result<(BTreeMap<String, Millis>, Option<Millis>), StoreError> {
    let deadline = Instant::now() + SCAN_TIME;
    let newest = Position::start_of(Millis::MAX);
    let mut scan = state.reader.before(newest, now);
    let mut types = BTreeMap::new();
    let (mut looked_at, mut seen) = (0, 0);
    while let Some((events, end)) = scan.next(CHUNK).await? {
        for event in events.filter(|event| filter.matches(&event.content)) {
            let kind = rights.show(&event).content.kind.to_string();
            types.entry(kind).or_insert(event.received_at);
            seen += 1;
        }
        looked_at += CHUNK;
        if seen >= NEWEST || looked_at >= SCAN_EVENTS || Instant::now() >= deadline {
            return Ok((types, Some(end.received_at)));
        }
    }
    Ok((types, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_publish_a_known_type() {
        for (kind, _) in known() {
            assert!(crate::kind::refuse_reserved(kind).is_err(), "{kind}");
        }
        assert_eq!(known().count(), 16 + 1 + 5);
    }
}
