//! What can be done to an endpoint besides changing its settings.

use std::borrow::Cow;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::endpoint::{DisabledReason, Endpoint, EndpointStatus, TEST_TYPE};
use domain::signing::SigningSecret;
use domain::{Content, HOUR_MS, Source};
use http::StatusCode;
use platform::http::HttpError;
use serde_json::json;
use store::NewEvent;

use super::{asked, edit, edited, enabled, get, shown, view};
use crate::body::{Fields, bad_field};
use crate::call::Call;
use crate::publish;
use crate::response::{Refusal, object};
use crate::schema::endpoints as schema;
use crate::schema::{Accepted, NotFound, Refusals, TooLarge};
use crate::state::Shared;

/// A few short fields.
pub(super) const BODY_BYTES: usize = 16 * 1024;
const DEFAULT_OVERLAP_HOURS: u64 = 24;
/// A week: who has not taken the new secret by then has forgotten it.
const MAX_OVERLAP_HOURS: u64 = 7 * 24;
const REASON_CHARACTERS: usize = 200;

/// Makes a new secret, which is shown this once.
///
/// The one before signs as well for `overlap_hours`, so that receivers can take the new one at any
/// time in between.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/rotate-secret",
    operation_id = "rotate_secret",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "The endpoint's `id`")),
    request_body = Option<schema::Rotation>,
    responses(
        (status = 200, description = "The endpoint, with its new secret", body = schema::RotatedEndpoint),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
    ),
    security(("token" = [])),
)]
pub(crate) async fn rotate(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    let overlap_ms = overlap_hours(&call)? * HOUR_MS;
    let secret = SigningSecret::generate(call.random()?);
    let rotate = |endpoint: &mut Endpoint| {
        let rotated = endpoint.secrets.rotate(secret.clone(), overlap_ms, now);
        rotated.map_err(|error| {
            HttpError::new(StatusCode::CONFLICT, "too_many_secrets", error.to_string())
        })
    };
    edit(&state, &call, id, now, rotate).await?;
    let known = get(&state, &call, id).await?;
    tracing::info!(endpoint.id = %id, "An endpoint has a new secret.");
    Ok(object(&schema::RotatedEndpoint {
        endpoint: view::view(&known, now),
        secret: secret.reveal(),
    }))
}

fn overlap_hours(call: &Call) -> Result<u64, HttpError> {
    let fields = Fields::read(call, &["overlap_hours"], BODY_BYTES)?;
    let what = format!("a number from 0 to {MAX_OVERLAP_HOURS}");
    let hours: Option<u64> = fields.value("overlap_hours", &what)?;
    let hours = hours.unwrap_or(DEFAULT_OVERLAP_HOURS);
    match hours {
        0..=MAX_OVERLAP_HOURS => Ok(hours),
        _ => Err(bad_field("overlap_hours", &what)),
    }
}

/// Sends nothing to an endpoint any more. A delivery whose next attempt would come while it is
/// disabled is cancelled.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/disable",
    operation_id = "disable_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "The endpoint's `id`")),
    request_body = Option<schema::Disabling>,
    responses(
        (status = 200, description = "The endpoint as it is now", body = schema::Endpoint),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
    ),
    security(("token" = [])),
)]
pub(crate) async fn disable(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    let fields = Fields::read(&call, &["reason"], BODY_BYTES)?;
    let reason = fields.text("reason", REASON_CHARACTERS)?;
    let reason = DisabledReason::Asked(reason.unwrap_or_default());
    let disable = |endpoint: &mut Endpoint| {
        endpoint.status = EndpointStatus::Disabled {
            reason: reason.clone(),
            since: now,
        };
        Ok(())
    };
    edit(&state, &call, id, now, disable).await?;
    tracing::info!(endpoint.id = %id, "An endpoint was disabled.");
    Ok(shown(&state, &call, id, now).await?)
}

/// Sends to an endpoint what is stored from now on, and takes it for healthy.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/enable",
    operation_id = "enable_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "The endpoint's `id`")),
    responses(
        (status = 200, description = "The endpoint as it is now", body = schema::Endpoint),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
    ),
    security(("token" = [])),
)]
pub(crate) async fn enable(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    Fields::read(&call, &[], BODY_BYTES)?;
    edited(&call, state.editor.enable(id, now).await)?;
    tracing::info!(endpoint.id = %id, "An endpoint was enabled.");
    Ok(shown(&state, &call, id, now).await?)
}

/// Sends an event of the type `endpoint.test` to an endpoint alone, past its filter.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/test",
    operation_id = "test_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "The endpoint's `id`")),
    responses(
        (
            status = 202,
            description = "It is stored, and will be delivered",
            body = Accepted,
            links(("deliveries" = (operation_id = "list_deliveries_of_event", parameters(("id" = "$response.body#/id"))))),
        ),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
    ),
    security(("token" = [])),
)]
pub(crate) async fn test(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, _) = asked(&state, id, &call).await?;
    Fields::read(&call, &[], BODY_BYTES)?;
    let endpoint = enabled(&state, &call, id).await?;
    let content = Content {
        webhook: Some(Cow::Owned(endpoint.id.to_string())),
        ..Content::new(TEST_TYPE, Source::Posthorn)
    };
    let event = NewEvent {
        id: publish::new_id(&content, &call)?,
        data: Cow::Owned(json!({ "endpoint_id": endpoint.id }).to_string()),
        content,
    };
    Ok(publish::store(&state, &call, event, None).await?)
}
