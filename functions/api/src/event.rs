//! One event, whole.

use domain::{Event, EventId, Feed, Rights};
use lambda_http::{Request, RequestExt};
use platform::clock;
use platform::http::HttpError;
use store::StoreError;

use crate::history::{bad, unknown_parameter};
use crate::{Deps, not_found};

/// Lambda's answers have 6 MB ("Lambda quotas": invocation payload), a few hundred bytes of which
/// are headers.
const ANSWER_BYTES: usize = 6 * 1024 * 1024 - 4 * 1024;

/// The text of the event with this id.
pub(crate) async fn text(
    deps: &Deps,
    request_id: &str,
    request: &Request,
    rights: &Rights,
    id: &str,
) -> Result<String, HttpError> {
    let parameters = request.query_string_parameters_ref();
    if let Some((name, _)) = parameters.and_then(|parameters| parameters.iter().next()) {
        return Err(unknown_parameter(name));
    }
    let id: EventId = id
        .parse()
        .map_err(|_| bad("bad_id", "this is not an event's id".to_owned()))?;
    let event = deps.events.get(id, clock::now()).await;
    match event {
        Ok(Some(event)) if rights.sees(&event.content) => {
            Ok(answer(&rights.show(&event), &deps.feed))
        }
        // What the holder may not see is not there for them.
        Ok(Some(_) | None) => Err(not_found(
            "there is no event with this id, or it is not kept any more",
        )),
        Err(error @ StoreError::Corrupt(_)) => Err(HttpError::internal(request_id, &error)),
        Err(error) => Err(HttpError::unavailable(request_id, &error)),
    }
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
