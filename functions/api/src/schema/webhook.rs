//! Mandrill's webhook, which the function `webhook` serves.

use utoipa::{IntoResponses, ToSchema};

use super::error::Error;

/// Answers Mandrill's probe for the webhook.
///
/// Mandrill probes before it creates a key. The template's `WebhookPath` sets the path; this is the
/// default.
#[utoipa::path(
    head,
    path = "/mandrill",
    operation_id = "probe_webhook",
    tag = "webhook",
    responses((status = 200, description = "The webhook exists")),
    security(()),
)]
#[expect(dead_code, reason = "describes what `webhook` answers")]
pub(crate) fn probe() {}

/// Receives a batch of Mandrill's events.
#[utoipa::path(
    post,
    path = "/mandrill",
    operation_id = "receive_batch",
    tag = "webhook",
    params(
        ("X-Mandrill-Signature" = Option<String>, Header, description = "Base64 of HMAC-SHA1 over the URL and the sorted fields, under the webhook's key"),
    ),
    request_body(content = Batch, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Every event is stored, now or earlier; also the empty batch with which Mandrill tests a webhook"), Answers),
    security(()),
)]
#[expect(dead_code, reason = "describes what `webhook` answers")]
pub(crate) fn receive() {}

/// Mandrill's form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `webhook` reads")]
struct Batch {
    /// The text of a JSON array of events.
    #[schema(example = "[]")]
    mandrill_events: String,
}

/// Errors of the webhook.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what `webhook` answers")]
enum Answers {
    /// `not_a_batch`: a JSON body, sent by hand, is not an array. Never for a form.
    #[response(status = 400)]
    NoBatch(#[to_schema] Error),
    /// `bad_signature`: the signature or the URL secret is missing, malformed or wrong.
    #[response(status = 403)]
    Forbidden(#[to_schema] Error),
    /// `unsupported_media_type`: the body is not a form, or is JSON without a configured URL secret.
    #[response(status = 415)]
    NoForm(#[to_schema] Error),
    /// `internal`: not every event was stored. Mandrill retries, which is harmless.
    #[response(status = 500)]
    Internal(#[to_schema] Error),
    /// `unavailable`: not every event was stored. `not_configured`: the deployment has neither a key nor
    /// a URL secret.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}
