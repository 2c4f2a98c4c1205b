//! What happened to one message.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::event::FIELD_BYTES;
use domain::{EventId, Filter, Millis, Position, Scope};
use http::StatusCode;
use platform::clock;
use platform::http::HttpError;
use store::StoreError;
use tokio::time::Instant;

use crate::call::Call;
use crate::caller::holder;
use crate::page::{Page, SCAN_EVENTS, SCAN_TIME};
use crate::response::{Refusal, json, not_found};
use crate::schema::{History, Refusals};
use crate::state::Shared;
use platform::parameters::{Parameters, bad};

/// Lists the events of one message, ordered by `occurred_at`.
///
/// An unknown message has no events. Masked tokens are refused (403), since they may not learn
/// message ids. If the token has a filter, a page scans 10,000 events or 10 s, so it may be short or
/// empty although `more` is true: continue at `next`.
#[utoipa::path(
    get,
    path = "/v1/messages/{message_id}/events",
    operation_id = "list_events_of_message",
    tag = "events",
    params(
        ("message_id" = String, Path, description = "Message id; encode a slash as `%2F`", example = "8854ad35e1b54a1cb1f0c5a4d2f4f0aa"),
        ("after" = Option<String>, Query, description = "Only events after this cursor: the `next` of the previous page, or the `cursor` of any event of the message"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "Page size; default 50"),
    ),
    responses((status = 200, description = "A page of events", body = History), Refusals, (status = 400, description = "`bad_cursor`: not a cursor of this message. `bad_limit`: out of range", body = crate::schema::error::Error)),
    security(("token" = ["read"])),
)]
pub(crate) async fn list(
    State(state): State<Shared>,
    message: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let now = clock::now();
    let holder = holder(&state, &call, Scope::Read).await?;
    if holder.rights.mask {
        let message = "masked tokens may not read events by message id";
        return Err(HttpError::new(StatusCode::FORBIDDEN, "forbidden", message).into());
    }
    let parameters = Parameters::read(&call.query, &["after", "limit"])?;
    let Some(message) = message.ok().filter(|Path(id)| !id.is_empty()) else {
        return Err(not_found("there is no such message").into());
    };
    let Path(message) = message;
    let partition = EventId::partition_of(&mandrill::message_key(&message));
    let after = parameters.cursor("after", &state.feed)?;
    let after = after.map(|cursor| cursor.position.id);
    if after.is_some_and(|id| id.partition() != partition) {
        return Err(bad(
            "bad_cursor",
            "parameter `after`: the cursor belongs to another message",
        )
        .into());
    }
    let filter = holder
        .rights
        .narrow(&Filter::default())
        .map_err(HttpError::from)?;
    let mut page = Page::new(&state.feed, &holder.rights, filter, parameters.limit()?);
    let wanted = Wanted {
        message: &message,
        partition: &partition,
        now,
    };
    let next = wanted
        .fill(&state, after, &mut page)
        .await
        .map_err(|error| HttpError::unavailable(&call.request_id, &error))?;
    let next = next.map(|position| state.feed.cursor_at(position));
    Ok(json(page.finish(next.as_deref(), next.is_some(), None)))
}

struct Wanted<'a> {
    message: &'a str,
    partition: &'a str,
    now: Millis,
}

impl Wanted<'_> {
    /// Fills the page until it or the message ends, or enough was looked at; answers where the next
    /// one goes on, if there is one.
    async fn fill(
        &self,
        state: &crate::State,
        after: Option<EventId>,
        page: &mut Page<'_>,
    ) -> Result<Option<Position>, StoreError> {
        let deadline = Instant::now() + SCAN_TIME;
        let mut looked_at = 0;
        // As much of the id as an event keeps.
        let kept = &self.message[..self.message.floor_char_boundary(FIELD_BYTES)];
        let kept = Some(kept);
        let (mut after, mut last) = (after, None);
        let read = |after, limit| state.messages.page(self.partition, after, limit, self.now);
        loop {
            let chunk = page.chunk();
            let read_ = read(after, chunk).await?;
            for event in &read_.events {
                let is_of_it = event.content.message_id.as_deref() == kept;
                if is_of_it && !page.add(event) {
                    return Ok(last);
                }
                last = Some(event.position());
                if Instant::now() >= deadline {
                    return Ok(last);
                }
            }
            let Some(next) = read_.next else {
                return Ok(None);
            };
            (after, last) = (Some(next.id), Some(next));
            looked_at += chunk;
            if page.room() == 0 {
                // DynamoDB says that there is more when it has not looked.
                let rest = read(after, 1).await?;
                let is_end = rest.events.is_empty() && rest.next.is_none();
                return Ok(last.filter(|_| !is_end));
            }
            if looked_at >= SCAN_EVENTS || Instant::now() >= deadline {
                return Ok(last);
            }
        }
    }
}
