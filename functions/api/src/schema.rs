//! What the OpenAPI document says of requests and answers. Some are the types that are written, the
//! others describe what `domain` writes; schemathesis compares them with what is answered.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
mod error;
mod webhook;

use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use error::{Error, ErrorInner};

/// The document, to which the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Posthorn",
        description = "What Mandrill reports about e-mail, and what is published beside it. Errors are `{\"error\":{\"code\":\"…\",\"message\":\"…\"}}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "events", description = "Events that were stored"),
        (name = "live", description = "Ways into the live feed"),
        (name = "endpoints", description = "Where events are sent"),
        (name = "deliveries", description = "What is owed to endpoints"),
        (name = "webhook", description = "Where Mandrill posts"),
        (name = "health", description = "Whether it is well"),
    ),
    paths(stream, webhook::probe, webhook::receive),
    // Named by what is inlined into the answers, which does not make it known.
    components(schemas(ErrorInner)),
    modifiers(&Token),
)]
pub(crate) struct Document;

/// Where [`stream`] is.
pub(crate) const STREAM: &str = "/v1/stream";

/// Server-Sent Events: what was missed, then what comes, until `reconnect`.
///
/// Another function answers it, at an address of its own, and only where the deployment has it. In
/// place of the header it takes a ticket, since `EventSource` can set none. The long poll,
/// `GET /v1/events` with `wait`, is there as well.
#[utoipa::path(
    get,
    path = "/v1/stream",
    operation_id = "stream_events",
    tag = "live",
    params(
        ("after" = Option<String>, Query, description = "Begin after this cursor"),
        ("last" = Option<i32>, Query, minimum = 0, maximum = 1000, description = "Begin with so many of the newest events; without `after`"),
        ("filter" = Option<String>, Query, description = "Only events that pass this filter", max_length = 2048, example = "type:open,click"),
        ("data" = Option<bool>, Query, description = "Whether `data` is wanted"),
        ("ticket" = Option<String>, Query, description = "In place of a token"),
        ("lastEventId" = Option<String>, Query, description = "Like the header `Last-Event-ID`, for libraries that cannot send it; also `Last-Event-ID`, `last-event-id`, `lastEventID`"),
        ("Last-Event-ID" = Option<String>, Header, description = "Begin after this cursor, whatever the query says"),
    ),
    responses((status = 200, description = "A stream", content_type = "text/event-stream", body = String), Refusals),
    security(("token" = []), ()),
)]
#[expect(dead_code, reason = "describes what `tail` answers")]
fn stream() {}

/// How a request says who sends it.
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

/// Where an event came from.
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
    /// Made from what was received, so the same event sent twice has the same id.
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    id: String,
    /// The list is open.
    #[schema(example = "click")]
    r#type: String,
    source: Source,
    /// The name of the key that verified it.
    #[schema(required)]
    webhook: Option<String>,
    /// When it happened, by the sender's word.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When it was stored; the order of the feed.
    #[schema(format = DateTime)]
    received_at: String,
    #[schema(required)]
    message_id: Option<String>,
    #[schema(required)]
    recipient: Option<String>,
    #[schema(required)]
    sender: Option<String>,
    #[schema(required)]
    subject: Option<String>,
    tags: Vec<String>,
    #[schema(required)]
    subaccount: Option<String>,
    #[schema(required)]
    template: Option<String>,
    /// The sender's own data.
    #[schema(value_type = Object)]
    metadata: (),
    detail: Detail,
    /// What was received, byte for byte; null when it was left out.
    #[schema(value_type = Value)]
    data: (),
    /// Present when something was left out for its size; `data` of the event by its id has the whole.
    #[schema(nullable = false)]
    truncated: Option<bool>,
    /// Where it stands in the feed.
    cursor: String,
}

/// What is worth showing for the type; absent fields are left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes domain::Detail")]
struct Detail {
    url: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    #[schema(value_type = Option<Object>)]
    location: Option<()>,
    diag: Option<String>,
    bounce_description: Option<String>,
    reason: Option<String>,
}

/// A page of the feed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what page::Page writes")]
pub(crate) struct Timeline {
    events: Vec<Event>,
    /// Where the next page goes on: the next `before`, and null on the last page; or the next
    /// `after`, and never null.
    #[schema(required)]
    next: Option<String>,
    /// Whether there is, or may be, more right now.
    more: bool,
    /// With `after`: whether everything after the cursor is still kept.
    #[schema(nullable = false)]
    recovered: Option<bool>,
}

/// A page of what happened to one message, oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what page::Page writes")]
pub(crate) struct History {
    events: Vec<Event>,
    /// The next `after`; null on the last page.
    #[schema(required)]
    next: Option<String>,
    /// Whether there is, or may be, more.
    more: bool,
}

/// An event to be published. All fields but `type` may be absent or null.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `publish` reads")]
pub(crate) struct NewEvent {
    /// None of Mandrill's types, and not `endpoint.…` or `delivery.…`.
    #[schema(
        pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
        example = "order.created"
    )]
    r#type: String,
    /// Any JSON, which is kept byte for byte.
    #[schema(value_type = Value, required = false)]
    data: (),
    /// The message that it is about, which then has it in its history.
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
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
    /// From 1970 to 2105; a fraction of a second is dropped. When absent, `received_at` is shown.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

/// One of an event's tags.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 100)]
#[expect(dead_code, reason = "describes what `publish` reads")]
struct Tag(String);

/// An event that is stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The event's id.
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    pub(crate) id: String,
}

/// The types of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventTypes {
    /// By name.
    pub(crate) types: Vec<EventType>,
    /// A type that was not seen was not seen since then; null when every event that is kept was
    /// looked at.
    #[schema(required, format = DateTime)]
    pub(crate) since: Option<String>,
}

/// A type of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventType {
    /// Its name.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What it means; null for a type that somebody else has made up.
    #[schema(required)]
    pub(crate) description: Option<&'static str>,
    /// When an event of it was stored last; null when there is none among those looked at.
    #[schema(required, format = DateTime)]
    pub(crate) last_seen: Option<String>,
}

/// What a ticket is to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `tickets` reads")]
pub(crate) struct NewTicket {
    /// Only events that pass it; ANDed with the token's.
    #[schema(max_length = 2048, example = "type:open")]
    filter: Option<String>,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ticket {
    /// Its text.
    pub(crate) ticket: String,
    /// Where to connect, with the ticket in it.
    pub(crate) url: String,
    /// Server-Sent Events, to which `?ticket=…` is to be added; null when the deployment is without.
    #[schema(required)]
    pub(crate) stream_url: Option<String>,
    /// Long poll, to which `?ticket=…` is to be added; null when the deployment is without.
    #[schema(required)]
    pub(crate) poll_url: Option<String>,
    /// Until when it can be used to connect.
    #[schema(format = DateTime)]
    pub(crate) expires_at: String,
}

/// That it runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`
    pub(crate) status: &'static str,
}

/// What API Gateway says by itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the gateway answers")]
pub(crate) struct GatewayMessage {
    message: String,
}

/// What every route with a token may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
pub(crate) enum Refusals {
    /// A parameter, a header or the body cannot be used; the message names it.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// No token, or one that is not valid (any more).
    #[response(status = 401)]
    Unauthorized(#[to_schema] Error),
    /// The token does not allow this.
    #[response(status = 403)]
    Forbidden(#[to_schema] Error),
    /// The body is a form, where JSON is read.
    #[response(status = 415)]
    Form(#[to_schema] Error),
    /// The line and the headers of the request are longer than 10 KB. This is API Gateway's.
    #[response(status = 431)]
    HeadersTooLarge(#[to_schema] GatewayMessage),
    /// It failed on our side; the message names the request.
    #[response(status = 500)]
    Internal(#[to_schema] Error),
    /// It could not be served now; try again.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}

/// What a route to one thing may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 404,
    description = "There is no such thing, or it is not kept any more"
)]
pub(crate) struct NotFound(#[to_schema] Error);

/// What a route may answer that stores something once for each key.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 409,
    description = "This Idempotency-Key was sent with another body"
)]
pub(crate) struct Conflict(#[to_schema] Error);

/// What a route with a body may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(status = 413, description = "The body is larger than it may be")]
pub(crate) struct TooLarge(#[to_schema] Error);
