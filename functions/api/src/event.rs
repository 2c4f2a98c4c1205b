//! One event, whole.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::{Event, EventId, Feed, Scope};
use platform::clock;
use platform::http::HttpError;
use store::StoreError;

use crate::call::{Call, path_id};
use crate::caller::holder;
use crate::response::{Refusal, json, not_found};
use crate::schema::{self, NotFound, Refusals};
use crate::state::Shared;
use platform::parameters::Parameters;

/// Lambda's answers have 6 MB ("Lambda quotas": invocation payload), a few hundred bytes of which
/// are headers.
const ANSWER_BYTES: usize = 6 * 1024 * 1024 - 4 * 1024;

/// Returns one event with its complete `data`.
///
/// An event that the token's filter hides is 404. `truncated` means that fields were cut, whose whole
/// is in `data`; or, if `data` is null, that the answer exceeds Lambda's 6 MB or the event's object in
/// S3 is missing.
#[utoipa::path(
    get,
    path = "/v1/events/{id}",
    operation_id = "get_event",
    tag = "events",
    params(("id" = String, Path, description = "Event id", example = "evt_927d41s94qzwedc13x44eb6hywr04x69ry1bwkw")),
    responses((status = 200, description = "The event", body = schema::Event), NotFound, Refusals, (status = 400, description = "`bad_id`: the path has no event id", body = crate::schema::error::Error)),
    security(("token" = ["read"])),
)]
pub(crate) async fn one(
    State(state): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    call: Call,
) -> Result<Response, Refusal> {
    let now = clock::now();
    let holder = holder(&state, &call, Scope::Read).await?;
    Parameters::read(&call.query, &[])?;
    let id: EventId = path_id(id, "an event id")?;
    let event = state
        .events
        .get(id, now)
        .await
        .map_err(|error| match error {
            StoreError::Corrupt(_) => HttpError::internal(&call.request_id, &error),
            _ => HttpError::unavailable(&call.request_id, &error),
        })?;
    let event = event
        .filter(|event| holder.rights.sees(&event.content))
        .ok_or_else(|| not_found("no event has this id, or it has expired"))?;
    Ok(json(answer(&holder.rights.show(&event), &state.feed)))
}

/// The event as JSON, without `data` if Lambda would not let it through.
fn answer(event: &Event<'_>, feed: &Feed) -> String {
    let text = event.to_json(feed);
    if escaped_bytes(&text) <= ANSWER_BYTES {
        return text;
    }
    tracing::warn!(event.id = %event.id, body_bytes = text.len(), "An event is too large for an answer.");
    // Nothing grows to more than twice its size.
    event.to_json_within(feed, true, ANSWER_BYTES / 2)
}

/// How long a JSON text is as a string within JSON, as which Lambda takes it.
fn escaped_bytes(json: &str) -> usize {
    // What else would be escaped stands in no JSON text.
    let escaped = |byte: &u8| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t');
    json.len() + json.bytes().filter(escaped).count()
}

#[cfg(test)]
mod tests {
    use domain::{Content, Millis, Source};

    use super::*;

    fn event(data: String) -> Event<'static> {
        Event {
            id: EventId::of_content(&[b"m"], 1, &[b"f"], 0),
            received_at: Millis(1_795_300_005_123),
            content: Content::new("inbound", Source::Mandrill),
            data: Some(data.into()),
        }
    }

    #[test]
    fn an_event_is_whole_as_long_as_lambda_lets_it_through() {
        let feed = Feed::new("f");
        let large = event(format!("\"{}\"", "x".repeat(6_200_000)));
        assert_eq!(answer(&large, &feed), large.to_json(&feed));
        let larger = event(format!("[{}1]", "\"\",".repeat(1_300_000)));
        let text = answer(&larger, &feed);
        assert!(text.contains(r#""data":null,"truncated":true"#));
    }

    #[test]
    fn escapes_are_counted_as_serde_writes_them() {
        let text = "{\"a\" :\t[\"\\u00e4\\\\ü\u{7f}\"],\r\n\"b\":1}";
        let escaped = serde_json::to_string(text).unwrap();
        assert_eq!(escaped_bytes(text), escaped.len() - 2);
    }
}
