//! Deliveries for the events that an endpoint has missed.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::delivery::Owed;
use domain::endpoint::Endpoint;
use domain::{Delivery, DeliveryId, DeliveryStatus, Filter, Millis, Position};
use platform::http::HttpError;
use platform::parameters::{self, bad};
use store::Events;
use tokio::time::Instant;

use super::actions::BODY_BYTES;
use super::recover::{retry, since};
use super::{asked, enabled};
use crate::body::Fields;
use crate::call::Call;
use crate::page::{CHUNK, SCAN_EVENTS, SCAN_TIME};
use crate::response::{Refusal, object};
use crate::schema::endpoints as schema;
use crate::schema::{NotFound, Refusals, TooLarge};
use crate::state::Shared;

/// How many deliveries one request brings under way before it ends: some seconds' work.
const PIECE: usize = 1_000;

/// Delivers the events received since a time that the endpoint missed.
///
/// An event is missed if the endpoint's filter matches it and it is neither delivered nor pending.
/// Works in batches: while `next` is not null, send it as `after`. Repeating is harmless.
/// The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/replay-missing",
    operation_id = "replay_missing",
    tag = "deliveries",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    request_body = schema::Replay,
    responses(
        (status = 200, description = "Progress", body = schema::Piece),
        NotFound,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_filter`, `bad_cursor` (of `after`). `missing_field`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field. `bad_json`: the body is not a JSON object", body = crate::schema::error::Error),
        (status = 409, description = "`endpoint_disabled`: the endpoint is disabled", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn replay(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    let fields = Fields::read(&call, &["since", "filter", "after"], BODY_BYTES)?;
    let filter: Option<String> = fields.value("filter", "a string")?;
    let filter = parameters::filter(&filter.unwrap_or_default())?;
    let since = since(&fields)?;
    let after: Option<String> = fields.value("after", "a string")?;
    let after = after.map(|text| parameters::start("after", &text, &state.feed, now));
    let after = after.transpose()?.map(|cursor| cursor.position);
    let endpoint = enabled(&state, &call, id).await?;
    let known_since = now.minus(state.keep_ms(&endpoint));
    if since < known_since {
        let message = format!("deliveries before {known_since} have expired");
        return Err(bad(
            "bad_field",
            format!("field `since` is too early: {message}"),
        )
        .into());
    }
    let from = Position::start_of(since);
    let from = after.map_or(from, |after| after.max(from));
    let wanted = Wanted { endpoint, filter };
    Ok(object(&wanted.piece(&state, &call, from, now).await?))
}

/// What is to be delivered.
struct Wanted {
    endpoint: Endpoint,
    filter: Filter,
}

impl Wanted {
    /// Walks through the feed until it ends, or enough was done.
    async fn piece(
        &self,
        state: &crate::State,
        call: &Call,
        from: Position,
        now: Millis,
    ) -> Result<schema::Piece, HttpError> {
        let deadline = Instant::now() + SCAN_TIME;
        let mut scan = state.reader.after(from, now);
        let (mut looked_at, mut count) = (0, 0);
        loop {
            let events = scan.next(CHUNK).await;
            let Some((events, end)) = events.map_err(|error| call.failed(&error))? else {
                return Ok(schema::Piece { count, next: None });
            };
            count += self.deliver(state, call, events, now).await?;
            looked_at += CHUNK;
            if count >= PIECE || looked_at >= SCAN_EVENTS || Instant::now() >= deadline {
                let next = Some(state.feed.cursor_at(end));
                return Ok(schema::Piece { count, next });
            }
        }
    }

    /// Brings the deliveries of these events under way; answers how many.
    async fn deliver(
        &self,
        state: &crate::State,
        call: &Call,
        events: Events,
        now: Millis,
    ) -> Result<usize, HttpError> {
        let wanted = events.filter(|event| {
            self.endpoint.wants(&event.content) && self.filter.matches(&event.content)
        });
        let keep_ms = state.keep_ms(&self.endpoint);
        let owed: Vec<_> = wanted
            .map(|event| Owed {
                id: DeliveryId::new(event.id, self.endpoint.id),
                event_type: event.content.kind.to_string(),
                source: event.content.source,
                keep_ms,
                due_at: None,
            })
            .collect();
        if owed.is_empty() {
            return Ok(0);
        }
        let created = state.creator.create(&owed, now).await;
        let created = created.map_err(|error| call.failed(&error))?;
        state.send(call, &created.to_send).await?;
        if !created.failed.is_empty() {
            return Err(call.unavailable("some deliveries could not be stored"));
        }
        let has_ended = |delivery: &Delivery| {
            matches!(
                delivery.status,
                DeliveryStatus::Failed | DeliveryStatus::Cancelled
            )
        };
        let ended = created.existing.into_iter().filter(has_ended).collect();
        let again = retry(state, call, &self.endpoint, ended, now).await?;
        Ok(created.to_send.len() + again)
    }
}
