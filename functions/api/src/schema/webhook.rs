//! Where Mandrill posts, which another function answers.

use utoipa::{IntoResponses, ToSchema};

use super::error::Error;

/// That the webhook is there.
///
/// Mandrill asks this before it makes a key. The path is the deployment's parameter `WebhookPath`, of
/// which this is the default.
#[utoipa::path(
    head,
    path = "/mandrill",
    operation_id = "probe_webhook",
    tag = "webhook",
    responses((status = 200, description = "It is there")),
    security(()),
)]
#[expect(dead_code, reason = "describes what `webhook` answers")]
pub(crate) fn probe() {}

/// A batch of Mandrill's events.
#[utoipa::path(
    post,
    path = "/mandrill",
    operation_id = "receive_batch",
    tag = "webhook",
    params(
        ("X-Mandrill-Signature" = Option<String>, Header, description = "The base64 of HMAC-SHA1 over the URL and the sorted fields, under the webhook's key"),
    ),
    request_body(content = Batch, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Every event is stored, now or since before"), Answers),
    security(()),
)]
#[expect(dead_code, reason = "describes what `webhook` answers")]
pub(crate) fn receive() {}

/// What Mandrill posts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `webhook` reads")]
struct Batch {
    /// The text of a JSON array of events.
    #[schema(example = "[]")]
    mandrill_events: String,
}

/// What the webhook may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `webhook` answers")]
enum Answers {
    /// The field is missing or repeated, or holds no JSON array.
    #[response(status = 400)]
    NoBatch(#[to_schema] Error),
    /// The signature is missing, malformed or wrong, or the URL secret is.
    #[response(status = 403)]
    Forbidden(#[to_schema] Error),
    /// The body is no form.
    #[response(status = 415)]
    NoForm(#[to_schema] Error),
    /// Not everything could be stored. Mandrill sends it again.
    #[response(status = 500)]
    Internal(#[to_schema] Error),
    /// Not everything could be stored, or neither a key nor a URL secret is configured.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}
