//! Deliveries and attempts, as they are shown.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::error::Error;

/// An event that is owed, or was, to an endpoint. More fields may be added.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// Made of the event's and the endpoint's.
    #[schema(pattern = "^dlv_[0-9a-hjkmnp-tv-z_]+$")]
    pub(crate) id: String,
    /// Which event.
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    pub(crate) event_id: String,
    /// To whom.
    #[schema(pattern = "^ep_[0-9a-hjkmnp-tv-z]+$")]
    pub(crate) endpoint_id: String,
    /// The event's type.
    pub(crate) event_type: String,
    /// What has become of it.
    pub(crate) status: DeliveryStatus,
    /// How often it was tried.
    pub(crate) attempt_count: u16,
    /// When it was made.
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// When it is tried next, at the latest; null when it is not pending.
    #[schema(required, format = DateTime)]
    pub(crate) due_at: Option<String>,
    /// When it ended; null while it is pending.
    #[schema(required, format = DateTime)]
    pub(crate) settled_at: Option<String>,
}

/// What has become of a delivery.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeliveryStatus {
    /// It is owed.
    Pending,
    /// The endpoint has answered 2xx.
    Delivered,
    /// The last attempt has failed.
    Failed,
    /// The endpoint was deleted or disabled.
    Cancelled,
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deliveries {
    /// Newest first.
    pub(crate) deliveries: Vec<Delivery>,
    /// The next `before`; null on the last page.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// An event's deliveries.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventDeliveries {
    /// One for each endpoint that was to get it, by the endpoints' ids.
    pub(crate) deliveries: Vec<EventDelivery>,
    /// The next `after`; null on the last page.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// A delivery of an event, with its attempts.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventDelivery {
    #[serde(flatten)]
    pub(crate) delivery: Delivery,
    /// Newest first; those that are not kept any more are left out.
    pub(crate) attempts: Vec<Attempt>,
}

/// One request to an endpoint. More fields may be added.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    /// Which delivery.
    #[schema(pattern = "^dlv_[0-9a-hjkmnp-tv-z_]+$")]
    pub(crate) delivery_id: String,
    /// Which event.
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    pub(crate) event_id: String,
    /// From 1 on.
    pub(crate) number: u16,
    /// When it was made.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// How long it took.
    pub(crate) duration_ms: u64,
    /// The status of the answer; null when there was none.
    #[schema(required)]
    pub(crate) status: Option<u16>,
    /// What went wrong: `dns`, `refused`, `tls`, `timeout`, `status`, `blocked`, `reset` (the
    /// connection ended before there was a status), `not_http`, `missing` (the event is not kept any
    /// more), `other`; null when nothing did.
    #[schema(required)]
    pub(crate) error: Option<&'static str>,
    /// With the error `tls`, all that was wrong, as far as it is known: `self_signed`,
    /// `unknown_issuer`, `expired`, `not_yet_valid`, `wrong_host`, `revoked`, `bad_certificate`,
    /// `client_certificate` (the server wants one), `protocol` (no version or cipher that both sides
    /// take), `not_tls`, `closed` (during the handshake). Else empty.
    pub(crate) tls: Vec<&'static str>,
    /// Those headers of the answer that tell something.
    pub(crate) headers: BTreeMap<String, String>,
    /// What was answered, up to 16 KB; null when nothing was.
    #[schema(required)]
    pub(crate) body: Option<String>,
    /// Whether there was more of it.
    pub(crate) body_truncated: bool,
}

/// A page of attempts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempts {
    /// Newest first.
    pub(crate) attempts: Vec<Attempt>,
    /// The next `before`; null on the last page.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// What a manual retry may be refused with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(status = 409, description = "An attempt is under way at this moment")]
pub(crate) struct UnderWay(#[to_schema] Error);
