//! The schemas of the OpenAPI document, and thereby of the tables in `docs/API-REFERENCE.md`. Some are
//! the types that routes serialize; the others mirror what `domain` writes, and schemathesis compares
//! them with the answers.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod error;
mod webhook;

use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use error::{Error, ErrorInner};

/// The document, to which each route adds itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Posthorn",
        description = "Stores, lists and delivers Mandrill's webhook events and events published by clients. Errors are `{\"error\":{\"code\":\"…\",\"message\":\"…\"}}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "events", description = "Stored events"),
        (name = "live", description = "Ways into the live feed"),
        (name = "endpoints", description = "Endpoints that receive webhooks"),
        (name = "deliveries", description = "Deliveries to endpoints and their attempts"),
        (name = "webhook", description = "Mandrill's webhook"),
        (name = "health", description = "Health check"),
    ),
    paths(stream, webhook::probe, webhook::receive),
    // Referenced only by inlined answers, which does not register it.
    components(schemas(ErrorInner)),
    modifiers(&Token),
)]
pub(crate) struct Document;

/// The path of [`stream`].
pub(crate) const STREAM: &str = "/v1/stream";

/// Streams missed, then live events as Server-Sent Events.
///
/// Another function serves this route at its own address, if the deployment has it, together with
/// long polling (`GET /v1/events` with `wait`). A ticket replaces the token where a client cannot set
/// headers, such as `EventSource`. Without `after` and `last`, the stream starts now.
#[utoipa::path(
    get,
    path = "/v1/stream",
    operation_id = "stream_events",
    tag = "live",
    params(
        ("after" = Option<String>, Query, description = "Start after this cursor"),
        ("last" = Option<i32>, Query, minimum = 0, maximum = 1000, description = "Start with this many of the newest events, at most 16 MB; excludes `after`"),
        ("filter" = Option<String>, Query, description = "Only events that match this filter", max_length = 2048, example = "type:open,click"),
        ("data" = Option<bool>, Query, description = "Include `data`; default false"),
        ("ticket" = Option<String>, Query, description = "A ticket, instead of a token"),
        ("lastEventId" = Option<String>, Query, description = "Like the header `Last-Event-ID`, for libraries that cannot set it; also spelled `Last-Event-ID`, `last-event-id`, `lastEventID`"),
        ("Last-Event-ID" = Option<String>, Header, description = "Start after this cursor; overrides the query. Browsers send it when they reconnect"),
    ),
    responses(
        (status = 200, description = "A stream", content_type = "text/event-stream", body = String),
        Refusals,
        (status = 400, description = "`bad_cursor`, `bad_filter`, `bad_last`, `bad_data`: the value is invalid", body = Error),
        (status = 405, description = "`method_not_allowed`: only `GET` is allowed", body = Error),
        (status = 429, description = "`TailConcurrency` clients are connected. Lambda's own answer, without CORS headers; retry with jitter", body = GatewayMessage),
        (status = 502, description = "The function failed. Lambda's own answer", body = GatewayMessage),
    ),
    security(("token" = ["read"]), ()),
)]
#[expect(dead_code, reason = "describes what `tail` answers")]
fn stream() {}

/// The security scheme of all routes.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The origin of an event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes domain::Source")]
enum Source {
    Mandrill,
    Api,
    Ingest,
    Posthorn,
}

/// An event. More fields may be added.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes domain::Event")]
pub(crate) struct Event {
    /// `evt_` and 39 characters, derived from the content: an event received twice has one id.
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    id: String,
    /// The event type; new types may appear at any time.
    #[schema(example = "click")]
    r#type: String,
    /// `mandrill`; `api` for published events; `ingest` for events posted for one endpoint;
    /// `posthorn` for events about endpoints.
    source: Source,
    /// The name of the Mandrill key that verified the batch, or the id of the endpoint that the event
    /// is for or about; null for published events and for batches accepted by URL secret alone.
    #[schema(required)]
    webhook: Option<String>,
    /// Mandrill's `ts`, or the publisher's; `received_at` if absent or unreadable.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When the event was stored. The feed is in this order.
    #[schema(format = DateTime)]
    received_at: String,
    /// Mandrill's `_id`, or `msg._id`; all events of one message share it.
    #[schema(required)]
    message_id: Option<String>,
    /// The message's recipient; for a sync event, the listed address.
    #[schema(required)]
    recipient: Option<String>,
    #[schema(required)]
    sender: Option<String>,
    #[schema(required)]
    subject: Option<String>,
    /// The message's tags; empty if it has none.
    tags: Vec<String>,
    #[schema(required)]
    subaccount: Option<String>,
    #[schema(required)]
    template: Option<String>,
    /// The sender's metadata with values of any type; `{}` if there is none.
    #[schema(value_type = Object)]
    metadata: (),
    detail: Detail,
    /// The received JSON, byte for byte; a string if the input was not JSON; null if omitted for its
    /// size.
    #[schema(value_type = Value)]
    data: (),
    /// Present and true if something was cut or omitted for its size; `GET /v1/events/{id}` returns
    /// the complete `data`.
    #[schema(nullable = false)]
    truncated: Option<bool>,
    /// The event's position in the feed.
    cursor: String,
}

/// Details that depend on the type; unset fields are absent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes domain::Detail")]
struct Detail {
    /// The clicked link.
    url: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    #[schema(value_type = Option<Object>)]
    location: Option<()>,
    /// What the receiving server said: the event's `diag`, else that of `msg`, else the last of
    /// `msg.smtp_events` up to the event's time.
    diag: Option<String>,
    bounce_description: Option<String>,
    /// Of a reject or a list change.
    reason: Option<String>,
}

/// A page of the feed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what page::Page writes")]
pub(crate) struct Timeline {
    events: Vec<Event>,
    /// The next `before`, null on the last page; with `after`, the next `after`, never null.
    #[schema(required)]
    next: Option<String>,
    /// Whether more events may be available now.
    more: bool,
    /// With `after` only: false if events after the cursor have expired.
    #[schema(nullable = false)]
    recovered: Option<bool>,
}

/// A page of one message's events, oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what page::Page writes")]
pub(crate) struct History {
    events: Vec<Event>,
    /// The next `after`; null on the last page.
    #[schema(required)]
    next: Option<String>,
    /// Whether more events may be available.
    more: bool,
}

/// An event to publish. Null fields count as absent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `publish` reads")]
pub(crate) struct NewEvent {
    /// 1 to 64 letters, digits, `.`, `-` or `_`, not starting with `.` or `-`. Reserved, in any case:
    /// Mandrill's types, `unknown`, and the prefixes `endpoint.`, `delivery.`, `blacklist_`,
    /// `whitelist_`, `denylist_` and `allowlist_`.
    #[schema(
        pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
        example = "order.created"
    )]
    r#type: String,
    /// Any JSON, stored byte for byte; default null.
    #[schema(value_type = Value, required = false)]
    data: (),
    /// The event joins this message's events.
    #[schema(min_length = 1, max_length = 1000)]
    message_id: Option<String>,
    #[schema(min_length = 1, max_length = 1000)]
    recipient: Option<String>,
    #[schema(min_length = 1, max_length = 1000)]
    sender: Option<String>,
    #[schema(min_length = 1, max_length = 1000)]
    subject: Option<String>,
    #[schema(value_type = Option<Vec<Tag>>, max_items = 100)]
    tags: Option<Vec<String>>,
    #[schema(min_length = 1, max_length = 1000)]
    subaccount: Option<String>,
    #[schema(min_length = 1, max_length = 1000)]
    template: Option<String>,
    /// At most 16,384 bytes and 16 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    /// From 1970 to 2105, cut to seconds; default `received_at`.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

/// A tag of an event.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 100)]
#[expect(dead_code, reason = "describes what `publish` reads")]
struct Tag(String);

/// A stored event.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The event id.
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    pub(crate) id: String,
}

/// The known event types.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypes {
    /// Ordered by name.
    pub(crate) types: Vec<EventType>,
    /// How far back the scan went: a type with `last_seen` null has no event since then. Null if the
    /// scan covered every stored event.
    #[schema(required, format = DateTime)]
    pub(crate) since: Option<String>,
}

/// An event type.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventType {
    /// The type as events have it.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Null for a type that is neither Mandrill's nor Posthorn's.
    #[schema(required)]
    pub(crate) description: Option<&'static str>,
    /// When the newest scanned event of this type was received; null if there is none.
    #[schema(required, format = DateTime)]
    pub(crate) last_seen: Option<String>,
}

/// The restrictions of a new ticket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `tickets` reads")]
pub(crate) struct NewTicket {
    /// ANDed with the token's filter.
    #[schema(max_length = 2048, example = "type:open")]
    filter: Option<String>,
}

/// A ticket, and where to use it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ticket {
    /// The ticket, usable any number of times until `expires_at`.
    pub(crate) ticket: String,
    /// The WebSocket URL, including the ticket.
    pub(crate) url: String,
    /// Server-Sent Events: append `?ticket=…`. Null if the deployment has none.
    #[schema(required)]
    pub(crate) stream_url: Option<String>,
    /// Long polling: append `?ticket=…`. Null if the deployment has none.
    #[schema(required)]
    pub(crate) poll_url: Option<String>,
    /// Until when clients can connect with the ticket.
    #[schema(format = DateTime)]
    pub(crate) expires_at: String,
}

/// The state of the function.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`
    pub(crate) status: &'static str,
}

/// An answer of API Gateway or Lambda itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the gateway answers")]
pub(crate) struct GatewayMessage {
    message: String,
}

/// Errors of every route with a token.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
pub(crate) enum Refusals {
    /// `unknown_parameter`, `repeated_parameter`: the message names the parameter.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// `unauthorized`: the token is missing or invalid. `expired`, `not_yet_valid`: outside its time
    /// range.
    #[response(status = 401)]
    Unauthorized(#[to_schema] Error),
    /// `forbidden`: the token lacks the scope, its filter excludes the event, or it is masked and the
    /// request uses a masked field.
    #[response(status = 403)]
    Forbidden(#[to_schema] Error),
    /// `unsupported_media_type`: the body is a form; send JSON.
    #[response(status = 415)]
    Form(#[to_schema] Error),
    /// Request line and headers exceed 10 KB. API Gateway's own answer.
    #[response(status = 431)]
    HeadersTooLarge(#[to_schema] GatewayMessage),
    /// `internal`: the server failed; the message has the request id.
    #[response(status = 500)]
    Internal(#[to_schema] Error),
    /// `unavailable`: AWS did not answer; try again. The message has the request id.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}

/// The answer of a route with an id.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 404,
    description = "`not_found`: the id is unknown, or what it names has expired or was deleted"
)]
pub(crate) struct NotFound(#[to_schema] Error);

/// The answer to a key that stands for another request.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 409,
    description = "`idempotency_conflict`: the `Idempotency-Key` was used with another body; nothing was stored"
)]
pub(crate) struct Conflict(#[to_schema] Error);

/// The answer to an oversized body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 413,
    description = "`too_large`: the body exceeds the route's limit"
)]
pub(crate) struct TooLarge(#[to_schema] Error);
