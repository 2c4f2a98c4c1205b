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

/// Tries a delivery now: one that is pending is brought forward, any other gets one more attempt.
#[utoipa::path(
    post,
    path = "/v1/deliveries/{delivery_id}/retry",
    operation_id = "retry_delivery",
    tag = "deliveries",
    params(("delivery_id" = String, Path, description = "The delivery's `id`")),
    responses(
        (status = 202, description = "It will be tried at once", body = Delivery),
        NotFound,
        UnderWay,
        TooLarge,
        Refusals,
    ),
    security(("token" = [])),
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
