//! Trying a delivery now.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::{DeliveryId, Scope};
use http::StatusCode;
use platform::clock;
use platform::http::HttpError;
use platform::parameters::Parameters;
use store::Retried;

use super::view;
use crate::body::Fields;
use crate::call::{Call, path_id};
use crate::caller::holder;
use crate::endpoints;
use crate::response::{Refusal, not_found, object};
use crate::schema::deliveries::{Delivery, UnderWay};
use crate::schema::{NotFound, Refusals, TooLarge};
use crate::state::Shared;

/// Retries a delivery now.
///
/// A pending delivery's next attempt is brought forward, and the rest of its schedule stays; any other
/// delivery gets one more attempt.
/// The attempt waits while the endpoint's circuit breaker is open or its `rate_limit` is used up.
/// The body has at most 1 KB.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{delivery_id}/retry",
    operation_id = "retry_delivery",
    tag = "deliveries",
    params(("delivery_id" = String, Path, description = "Delivery id")),
    responses(
        (status = 202, description = "The attempt is queued", body = Delivery),
        NotFound,
        UnderWay,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no delivery id. `endpoint_disabled`: the endpoint is disabled (409 on other routes). `bad_json`, `unknown_field`: the body must be empty or `{}`", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn retry(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let now = clock::now();
    holder(&state, &call, Scope::Endpoints).await?;
    Parameters::read(&call.query, &[])?;
    // Nothing can be said, and a body of nothing is none.
    Fields::read(&call, &[], 1_024)?;
    let id: DeliveryId = path_id(id, "a delivery id")?;
    let endpoint = endpoints::get(&state, &call, id.endpoint).await?.endpoint;
    if !endpoint.is_enabled() {
        return Err(endpoints::disabled(StatusCode::BAD_REQUEST).into());
    }
    let retried = state.retry.retry(id, state.keep_ms(&endpoint), now).await;
    let delivery = match retried.map_err(|error| call.failed(&error))? {
        Retried::Send(delivery) => delivery,
        Retried::UnderWay => {
            let message = "an attempt of this delivery is in progress";
            return Err(HttpError::new(StatusCode::CONFLICT, "attempt_under_way", message).into());
        }
        Retried::Missing => {
            let message = "no delivery has this id, or it has expired";
            return Err(not_found(message).into());
        }
    };
    state.send(&call, std::slice::from_ref(&delivery)).await?;
    let mut answer = object(&view::delivery(&delivery));
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}
