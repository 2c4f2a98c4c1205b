//! What is posted to one endpoint's address, for that endpoint alone.

use std::borrow::Cow;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::endpoint::Endpoint;
use domain::{Content, EndpointId, Rights, Scope, Source, signing};
use http::StatusCode;
use platform::http::HttpError;
use serde_json::value::RawValue;
use store::{Claim, NewEvent};

use crate::call::Call;
use crate::caller::holder;
use crate::endpoints::{self, disabled};
use crate::publish::{self, BODY_BYTES};
use crate::response::Refusal;
use crate::schema::{Accepted, NotFound, Refusals, TooLarge};
use crate::state::Shared;
use crate::{body, idempotency, kind};
use platform::parameters::{Parameters, bad};

/// The type of an event for which none is given.
const TYPE: &str = "ingest";
const SIGNATURE: &str = "x-hub-signature-256";

/// Sends any JSON to one endpoint, bypassing its filter.
///
/// Instead of a token, `X-Hub-Signature-256` may sign the body with the endpoint's `ingest_secret`.
/// The body, at most 1 MB, becomes the event's `data` byte for byte.
#[utoipa::path(
    post,
    path = "/v1/ingest/{endpoint_id}",
    operation_id = "ingest",
    tag = "endpoints",
    params(
        ("endpoint_id" = String, Path, description = "Endpoint id"),
        ("type" = Option<String>, Query, description = "Event type; default `ingest`", pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$", example = "order.created"),
        ("X-Hub-Signature-256" = Option<String>, Header, description = "`sha256=` and the hex of HMAC-SHA256 over the body"),
        ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key, body and type store one event; keys are per endpoint", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses(
        (
            status = 202,
            description = "The event is stored and queued",
            body = Accepted,
            links(("event" = (operation_id = "get_event", parameters(("id" = "$response.body#/id"))))),
        ),
        NotFound,
        TooLarge,
        Refusals,
        (status = 400, description = "`bad_json`: the body is not JSON. `bad_type`, `reserved_type`, `bad_idempotency_key`: the message names the rule", body = crate::schema::error::Error),
        (status = 403, description = "`bad_signature`: the signature does not match. `forbidden`: the token lacks scope `write`, or its filter excludes the event", body = crate::schema::error::Error),
        (status = 409, description = "`endpoint_disabled`: the endpoint is disabled. `idempotency_conflict`: the key was used with another body or type", body = crate::schema::error::Error),
    ),
    security(("token" = ["write"]), ()),
)]
pub(crate) async fn post(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    body::within(&call, BODY_BYTES)?;
    let (endpoint, rights) = admit(&state, id.ok().map(|Path(id)| id), &call).await?;
    let parameters = Parameters::read(&call.query, &["type"])?;
    let kind = event_type(parameters.get("type"))?;
    let key = idempotency::key(&call)?;
    if !endpoint.is_enabled() {
        return Err(disabled(StatusCode::CONFLICT).into());
    }
    let data: &RawValue = body::json(&call, "JSON")?;
    let id = endpoint.id.to_string();
    let request = [kind.as_bytes(), b"\n", &call.body].concat();
    let claim = key.map(|key| Claim {
        id: idempotency::claim_id("ingest", &id, key),
        request: &request,
    });
    let content = Content {
        webhook: Some(Cow::Borrowed(&id)),
        ..Content::new(kind, Source::Ingest)
    };
    if let Some(rights) = rights {
        publish::permit(&rights, &content)?;
    }
    let event = NewEvent {
        id: publish::new_id(&content, &call)?,
        data: Cow::Borrowed(data.get()),
        content,
    };
    Ok(publish::store(&state, &call, event, claim).await?)
}

/// The endpoint, for a caller that may post to it: by the signature if there is one, else by the token,
/// whose rights come with it.
async fn admit(
    state: &crate::State,
    id: Option<String>,
    call: &Call,
) -> Result<(Endpoint, Option<Rights>), HttpError> {
    let signature = call.headers.get(SIGNATURE);
    let rights = match signature {
        Some(_) => None,
        None => Some(by_token(state, call).await?),
    };
    let id = id.and_then(|id| id.parse::<EndpointId>().ok());
    let id = id.ok_or_else(endpoints::unknown)?;
    let endpoint = endpoints::get(state, call, id).await?.endpoint;
    let is_signed = |header: &http::HeaderValue| {
        let secret = endpoint.ingest_secret.as_bytes();
        let header = header.to_str().unwrap_or_default();
        signing::is_hub_signature(secret, &call.body, header)
    };
    if signature.is_some_and(|header| !is_signed(header)) {
        let message =
            "header `X-Hub-Signature-256` does not match the body under the ingest secret";
        let forbidden = StatusCode::FORBIDDEN;
        return Err(HttpError::new(forbidden, "bad_signature", message));
    }
    Ok((endpoint, rights))
}

/// The rights of a caller that has not signed. One without a token hears of both ways.
async fn by_token(state: &crate::State, call: &Call) -> Result<Rights, HttpError> {
    match holder(state, call, Scope::Write).await {
        Ok(holder) => Ok(holder.rights),
        Err(error) if error.status == StatusCode::UNAUTHORIZED => {
            let message = format!(
                "{}; without a token, sign the body: `X-Hub-Signature-256: sha256=` and its \
                 HMAC-SHA256 in hex under the endpoint's `ingest_secret`",
                error.message
            );
            Err(HttpError::new(error.status, error.code, message))
        }
        Err(error) => Err(error),
    }
}

fn event_type(asked: Option<&str>) -> Result<String, HttpError> {
    let Some(kind) = asked else {
        return Ok(TYPE.to_owned());
    };
    if !kind::is_valid(kind) {
        return Err(bad(
            "bad_type",
            format!("parameter `type` must be {}", kind::RULE),
        ));
    }
    kind::refuse_reserved(kind)?;
    Ok(kind.to_owned())
}
