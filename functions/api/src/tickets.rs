//! Tickets, with which browsers connect.

use axum::extract::State;
use axum::response::Response;
use domain::{Filter, Scope};
use http::StatusCode;
use platform::http::HttpError;

use crate::body::Fields;
use crate::call::Call;
use crate::caller::holder;
use crate::response::{Refusal, object};
use crate::schema::{NewTicket, Refusals, Ticket, TooLarge};
use crate::state::Shared;
use platform::parameters::{self, Parameters, bad};

/// A filter in full length with its escapes.
const BODY_BYTES: usize = 16 * 1024;
/// The longest URL with which a WebSocket is opened. ("Quotas for WebSocket APIs".) A ticket has its
/// filter in it, in JSON and then in base64: one full of quotes becomes two and a half times as long.
const URL_CHARACTERS: usize = 4_096;

/// Creates a ticket: a token for connecting from a browser, valid for 60 s.
///
/// The ticket inherits the token's filter, mask and expiry. The body has at most 16 KB.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    operation_id = "create_ticket",
    tag = "live",
    request_body = Option<NewTicket>,
    responses((status = 201, description = "The ticket", body = Ticket), TooLarge, Refusals, (status = 400, description = "`bad_filter`: the filter is invalid, or too long together with the token's (a WebSocket URL has at most 4,096 characters). `unknown_field`, `repeated_field`, `bad_field`: the message names the field. `bad_json`: the body is not a JSON object", body = crate::schema::error::Error)),
    security(("token" = ["read"])),
)]
pub(crate) async fn create(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let holder = holder(&state, &call, Scope::Read).await?;
    Parameters::read(&call.query, &[])?;
    let fields = Fields::read(&call, &["filter"], BODY_BYTES)?;
    let filter: Option<String> = fields.value("filter", "a string")?;
    let filter = match filter {
        Some(text) => parameters::filter(&text)?,
        None => Filter::default(),
    };
    let ticket = state
        .tokens
        .issue_ticket(&holder, &filter, call.received_at, &call.request_id)
        .await?;
    let tail = |path: &str| state.tail_url.as_ref().map(|url| format!("{url}{path}"));
    let ticket = Ticket {
        url: url(&state.websocket_url, &ticket.text)?,
        stream_url: tail("/v1/stream"),
        poll_url: tail("/v1/events"),
        expires_at: ticket.expires_at.to_string(),
        ticket: ticket.text.0,
    };
    let mut answer = object(&ticket);
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

/// Where a WebSocket connects with this ticket, if API Gateway lets it.
fn url(websocket_url: &str, ticket: &str) -> Result<String, HttpError> {
    let url = format!("{websocket_url}?ticket={ticket}");
    if url.len() <= URL_CHARACTERS {
        return Ok(url);
    }
    let message = format!(
        "with this filter and the token's, the WebSocket URL would have {} characters; at most {URL_CHARACTERS} are allowed",
        url.len()
    );
    Err(bad("bad_filter", message))
}
