//! Which types of events there are.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
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

/// Mandrill's types ("Webhook Format", "Sync Event Webhook format" and "Inbound Email Processing
/// Overview", Mailchimp Transactional), and our own.
const MEANINGS: [(&str, &str); 22] = [
    (
        "blacklist_add",
        "An address was put on the list to which nothing is sent.",
    ),
    (
        "blacklist_change",
        "An entry of the list to which nothing is sent was changed.",
    ),
    (
        "blacklist_remove",
        "An address was taken off the list to which nothing is sent.",
    ),
    ("click", "A link in the message was clicked."),
    (
        "deferral",
        "The receiving server has put the message off; Mandrill will try again.",
    ),
    ("delivered", "The receiving server has taken the message."),
    (
        "delivery.exhausted",
        "The last attempt to deliver an event to an endpoint has failed.",
    ),
    (
        "endpoint.disabled",
        "An endpoint gets no events any more: it is gone, or has only failed for days.",
    ),
    (
        "endpoint.failing",
        "An endpoint keeps failing: nothing is sent to it for a while.",
    ),
    (
        "endpoint.recovered",
        "An endpoint that was failing answers again.",
    ),
    (
        "endpoint.test",
        "Somebody has asked for it, to try an endpoint.",
    ),
    (
        "hard_bounce",
        "The message cannot be delivered to this address, now or later.",
    ),
    ("inbound", "A message has arrived."),
    ("open", "The message was opened."),
    ("reject", "Mandrill has refused to send the message."),
    ("send", "The message was sent."),
    (
        "soft_bounce",
        "The message could not be delivered; another might be.",
    ),
    ("spam", "The recipient has marked the message as spam."),
    ("unknown", "It does not say what it is."),
    ("unsub", "The recipient has unsubscribed."),
    (
        "whitelist_add",
        "An address was put on the list of those to which is always sent.",
    ),
    (
        "whitelist_remove",
        "An address was taken off the list of those to which is always sent.",
    ),
];

/// The types of events that are known, and any other among the newest events, with when each was
/// last seen.
///
/// Looked at are the newest 1,000 events that the token lets be seen; with a filter in the token,
/// among the newest 10,000 of all.
#[utoipa::path(
    get,
    path = "/v1/event-types",
    operation_id = "list_event_types",
    tag = "events",
    responses((status = 200, description = "The types", body = EventTypes), Refusals),
    security(("token" = [])),
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
    let known = MEANINGS.map(|(kind, meaning)| (kind.to_owned(), Some(meaning)));
    let mut types: BTreeMap<_, _> = seen.keys().map(|kind| (kind.clone(), None)).collect();
    types.extend(known);
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
    fn every_type_that_mandrill_documents_and_each_of_ours_has_a_meaning() {
        let known = MEANINGS.map(|(kind, _)| kind);
        assert!(known.is_sorted());
        for kind in mandrill::KINDS.iter().chain([&mandrill::UNKNOWN]) {
            assert!(known.contains(kind), "{kind}");
        }
        let others = known.iter().filter(|kind| !mandrill::KINDS.contains(kind));
        let refused = others.map(|kind| crate::kind::refuse_reserved(kind));
        assert_eq!(refused.filter(Result::is_err).count(), 1 + 5);
    }
}
