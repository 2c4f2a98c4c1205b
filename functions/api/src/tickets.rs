//! Tickets, with which browsers connect.

use axum::extract::State;
use axum::response::Response;
use domain::{Filter, Scope};
use http::StatusCode;
use platform::clock;

use crate::body::Fields;
use crate::caller::{Call, holder};
use crate::parameters::{self, Parameters};
use crate::routes::{Refusal, Shared, object};
use crate::schema::{NewTicket, Refusals, Ticket, TooLarge};

/// A filter in full length with its escapes.
const BODY_BYTES: usize = 16 * 1024;

/// A ticket for a browser, which cannot send a token with a WebSocket. It is good for 60 s.
///
/// The filter narrows what the ticket shows; nothing can widen it again.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    operation_id = "create_ticket",
    tag = "live",
    request_body = Option<NewTicket>,
    responses((status = 201, description = "The ticket", body = Ticket), TooLarge, Refusals),
    security(("token" = [])),
)]
pub(crate) async fn create(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let now = clock::now();
    let holder = holder(&state, &call, Scope::Read, now).await?;
    Parameters::read(&call.query, &[])?;
    let fields = Fields::read(&call, &["filter"], BODY_BYTES)?;
    let filter: Option<String> = fields.value("filter", "a string")?;
    let filter = match filter {
        Some(text) => parameters::filter(&text)?,
        None => Filter::default(),
    };
    let ticket = state
        .tokens
        .issue_ticket(&holder, &filter, now, &call.request_id)
        .await?;
    let tail = |path: &str| state.tail_url.as_ref().map(|url| format!("{url}{path}"));
    let ticket = Ticket {
        url: format!("{}?ticket={}", state.websocket_url, *ticket.text),
        stream_url: tail("/v1/stream"),
        poll_url: tail("/v1/events"),
        expires_at: ticket.expires_at.to_string(),
        ticket: ticket.text.0,
    };
    let mut answer = object(&ticket);
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}
