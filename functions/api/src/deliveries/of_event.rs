//! The deliveries of one event.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::{EventId, Scope};
use platform::clock;
use platform::parameters::Parameters;

use super::view;
use crate::call::{Call, path_id};
use crate::caller::holder;
use crate::listing::{self, Listing};
use crate::response::Refusal;
use crate::schema::Refusals;
use crate::schema::deliveries::{EventDeliveries, EventDelivery};
use crate::state::Shared;

/// Lists the deliveries of one event with their attempts, ordered by endpoint id.
///
/// An unknown event has no deliveries.
#[utoipa::path(
    get,
    path = "/v1/events/{id}/deliveries",
    operation_id = "list_deliveries_of_event",
    tag = "deliveries",
    params(
        ("id" = String, Path, description = "Event id", example = "evt_927d41s94qzwedc13x44eb6hywr04x69ry1bwkw"),
        ("after" = Option<String>, Query, description = "The `next` of the previous page, an endpoint id"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "Page size; default 50"),
    ),
    responses((status = 200, description = "A page of deliveries", body = EventDeliveries), Refusals, (status = 400, description = "`bad_id`, `bad_cursor`, `bad_limit`: the value is invalid", body = crate::schema::error::Error)),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn list(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let now = clock::now();
    holder(&state, &call, Scope::Endpoints).await?;
    let parameters = Parameters::read(&call.query, &["after", "limit"])?;
    let id: EventId = path_id(id, "an event id")?;
    let after = listing::after(&parameters)?;
    let page = state
        .deliveries
        .of_event(id, after, parameters.limit()?, now);
    let page = page.await.map_err(|error| call.failed(&error))?;
    let shown = page.deliveries.iter().map(|it| {
        let delivery = EventDelivery {
            delivery: view::delivery(&it.delivery),
            attempts: it.attempts.iter().map(view::attempt).collect(),
        };
        (delivery, it.delivery.id.endpoint.to_string())
    });
    let rest = page.next.map(|id| id.to_string());
    Ok(Listing::page("deliveries", shown, rest))
}
