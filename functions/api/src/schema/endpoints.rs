//! Endpoints in requests and answers.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use super::error::Error;

/// A URL that receives webhooks. Fields may be added.
#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoint {
    #[schema(pattern = "^ep_[0-9a-hjkmnp-tv-z]+$")]
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) description: String,
    /// Which events the endpoint receives; empty matches every event.
    pub(crate) filter: String,
    /// Which types the endpoint receives, ANDed with `filter`; empty matches every type.
    pub(crate) event_types: Vec<String>,
    /// Headers sent with every request; values are shown as `***`.
    #[schema(example = json!({"authorization": "***"}))]
    pub(crate) headers: BTreeMap<String, &'static str>,
    /// Seconds between attempts; one attempt more than there are steps.
    pub(crate) retry_schedule: Vec<u32>,
    /// Attempts per second; null for no limit.
    #[schema(required, minimum = 1, maximum = 1000)]
    pub(crate) rate_limit: Option<u32>,
    pub(crate) status: EndpointStatus,
    /// `gone` (the endpoint answered 410), `failing` (five days without a success), or the `reason` given
    /// to `disable`; null while enabled.
    #[schema(required)]
    pub(crate) disabled_reason: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
    /// The signing secrets, newest first, without their values.
    pub(crate) secrets: Vec<Secret>,
    pub(crate) health: EndpointHealth,
}

/// Whether an endpoint receives events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EndpointStatus {
    /// The endpoint receives events.
    Enabled,
    /// The endpoint receives nothing.
    Disabled,
}

/// A signing secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct Secret {
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// Until when the secret signs; null for the newest.
    #[schema(required, format = DateTime)]
    pub(crate) expires_at: Option<String>,
}

/// The health of an endpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndpointHealth {
    /// `ok`; `failing`: the last attempt failed; `open`: circuit breaker open, no attempts for a while;
    /// `half_open`: one attempt probes the endpoint; `strained`: the endpoint is slow and limited to four
    /// concurrent attempts.
    #[schema(pattern = "^[a-z_]+$")]
    pub(crate) state: &'static str,
    /// Failed attempts since the last success.
    pub(crate) consecutive_failures: u32,
    /// Null if the last attempt succeeded.
    #[schema(required, format = DateTime)]
    pub(crate) failing_since: Option<String>,
}

/// A new endpoint with its secrets.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedEndpoint {
    #[serde(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Signs the requests to the endpoint.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/=]+$")]
    pub(crate) secret: String,
    /// Signs the requests to `POST /v1/ingest/{endpoint_id}`.
    #[schema(pattern = "^whin_[0-9a-z]+$")]
    pub(crate) ingest_secret: String,
}

/// An endpoint with its new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedEndpoint {
    #[serde(flatten)]
    pub(crate) endpoint: Endpoint,
    /// Signs from now on, beside older secrets that have not expired.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/=]+$")]
    pub(crate) secret: String,
}

/// A page of endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct Endpoints {
    /// Ordered by id.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The next `after`; null on the last page.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// A new endpoint. Null fields count as absent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct NewEndpoint {
    /// `https://`, without user name, password or fragment, and a public host. `http://` and private
    /// hosts only if the template's `AllowPrivateEndpoints` is `true`, as on the local stack.
    #[schema(max_length = 2048, example = "https://shop.example/hooks")]
    url: String,
    /// At most 1,000 bytes.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Which events the endpoint receives; default every event.
    #[schema(max_length = 2048, example = "type:hard_bounce,soft_bounce")]
    filter: Option<String>,
    /// Which types the endpoint receives, ANDed with `filter`; `*` at either end is a wildcard.
    #[schema(value_type = Option<Vec<Kind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// At most 20 headers sent with every request: names up to 100 bytes, values up to 2,048 bytes of
    /// printable ASCII. Names are sent in lower case; reserved ones are refused.
    #[schema(example = json!({"authorization": "Bearer abc"}))]
    headers: Option<HashMap<String, String>>,
    /// `default` (10 s, 30 s, 1 min, 5 min, 15 min), `standard` (5 s, 5 min, 30 min, 2 h, 5 h, 10 h,
    /// 14 h, 20 h, 24 h), or up to 20 waits in seconds, each 1 to 604,800 (a week); `[]` means one
    /// attempt.
    #[schema(value_type = Option<Schedule>)]
    retry_schedule: Option<()>,
    /// Attempts per second; default no limit.
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
}

/// Changes to an endpoint, with the fields of a new one: absent fields stay, null resets a field to its
/// default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct ChangedEndpoint {
    /// On another host, port or scheme, `headers` must be given anew with their values, or as null.
    #[schema(nullable = false, max_length = 2048)]
    url: Option<String>,
    #[schema(max_length = 1000)]
    description: Option<String>,
    #[schema(max_length = 2048)]
    filter: Option<String>,
    #[schema(value_type = Option<Vec<Kind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Replaces all headers; the value `***` keeps the stored one.
    headers: Option<HashMap<String, String>>,
    #[schema(value_type = Option<Schedule>)]
    retry_schedule: Option<()>,
    #[schema(minimum = 1, maximum = 1000)]
    rate_limit: Option<u32>,
}

/// An event type; `*` at either end is a wildcard.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 128, example = "hard_bounce")]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
struct Kind(String);

/// When failed attempts are retried.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
enum Schedule {
    /// A schedule by its name.
    Named(NamedSchedule),
    /// The steps.
    Steps(Steps),
}

/// Seconds between attempts, each 1 to 604,800 (a week).
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

/// How to replace a signing secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Rotation {
    /// For how many hours older secrets sign as well, at most; default 24. With 0, as after a leak, the
    /// new secret signs alone from now on.
    #[schema(minimum = 0, maximum = 168)]
    overlap_hours: Option<u32>,
}

/// Why to disable an endpoint.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Disabling {
    /// Becomes `disabled_reason`; default `manual`.
    #[schema(min_length = 1, max_length = 200)]
    reason: Option<String>,
}

/// The failed deliveries to retry.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Recovery {
    /// Deliveries that failed at this time or later.
    #[schema(format = DateTime)]
    since: String,
    /// The `next` of the previous answer.
    after: Option<String>,
}

/// The missed events to deliver.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `endpoints` reads")]
pub(crate) struct Replay {
    /// Events received at this time or later; not before deliveries expire (seven days and twice the
    /// endpoint's schedule, or `AttemptRetentionHours` if longer).
    #[schema(format = DateTime)]
    since: String,
    /// ANDed with the endpoint's filter.
    #[schema(max_length = 2048)]
    filter: Option<String>,
    /// The `next` of the previous answer.
    after: Option<String>,
}

/// The progress of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct Piece {
    /// How many deliveries this request started.
    pub(crate) count: usize,
    /// The `after` of the next request; null when done.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

/// The answer at the limit of endpoints.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(status = 409, description = "`too_many_endpoints`: there are 1,000")]
pub(crate) struct TooMany(#[to_schema] Error);

/// The answer to a concurrent change.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes what is answered")]
#[response(
    status = 409,
    description = "`conflict`: another request changed the endpoint at the same time; try again"
)]
pub(crate) struct Unfit(#[to_schema] Error);
