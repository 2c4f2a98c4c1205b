//! Deliveries and attempts in answers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::error::Error;

/// The delivery of one event to one endpoint. Fields may be added.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// Derived from the event id and the endpoint id.
    #[schema(pattern = "^dlv_[0-9a-hjkmnp-tv-z_]+$")]
    pub(crate) id: String,
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    pub(crate) event_id: String,
    #[schema(pattern = "^ep_[0-9a-hjkmnp-tv-z]+$")]
    pub(crate) endpoint_id: String,
    pub(crate) event_type: String,
    /// `delivered`: the endpoint answered 2xx; `failed`: the last attempt failed; `cancelled`: the
    /// endpoint was disabled or deleted.
    pub(crate) status: DeliveryStatus,
    pub(crate) attempt_count: u16,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// The latest time of the next attempt; null unless pending. An attempt due within 15 minutes is
    /// queued already; its `due_at` is ten minutes later, in case the queue message is lost.
    #[schema(required, format = DateTime)]
    pub(crate) due_at: Option<String>,
    /// When the delivery ended; null while pending.
    #[schema(required, format = DateTime)]
    pub(crate) settled_at: Option<String>,
}

/// The state of a delivery.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeliveryStatus {
    /// An attempt is scheduled or queued.
    Pending,
    /// The endpoint answered 2xx.
    Delivered,
    /// The last attempt failed.
    Failed,
    /// The endpoint was disabled or deleted.
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
    /// One for each endpoint that was to receive the event, ordered by endpoint id.
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
    /// Newest first, without expired ones.
    pub(crate) attempts: Vec<Attempt>,
}

/// One request to an endpoint. Fields may be added.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attempt {
    #[schema(pattern = "^dlv_[0-9a-hjkmnp-tv-z_]+$")]
    pub(crate) delivery_id: String,
    #[schema(pattern = "^evt_[0-9a-hjkmnp-tv-z]{39}$")]
    pub(crate) event_id: String,
    /// The attempt's number within its delivery, from 1.
    pub(crate) number: u16,
    #[schema(format = DateTime)]
    pub(crate) at: String,
    pub(crate) duration_ms: u64,
    /// The HTTP status of the answer; null if there was none.
    #[schema(required)]
    pub(crate) status: Option<u16>,
    /// Null for 2xx, else one of `dns`, `refused`, `tls`, `timeout`, `status` (not 2xx), `reset` (the
    /// connection ended before a status line), `not_http` (the answer is not HTTP/1), `blocked` (the
    /// address is not public), `missing` (the event has expired), `other`.
    #[schema(required)]
    pub(crate) error: Option<&'static str>,
    /// Every known fault if `error` is `tls`, else empty: `self_signed`, `unknown_issuer` (no public
    /// authority, or an incomplete chain), `expired`, `not_yet_valid`, `wrong_host`, `revoked`,
    /// `bad_certificate`, `client_certificate` (the server requires one), `protocol` (no common version
    /// or cipher), `not_tls`, `closed` (during the handshake).
    pub(crate) tls: Vec<&'static str>,
    /// Of the answer, up to 500 bytes each: `allow`, `content-length`, `content-type`, `date`,
    /// `location`, `retry-after`, `server`, `via`, `www-authenticate`, `x-request-id`.
    pub(crate) headers: BTreeMap<String, String>,
    /// The answer's body, up to 16 KB; null if there was no answer.
    #[schema(required)]
    pub(crate) body: Option<String>,
    /// Whether the answer's body was longer.
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

/// The answer to a retry during an attempt.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 409,
    description = "`attempt_under_way`: an attempt is in progress"
)]
pub(crate) struct UnderWay(#[to_schema] Error);
