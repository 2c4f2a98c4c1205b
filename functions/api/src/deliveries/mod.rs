//! What is, or was, owed to endpoints.

mod merge;
pub(crate) mod of_event;
pub(crate) mod retry;
pub(crate) mod view;

use axum::extract::State;
use axum::response::Response;
use domain::{DeliveryStatus, EndpointId, Scope};
use futures::future::try_join_all;
use platform::clock;
use platform::http::HttpError;
use platform::parameters::{Parameters, bad};
use store::{DeliveryCursor, StoreError};

use crate::call::Call;
use crate::caller::holder;
use crate::listing::Listing;
use crate::response::Refusal;
use crate::schema::Refusals;
use crate::schema::deliveries::Deliveries;
use crate::state::Shared;

/// Lists deliveries, newest first: by `settled_at`, or by `due_at` while pending.
///
/// Without `endpoint`, the request queries every endpoint: set it if there are many.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    operation_id = "list_deliveries",
    tag = "deliveries",
    params(
        ("status" = Option<crate::schema::deliveries::DeliveryStatus>, Query, description = "Only deliveries with this status"),
        ("endpoint" = Option<String>, Query, description = "Only deliveries to the endpoint with this id"),
        ("before" = Option<String>, Query, description = "The `next` of the previous page"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "Page size; default 50"),
    ),
    responses((status = 200, description = "A page of deliveries", body = Deliveries), Refusals, (status = 400, description = "`bad_status`, `bad_id` (of `endpoint`), `bad_cursor`, `bad_limit`: the value is invalid", body = crate::schema::error::Error)),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn list(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let now = clock::now();
    holder(&state, &call, Scope::Endpoints).await?;
    let known = ["before", "endpoint", "limit", "status"];
    let parameters = Parameters::read(&call.query, &known)?;
    let statuses = statuses(&parameters)?;
    let (before, limit) = (before(&parameters)?, parameters.limit()?);
    let endpoints = match endpoint(&parameters)? {
        Some(id) => vec![id],
        None => state
            .endpoints
            .ids()
            .await
            .map_err(|error| call.failed(&error))?,
    };
    let lists = statuses.iter().map(|status| {
        state
            .deliveries
            .list(*status, &endpoints, before, limit, now)
    });
    let pages = try_join_all(lists).await;
    let page = merge::merge(
        pages.map_err(|error: StoreError| call.failed(&error))?,
        limit,
    );
    let shown = page.deliveries.iter().map(|delivery| {
        (
            view::delivery(delivery),
            DeliveryCursor::of_delivery(delivery).to_string(),
        )
    });
    let rest = page.next.map(|place| place.to_string());
    Ok(Listing::page("deliveries", shown, rest))
}

fn statuses(parameters: &Parameters<'_>) -> Result<Vec<DeliveryStatus>, HttpError> {
    let Some(word) = parameters.get("status") else {
        return Ok(DeliveryStatus::ALL.to_vec());
    };
    let status = DeliveryStatus::from_word(word);
    let words = DeliveryStatus::ALL.map(DeliveryStatus::as_str).join(", ");
    let status = status.ok_or_else(|| {
        bad(
            "bad_status",
            format!("parameter `status` must be one of {words}"),
        )
    });
    Ok(vec![status?])
}

fn endpoint(parameters: &Parameters<'_>) -> Result<Option<EndpointId>, HttpError> {
    let id = parameters.get("endpoint").map(str::parse);
    id.transpose()
        .map_err(|_| bad("bad_id", "parameter `endpoint` must be an endpoint id"))
}

/// `before`: where a page goes on.
pub(crate) fn before(parameters: &Parameters<'_>) -> Result<Option<DeliveryCursor>, HttpError> {
    let place = parameters.get("before").map(str::parse);
    place.transpose().map_err(|_| {
        bad(
            "bad_cursor",
            "parameter `before` must be the `next` of an earlier page",
        )
    })
}
