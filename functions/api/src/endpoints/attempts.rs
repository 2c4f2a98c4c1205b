//! The requests that were made to an endpoint.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::Scope;
use platform::clock;
use platform::parameters::Parameters;
use store::DeliveryCursor;

use super::{get, read_id};
use crate::call::Call;
use crate::caller::holder;
use crate::deliveries::{before, view};
use crate::listing::Listing;
use crate::response::Refusal;
use crate::schema::deliveries::Attempts;
use crate::schema::{NotFound, Refusals};
use crate::state::Shared;

/// Lists the attempts made to an endpoint, newest first.
///
/// Attempts expire after `AttemptRetentionHours` (72 by default).
#[utoipa::path(
    get,
    path = "/v1/endpoints/{endpoint_id}/attempts",
    operation_id = "list_attempts",
    tag = "deliveries",
    params(
        ("endpoint_id" = String, Path, description = "Endpoint id"),
        ("before" = Option<String>, Query, description = "The `next` of the previous page"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "Page size; default 50"),
    ),
    responses((status = 200, description = "A page of attempts", body = Attempts), NotFound, Refusals, (status = 400, description = "`bad_id`, `bad_cursor`, `bad_limit`: the value is invalid", body = crate::schema::error::Error)),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn list(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let now = clock::now();
    holder(&state, &call, Scope::Endpoints).await?;
    let parameters = Parameters::read(&call.query, &["before", "limit"])?;
    let (before, limit) = (before(&parameters)?, parameters.limit()?);
    let id = get(&state, &call, read_id(id)?).await?.endpoint.id;
    let page = state.deliveries.attempts(id, before, limit, now).await;
    let page = page.map_err(|error| call.failed(&error))?;
    let shown = page.attempts.iter().map(|attempt| {
        let place = DeliveryCursor::of_attempt(attempt);
        (view::attempt(attempt), place.to_string())
    });
    let rest = page.next.map(|place| place.to_string());
    Ok(Listing::page("attempts", shown, rest))
}
