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

/// Creates a new signing secret and returns it, this once.
///
/// Older secrets sign as well for at most `overlap_hours`, so that receivers can switch at any time
/// in between. `ingest_secret` cannot be rotated.
/// The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/rotate-secret",
    operation_id = "rotate_secret",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    request_body = Option<schema::Rotation>,
    responses(
        (status = 200, description = "The endpoint with its new secret", body = schema::RotatedEndpoint),
        NotFound,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_json`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field", body = crate::schema::error::Error),
        (status = 409, description = "`too_many_secrets`: ten old secrets still sign. `conflict`: another request changed the endpoint at the same time; try again", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
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

/// Disables an endpoint.
///
/// A delivery whose next attempt falls due meanwhile is cancelled; `replay-missing` recreates it.
/// The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/disable",
    operation_id = "disable_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    request_body = Option<schema::Disabling>,
    responses(
        (status = 200, description = "The endpoint after the change", body = schema::Endpoint),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_json`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
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

/// Enables an endpoint and resets its health.
///
/// The endpoint receives events stored from now on, and deferred deliveries within minutes.
/// The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/enable",
    operation_id = "enable_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    responses(
        (status = 200, description = "The endpoint after the change", body = schema::Endpoint),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_json`, `unknown_field`: the body must be empty or `{}`", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
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

/// Sends an event of type `endpoint.test` to one endpoint, bypassing its filter.
///
/// `GET /v1/events/{id}/deliveries` shows the outcome.
/// The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{endpoint_id}/test",
    operation_id = "test_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    responses(
        (
            status = 202,
            description = "The event is stored and queued",
            body = Accepted,
            links(("deliveries" = (operation_id = "list_deliveries_of_event", parameters(("id" = "$response.body#/id"))))),
        ),
        NotFound,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_json`, `unknown_field`: the body must be empty or `{}`", body = crate::schema::error::Error),
        (status = 409, description = "`endpoint_disabled`: the endpoint is disabled", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
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
