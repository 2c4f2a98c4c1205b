//! Endpoints, as they are asked for and shown.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use super::error::Error;

/// Where events are sent. More fields may be added.
#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoint {
    /// Its id.
    #[schema(pattern = "^ep_[0-9a-hjkmnp-tv-z]+$")]
    pub(crate) id: String,
    /// Where to.
    pub(crate) url: String,
    /// What it is for.
    pub(crate) description: String,
    /// Which events it gets; all of them when empty.
    pub(crate) filter: String,
    /// Which types it gets, ANDed with `filter`; all of them when empty.
    pub(crate) event_types: Vec<String>,
    /// Headers of every request. Their values are never shown.
    #[schema(example = json!({"authorization": "***"}))]
    pub(crate) headers: BTreeMap<String, &'static str>,
    /// The seconds from one attempt to the next; as many attempts as there are steps, and one.
    pub(crate) retry_schedule: Vec<u32>,
    /// The most attempts of a second; null for no bound.
    #[schema(required, minimum = 1, maximum = 1000)]
    pub(crate) rate_limit: Option<u32>,
    /// Whether it gets events.
    pub(crate) status: EndpointStatus,
    /// Why it gets none.
    #[schema(required)]
    pub(crate) disabled_reason: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// When something of it was changed last.
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
    /// The secrets that sign, newest first. Their texts are never shown again.
    pub(crate) secrets: Vec<Secret>,
    /// How it has answered lately.
    pub(crate) health: EndpointHealth,
}

/// Whether an endpoint gets events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EndpointStatus {
    /// It does.
    Enabled,
    /// It does not.
    Disabled,
}

/// A secret that signs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Secret {
    /// When it was made.
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// Until when it signs; null for the newest.
    #[schema(required, format = DateTime)]
    pub(crate) expires_at: Option<String>,
}

/// How an endpoint has answered lately.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointHealth {
    /// `ok`; `failing`; `open`: nothing is sent for a while, since attempts keep failing;
    /// `half_open`: one attempt is to tell; `strained`: it is slow and gets a few attempts at once.
    #[schema(pattern = "^[a-z_]+$")]
    pub(crate) state: &'static str,
    /// How many attempts have failed since the last that succeeded.
    pub(crate) consecutive_failures: u32,
    /// Since when; null when the last attempt succeeded.
    #[schema(required, format = DateTime)]
    pub(crate) failing_since: Option<String>,
}

/// An endpoint that was just made, with its secrets, which are shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedEndpoint {
    #[serde(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Signs what the endpoint gets.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/=]+$")]
    pub(crate) secret: String,
    /// Signs what is posted to `POST /v1/ingest/{endpoint_id}`.
    #[schema(pattern = "^whin_[0-9a-z]+$")]
    pub(crate) ingest_secret: String,
}

/// An endpoint with its new secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedEndpoint {
    #[serde(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Signs what the endpoint gets from now on, beside those that have not expired.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/=]+$")]
    pub(crate) secret: String,
}

/// A page of endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoints {
    /// By their ids.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The next `after`; null on the last page.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// A new endpoint. All fields but `url` may be absent or null.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct NewEndpoint {
    /// `https`, without a user name, and no address that is not public.
    #[schema(max_length = 2048, example = "https://shop.example/hooks")]
    url: String,
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Which events it gets; all of them when empty.
    #[schema(max_length = 2048, example = "type:hard_bounce,soft_bounce")]
    filter: Option<String>,
    #[schema(value_type = Option<Vec<Kind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Headers of every request: names and values, at most 20.
    #[schema(example = json!({"authorization": "Bearer abc"}))]
    headers: Option<HashMap<String, String>>,
    #[schema(value_type = Option<Schedule>)]
    retry_schedule: Option<()>,
    /// The most attempts of a second.
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
}

/// What is to change of an endpoint: what is absent stays, and null is like in a new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct ChangedEndpoint {
    #[schema(nullable = false, max_length = 2048)]
    url: Option<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
    #[schema(max_length = 2048)]
    filter: Option<String>,
    #[schema(value_type = Option<Vec<Kind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    headers: Option<HashMap<String, String>>,
    #[schema(value_type = Option<Schedule>)]
    retry_schedule: Option<()>,
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
}

/// A type of events; `*` at either end stands for anything.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 128, example = "hard_bounce")]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
struct Kind(String);

/// When an attempt that failed is followed by another.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
enum Schedule {
    /// A schedule by its name.
    Named(NamedSchedule),
    /// Its steps.
    Steps(Steps),
}

/// The seconds from one attempt to the next, each 1 to 604,800 (a week).
#[derive(Deserialize, ToSchema)]
#[schema(max_items = 20)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
struct Steps(Vec<Step>);

/// Seconds.
#[derive(Deserialize, ToSchema)]
#[schema(minimum = 1, maximum = 604_800)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
struct Step(u32);

/// A schedule by its name.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NamedSchedule {
    /// 10 s, 30 s, 1 min, 5 min, 15 min
    Default,
    /// 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h
    Standard,
}

/// How a secret is to be replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Rotation {
    /// For how many hours the secret before signs as well; 24 when absent.
    #[schema(minimum = 0, maximum = 168)]
    overlap_hours: Option<u32>,
}

/// Why an endpoint is disabled.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Disabling {
    /// Shown as `disabled_reason`; `manual` when absent.
    #[schema(min_length = 1, max_length = 200)]
    reason: Option<String>,
}

/// Failed deliveries that are to be tried once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Recovery {
    /// Those that have failed at this time or later.
    #[schema(format = DateTime)]
    since: String,
    /// The `next` of the answer before.
    after: Option<String>,
}

/// Events that are to be delivered if they were not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Replay {
    /// Those that were received at this time or later.
    #[schema(format = DateTime)]
    since: String,
    /// Only those that pass it, of those that the endpoint gets.
    #[schema(max_length = 2048)]
    filter: Option<String>,
    /// The `next` of the answer before.
    after: Option<String>,
}

/// How far a piece of work came.
#[derive(Serialize, ToSchema)]
pub(crate) struct Piece {
    /// How many deliveries were brought under way.
    pub(crate) count: usize,
    /// The `after` with which to ask for the rest; null when everything was looked at.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// What a route may answer that makes an endpoint.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 409,
    description = "There are as many endpoints as there may be"
)]
pub(crate) struct TooMany(#[to_schema] Error);

/// What a route may answer that changes an endpoint.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 409,
    description = "It does not allow this as it is, or somebody else has just changed it"
)]
pub(crate) struct Unfit(#[to_schema] Error);
