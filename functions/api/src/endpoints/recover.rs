//! One more attempt for each delivery that has failed.

use std::str::FromStr;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::endpoint::Endpoint;
use domain::{Delivery, Millis};
use futures::{StreamExt, TryStreamExt, stream};
use platform::http::HttpError;
use platform::parameters::bad;
use store::{DeliveryCursor, Retried};

use super::actions::BODY_BYTES;
use super::{asked, enabled};
use crate::body::{Fields, bad_field};
use crate::call::Call;
use crate::response::{Refusal, object};
use crate::schema::endpoints as schema;
use crate::schema::{NotFound, Refusals, TooLarge};
use crate::state::Shared;

/// How many deliveries one request brings under way: a second's work.
const PIECE: usize = 500;
/// How many of them at once.
const CONCURRENCY: usize = 32;

/// Retries each delivery that has failed since a time, once.
///
/// Works in batches: while `next` is not null, send it as `after`. Repeating is harmless: pending and
/// delivered deliveries are skipped.
/// The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/recover",
    operation_id = "recover_endpoint",
    tag = "deliveries",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    request_body = schema::Recovery,
    responses(
        (status = 200, description = "Progress", body = schema::Piece),
        NotFound,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_cursor` (of `after`). `missing_field`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field. `bad_json`: the body is not a JSON object", body = crate::schema::error::Error),
        (status = 409, description = "`endpoint_disabled`: the endpoint is disabled", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn recover(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    let fields = Fields::read(&call, &["since", "after"], BODY_BYTES)?;
    let since = since(&fields)?;
    let begun = match fields.value::<String>("after", "a string")? {
        Some(text) => text.parse().map_err(|_| {
            bad(
                "bad_cursor",
                "field `after` must be the `next` of an earlier answer",
            )
        })?,
        None => Progress {
            until: now,
            place: None,
        },
    };
    let endpoint = enabled(&state, &call, id).await?;
    Ok(object(
        &piece(&state, &call, &endpoint, since, begun, now).await?,
    ))
}

/// `since`, which has to be there.
pub(super) fn since(fields: &Fields<'_>) -> Result<Millis, HttpError> {
    let what = "an RFC 3339 time such as 2026-11-22T01:02:03Z";
    let text: Option<String> = fields.value("since", what)?;
    let text = text.ok_or_else(|| bad("missing_field", "field `since` is missing"))?;
    Millis::from_rfc3339(&text).ok_or_else(|| bad_field("since", what))
}

/// How far recovering has come, and up to when it goes: what fails again while it is under way is
/// not tried again.
#[derive(Debug)]
struct Progress {
    until: Millis,
    place: Option<DeliveryCursor>,
}

impl FromStr for Progress {
    type Err = ();

    fn from_str(text: &str) -> Result<Progress, ()> {
        let (until, place) = text.split_once('.').ok_or(())?;
        Ok(Progress {
            until: Millis(until.parse().map_err(|_| ())?),
            place: Some(place.parse().map_err(|_| ())?),
        })
    }
}

async fn piece(
    state: &crate::State,
    call: &Call,
    endpoint: &Endpoint,
    since: Millis,
    begun: Progress,
    now: Millis,
) -> Result<schema::Piece, HttpError> {
    let (until, place) = (begun.until, begun.place);
    let page = state
        .deliveries
        .failed_since(endpoint.id, since, place, PIECE, now);
    let mut page = page.await.map_err(|error| call.failed(&error))?;
    let is_before = |delivery: &Delivery| delivery.settled_at.is_none_or(|at| at <= until);
    let is_over = page.next.is_none_or(|next| next.at() > until);
    page.deliveries.retain(is_before);
    let count = retry(state, call, endpoint, page.deliveries, now).await?;
    let next = page.next.filter(|_| !is_over);
    Ok(schema::Piece {
        count,
        next: next.map(|place| format!("{}.{place}", until.0)),
    })
}

/// Wants one more attempt of these deliveries; answers of how many there will be one.
pub(super) async fn retry(
    state: &crate::State,
    call: &Call,
    endpoint: &Endpoint,
    deliveries: Vec<Delivery>,
    now: Millis,
) -> Result<usize, HttpError> {
    let keep_ms = state.keep_ms(endpoint);
    let retries = deliveries
        .into_iter()
        .map(|delivery| state.retry.retry(delivery.id, keep_ms, now));
    let retries: Vec<_> = retries.collect();
    let retried: Vec<Retried> = stream::iter(retries)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
        .map_err(|error| call.failed(&error))?;
    let to_send: Vec<Delivery> = retried
        .into_iter()
        .filter_map(|retried| match retried {
            Retried::Send(delivery) => Some(delivery),
            Retried::UnderWay | Retried::Missing => None,
        })
        .collect();
    state.send(call, &to_send).await?;
    Ok(to_send.len())
}
