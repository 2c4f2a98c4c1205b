//! Endpoints: to make one, to look at them, to change them.

pub(crate) mod actions;
pub(crate) mod attempts;
pub(crate) mod recover;
pub(crate) mod replay;
mod settings;
mod view;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::endpoint::{Endpoint, EndpointStatus, MAX_ENDPOINTS, Secrets};
use domain::signing::{self, SigningSecret};
use domain::{EndpointId, Millis, Scope};
use http::StatusCode;
use platform::clock;
use platform::http::HttpError;
use platform::parameters::Parameters;
use store::{Created, Edited, KnownEndpoint, StoreError};

use crate::call::{Call, path_id};
use crate::caller::holder;
use crate::listing::{self, Listing};
use crate::response::{Refusal, not_found, object};
use crate::schema::endpoints as schema;
use crate::schema::{NotFound, Refusals, TooLarge};
use crate::state::Shared;

/// Lists the endpoints, ordered by id.
#[utoipa::path(
    get,
    path = "/v1/endpoints",
    operation_id = "list_endpoints",
    tag = "endpoints",
    params(
        ("after" = Option<String>, Query, description = "The `next` of the previous page, an endpoint id"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "Page size; default 50"),
    ),
    responses((status = 200, description = "A page of endpoints", body = schema::Endpoints), Refusals, (status = 400, description = "`bad_cursor`, `bad_limit`: the value is invalid", body = crate::schema::error::Error)),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn list(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let now = clock::now();
    holder(&state, &call, Scope::Endpoints).await?;
    let parameters = Parameters::read(&call.query, &["after", "limit"])?;
    let after = listing::after(&parameters)?;
    let page = state.endpoints.list(after, parameters.limit()?).await;
    let page = page.map_err(|error| call.failed(&error))?;
    let shown = page.endpoints.iter().map(|known| {
        let id = known.endpoint.id.to_string();
        (view::view(known, now), id)
    });
    let rest = page.next.map(|id| id.to_string());
    Ok(Listing::page("endpoints", shown, rest))
}

/// Creates an endpoint and returns its secrets, this once.
///
/// The endpoint receives every matching event stored after the answer. A repeated request creates a
/// second endpoint: there is no `Idempotency-Key` here. The body has at most 64 KB.
#[utoipa::path(
    post,
    path = "/v1/endpoints",
    operation_id = "create_endpoint",
    tag = "endpoints",
    request_body = schema::NewEndpoint,
    responses(
        (
            status = 201,
            description = "The endpoint, with its secrets",
            body = schema::CreatedEndpoint,
            links(
                ("endpoint" = (operation_id = "get_endpoint", parameters(("endpoint_id" = "$response.body#/id")))),
                ("test" = (operation_id = "test_endpoint", parameters(("endpoint_id" = "$response.body#/id")))),
            ),
        ),
        schema::TooMany,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_url`, `bad_filter`, `bad_header`: the value is invalid. `missing_field`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field. `bad_json`: the body is not a JSON object", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn create(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let now = clock::now();
    holder(&state, &call, Scope::Endpoints).await?;
    Parameters::read(&call.query, &[])?;
    let fields = settings::fields(&call)?;
    let secret = SigningSecret::generate(call.random()?);
    let endpoint = Endpoint {
        id: EndpointId::new(call.random()?),
        settings: settings::new(&fields, state.private)?,
        status: EndpointStatus::Enabled,
        secrets: Secrets::new(secret.clone(), now),
        ingest_secret: signing::ingest_secret(call.random()?),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let created = state.editor.create(&endpoint).await;
    if created.map_err(|error| call.failed(&error))? == Created::TooMany {
        let message = format!("there are {MAX_ENDPOINTS} endpoints, the most allowed");
        return Err(HttpError::new(StatusCode::CONFLICT, "too_many_endpoints", message).into());
    }
    tracing::info!(endpoint.id = %endpoint.id, "An endpoint was made.");
    let ingest_secret = endpoint.ingest_secret.0.clone();
    let mut answer = object(&schema::CreatedEndpoint {
        endpoint: view::of_new(&endpoint, now),
        secret: secret.reveal(),
        ingest_secret,
    });
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

/// Returns one endpoint.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{endpoint_id}",
    operation_id = "get_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    responses((status = 200, description = "The endpoint", body = schema::Endpoint), NotFound, Refusals, (status = 400, description = "`bad_id`: the path has no endpoint id", body = crate::schema::error::Error)),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn one(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    Ok(shown(&state, &call, id, now).await?)
}

/// Changes the given fields of an endpoint.
///
/// The changed URL, headers, secrets and schedule apply to pending deliveries too; the filter applies
/// to events stored after the change. The body has at most 64 KB.
#[utoipa::path(
    patch,
    path = "/v1/endpoints/{endpoint_id}",
    operation_id = "change_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    request_body = Option<schema::ChangedEndpoint>,
    responses(
        (status = 200, description = "The endpoint after the change", body = schema::Endpoint),
        NotFound,
        schema::Unfit,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_id`: the path has no endpoint id. `bad_url`, `bad_filter`, `bad_header`: the value is invalid. `bad_json`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field", body = crate::schema::error::Error),
    ),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn change(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    let fields = settings::fields(&call)?;
    let change =
        |endpoint: &mut Endpoint| settings::change(&mut endpoint.settings, &fields, state.private);
    edit(&state, &call, id, now, change).await?;
    Ok(shown(&state, &call, id, now).await?)
}

/// Deletes an endpoint and cancels its pending deliveries within minutes.
///
/// Its deliveries stay visible until they expire, in `GET /v1/deliveries?endpoint=…` and
/// `GET /v1/events/{id}/deliveries`; lists of all endpoints omit them, and its attempts are 404.
#[utoipa::path(
    delete,
    path = "/v1/endpoints/{endpoint_id}",
    operation_id = "delete_endpoint",
    tag = "endpoints",
    params(("endpoint_id" = String, Path, description = "Endpoint id")),
    responses((status = 204, description = "The endpoint is deleted"), NotFound, Refusals, (status = 400, description = "`bad_id`: the path has no endpoint id", body = crate::schema::error::Error)),
    security(("token" = ["endpoints"])),
)]
pub(crate) async fn delete(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let (id, now) = asked(&state, id, &call).await?;
    let was_there = state.editor.delete(id, now).await;
    if !was_there.map_err(|error| call.failed(&error))? {
        return Err(unknown().into());
    }
    tracing::info!(endpoint.id = %id, "An endpoint was deleted.");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Which endpoint is asked for, without parameters, by somebody who may ask; and when.
async fn asked(
    state: &crate::State,
    id: Result<Path<String>, PathRejection>,
    call: &Call,
) -> Result<(EndpointId, Millis), HttpError> {
    let now = clock::now();
    holder(state, call, Scope::Endpoints).await?;
    Parameters::read(&call.query, &[])?;
    Ok((read_id(id)?, now))
}

fn read_id(id: Result<Path<String>, PathRejection>) -> Result<EndpointId, HttpError> {
    path_id(id, "an endpoint id")
}

/// The endpoint with this id.
pub(crate) async fn get(
    state: &crate::State,
    call: &Call,
    id: EndpointId,
) -> Result<KnownEndpoint, HttpError> {
    let known = state.endpoints.get(id).await;
    known
        .map_err(|error| call.failed(&error))?
        .ok_or_else(unknown)
}

/// The same, if it is enabled.
async fn enabled(state: &crate::State, call: &Call, id: EndpointId) -> Result<Endpoint, HttpError> {
    let endpoint = get(state, call, id).await?.endpoint;
    match endpoint.is_enabled() {
        true => Ok(endpoint),
        false => Err(disabled(StatusCode::CONFLICT)),
    }
}

async fn shown(
    state: &crate::State,
    call: &Call,
    id: EndpointId,
    now: Millis,
) -> Result<Response, HttpError> {
    let known = get(state, call, id).await?;
    Ok(object(&view::view(&known, now)))
}

/// Changes an endpoint, whoever else changes it at the same moment.
async fn edit(
    state: &crate::State,
    call: &Call,
    id: EndpointId,
    now: Millis,
    change: impl FnMut(&mut Endpoint) -> Result<(), HttpError>,
) -> Result<Endpoint, HttpError> {
    edited(call, state.editor.edit(id, now, change).await)
}

/// The endpoint as it was changed.
fn edited(
    call: &Call,
    edited: Result<Edited<HttpError>, StoreError>,
) -> Result<Endpoint, HttpError> {
    match edited.map_err(|error| call.failed(&error))? {
        Edited::Stored(endpoint) => Ok(*endpoint),
        Edited::Refused(error) => Err(error),
        Edited::Missing => Err(unknown()),
        Edited::Conflict => {
            let message = "another request changed this endpoint at the same time; try again";
            Err(HttpError::new(StatusCode::CONFLICT, "conflict", message))
        }
    }
}

pub(crate) fn unknown() -> HttpError {
    not_found("no endpoint has this id")
}

/// The endpoint gets nothing.
pub(crate) fn disabled(status: StatusCode) -> HttpError {
    HttpError::new(status, "endpoint_disabled", "this endpoint is disabled")
}
