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

/// The requests that were made to an endpoint, newest first, as long as they are kept.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{endpoint_id}/attempts",
    operation_id = "list_attempts",
    tag = "deliveries",
    params(
        ("endpoint_id" = String, Path, description = "The endpoint's `id`"),
        ("before" = Option<String>, Query, description = "Only those before: the `next` of the page before"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "The most attempts of the page; 50 when absent"),
    ),
    responses((status = 200, description = "A page", body = Attempts), NotFound, Refusals),
    security(("token" = [])),
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
