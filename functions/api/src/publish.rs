//! Events that somebody publishes.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use domain::event::{self, METADATA_BYTES, METADATA_LEVELS, TAGS};
use domain::{Content, EventId, Millis, Rights, Scope, Source};
use http::StatusCode;
use platform::clock;
use platform::http::HttpError;
use serde_json::value::RawValue;
use store::{Claim, NewEvent, Published};

use crate::body::{Fields, bad_field, has_length};
use crate::call::Call;
use crate::caller::holder;
use crate::response::{Refusal, object};
use crate::schema::{self, Accepted, Conflict, Refusals, TooLarge};
use crate::state::Shared;
use crate::{idempotency, kind};
use platform::parameters::{Parameters, bad};

/// What is larger belongs elsewhere, with its address in the event. Far below what Lambda takes, so
/// that `GET /v1/events/{id}` always gives it whole; lists leave `data` out of what is too large for
/// an item, and sockets of what is too large for a message.
pub(crate) const BODY_BYTES: usize = 1024 * 1024;
const FIELDS: [&str; 11] = [
    "type",
    "data",
    "message_id",
    "recipient",
    "sender",
    "subject",
    "tags",
    "subaccount",
    "template",
    "metadata",
    "occurred_at",
];
/// A line of mail has at most 998. (RFC 5322, section 2.1.1.)
const TEXT_CHARACTERS: usize = 1_000;
const TAG_CHARACTERS: usize = 100;

/// Publishes an event.
///
/// Clients receive it like Mandrill's events, with `source` `api`. The body has at most 1 MB. A token
/// with a filter publishes only events that match it (403).
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "publish_event",
    tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key and body store one event; needs a token with `sub`", min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    request_body = schema::NewEvent,
    responses(
        (
            status = 202,
            description = "The event is stored",
            body = Accepted,
            links(("event" = (operation_id = "get_event", parameters(("id" = "$response.body#/id"))))),
        ),
        Conflict,
        TooLarge,
        Refusals,
        (status = 400, description = "`missing_field`, `unknown_field`, `repeated_field`, `bad_field`: the message names the field. `bad_json`: the body is not a JSON object. `reserved_type`: the type belongs to Mandrill or Posthorn. `bad_idempotency_key`: the header is invalid, or the token has no `sub`", body = crate::schema::error::Error),
    ),
    security(("token" = ["write"])),
)]
pub(crate) async fn publish(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let holder = holder(&state, &call, Scope::Write).await?;
    Parameters::read(&call.query, &[])?;
    let key = idempotency::key(&call)?;
    if key.is_some() && holder.subject.is_empty() {
        // Whoever has such a token would share one set of keys with all the others.
        let message = "header `Idempotency-Key` needs a token with the claim `sub`";
        return Err(bad("bad_idempotency_key", message).into());
    }
    let fields = Fields::read(&call, &FIELDS, BODY_BYTES)?;
    let content = content(&fields)?;
    permit(&holder.rights, &content)?;
    if !holder.rights.filter.is_empty() && repeats_a_key(&fields) {
        // Filters find any of them: the event could pass another tenant's as well.
        return Err(bad_field("metadata", "an object whose keys differ in more than case").into());
    }
    let event = NewEvent {
        id: new_id(&content, &call)?,
        data: Cow::Borrowed(fields.json("data").map_or("null", RawValue::get)),
        content,
    };
    let claim = key.map(|key| Claim {
        id: idempotency::claim_id("key", &holder.subject.0, key),
        request: &call.body,
    });
    Ok(store(&state, &call, event, claim).await?)
}

/// Refuses an event that its publisher may not see: a token for one tenant writes nothing of another's.
pub(crate) fn permit(rights: &Rights, content: &Content<'_>) -> Result<(), HttpError> {
    if rights.sees(content) {
        return Ok(());
    }
    let message = "the event does not match the token's filter";
    Err(HttpError::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// Stores an event; answers 202 with the id under which it is stored, now or since before.
pub(crate) async fn store(
    state: &crate::State,
    call: &Call,
    event: NewEvent<'_>,
    claim: Option<Claim<'_>>,
) -> Result<Response, HttpError> {
    let published = state.publisher.publish(event, claim, clock::now).await;
    match published.map_err(|error| call.failed(&error))? {
        Published::Stored(id) => {
            let id = id.to_string();
            let mut answer = object(&Accepted { id });
            *answer.status_mut() = StatusCode::ACCEPTED;
            Ok(answer)
        }
        Published::Conflict => Err(idempotency::conflict()),
    }
}

/// An id that no event had before: with the others of its message, if it has one.
pub(crate) fn new_id(content: &Content<'_>, call: &Call) -> Result<EventId, HttpError> {
    let random: [u8; 16] = call.random()?;
    // The first part says what it is.
    let parts: [&[u8]; 2] = [b"random", &random];
    let ts = content.ts.unwrap_or(0);
    Ok(match &content.message_id {
        Some(id) => EventId::of_content(&mandrill::message_key(id), ts, &parts, 0),
        None => EventId::of_content(&parts, ts, &parts, 0),
    })
}

fn content(fields: &Fields<'_>) -> Result<Content<'static>, HttpError> {
    let text = |name| Ok::<_, HttpError>(fields.text(name, TEXT_CHARACTERS)?.map(Cow::Owned));
    Ok(Content {
        ts: occurred_at(fields)?,
        message_id: text("message_id")?,
        recipient: text("recipient")?,
        sender: text("sender")?,
        subject: text("subject")?,
        tags: tags(fields)?,
        subaccount: text("subaccount")?,
        template: text("template")?,
        metadata: metadata(fields)?,
        ..Content::new(kind(fields)?, Source::Api)
    })
}

fn kind(fields: &Fields<'_>) -> Result<String, HttpError> {
    let kind: Option<String> = fields.value("type", kind::RULE)?;
    let kind = kind.ok_or_else(|| bad("missing_field", "field `type` is missing"))?;
    if !kind::is_valid(&kind) {
        return Err(bad_field("type", kind::RULE));
    }
    kind::refuse_reserved(&kind)?;
    Ok(kind)
}

fn tags(fields: &Fields<'_>) -> Result<Vec<Cow<'static, str>>, HttpError> {
    let what = "a list of at most 100 strings of 1 to 100 characters";
    let tags: Vec<String> = fields.value("tags", what)?.unwrap_or_default();
    if tags.len() > TAGS || !tags.iter().all(|tag| has_length(tag, TAG_CHARACTERS)) {
        return Err(bad_field("tags", what));
    }
    Ok(tags.into_iter().map(Cow::Owned).collect())
}

fn metadata_bounds() -> String {
    format!("an object of at most {METADATA_BYTES} bytes and {METADATA_LEVELS} levels")
}

/// As it came; none when there is nothing in it.
fn metadata(fields: &Fields<'_>) -> Result<Option<Cow<'static, RawValue>>, HttpError> {
    let Some(object) = fields.json("metadata") else {
        return Ok(None);
    };
    let inner = object
        .get()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or_else(|| bad_field("metadata", &metadata_bounds()))?;
    let is_empty = inner.trim().is_empty();
    // Refused instead of cut: unlike Mandrill's, it stands nowhere else.
    if !event::is_bounded(object) {
        return Err(bad_field("metadata", &metadata_bounds()));
    }
    Ok((!is_empty).then(|| Cow::Owned(object.to_owned())))
}

/// Whether filters would find two values of one key.
fn repeats_a_key(fields: &Fields<'_>) -> bool {
    let metadata = fields.json("metadata");
    metadata.is_some_and(|object| domain::filter::repeats_a_key(object.get()))
}

/// Whole seconds, as Mandrill's times are.
fn occurred_at(fields: &Fields<'_>) -> Result<Option<u32>, HttpError> {
    let what = "a time from 1970 to 2105, such as 2026-11-22T01:02:03Z";
    let Some(text) = fields.value::<Cow<'_, str>>("occurred_at", what)? else {
        return Ok(None);
    };
    let years = "1970".."2106";
    let is_near = text.get(..4).is_some_and(|year| years.contains(&year));
    let time = Millis::from_rfc3339(&text).filter(|_| is_near);
    let seconds = time.and_then(|time| u32::try_from(time.as_secs()).ok());
    seconds
        .map(Some)
        .ok_or_else(|| bad_field("occurred_at", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Content<'static>, HttpError> {
        let call = Call {
            body: body.as_bytes().to_vec().into(),
            ..Call::default()
        };
        content(&Fields::read(&call, &FIELDS, BODY_BYTES)?)
    }

    #[test]
    fn the_types_of_others_are_refused_in_any_case() {
        let documented = mandrill::KINDS.iter().map(|kind| kind.name);
        for kind in documented.chain([
            "unknown",
            "Open",
            "HARD_BOUNCE",
            "denylist_add",
            "allowlist_remove",
            "blacklist_whatever",
            "endpoint.disabled",
            "Delivery.exhausted",
        ]) {
            let error = read(&format!(r#"{{"type":"{kind}"}}"#)).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, "reserved_type"));
            assert!(error.message.contains(kind), "{}", error.message);
        }
        for kind in [
            "order.created",
            "opened",
            "endpoints",
            "a",
            "_x-1",
            &"k".repeat(64),
        ] {
            assert_eq!(read(&format!(r#"{{"type":"{kind}"}}"#)).unwrap().kind, kind);
        }
    }

    #[test]
    fn what_is_wrong_with_a_field_is_said_by_its_name() {
        let long = "x".repeat(TEXT_CHARACTERS + 1);
        for (body, code, name) in [
            ("{}", "missing_field", "type"),
            (r#"{"type":null}"#, "missing_field", "type"),
            (r#"{"type":7}"#, "bad_field", "type"),
            (r#"{"type":"two words"}"#, "bad_field", "type"),
            (r#"{"type":".x"}"#, "bad_field", "type"),
            (r#"{"type":"größe"}"#, "bad_field", "type"),
            (r#"{"type":""}"#, "bad_field", "type"),
            (
                &format!(r#"{{"type":"{}"}}"#, "x".repeat(65)),
                "bad_field",
                "type",
            ),
            (r#"{"type":"a","colour":1}"#, "unknown_field", "colour"),
            (r#"{"type":"a","type":"a"}"#, "repeated_field", "type"),
            (r#"{"type":"a","subject":""}"#, "bad_field", "subject"),
            (
                &format!(r#"{{"type":"a","sender":"{long}"}}"#),
                "bad_field",
                "sender",
            ),
            (
                r#"{"type":"a","recipient":["x"]}"#,
                "bad_field",
                "recipient",
            ),
            (r#"{"type":"a","tags":"x"}"#, "bad_field", "tags"),
            (r#"{"type":"a","tags":[""]}"#, "bad_field", "tags"),
            (
                &format!(r#"{{"type":"a","tags":[{}"x"]}}"#, r#""x","#.repeat(100)),
                "bad_field",
                "tags",
            ),
            (r#"{"type":"a","metadata":[]}"#, "bad_field", "metadata"),
            (r#"{"type":"a","metadata":"{}"}"#, "bad_field", "metadata"),
            (
                &format!(
                    r#"{{"type":"a","metadata":{{"a":"{}"}}}}"#,
                    "x".repeat(METADATA_BYTES)
                ),
                "bad_field",
                "16384 bytes",
            ),
            (
                &format!(
                    r#"{{"type":"a","metadata":{{"a":{}{}}}}}"#,
                    "[".repeat(1_000),
                    "]".repeat(1_000)
                ),
                "bad_field",
                "16 levels",
            ),
            (
                r#"{"type":"a","occurred_at":1}"#,
                "bad_field",
                "occurred_at",
            ),
            (
                r#"{"type":"a","occurred_at":"1969-12-31T23:59:59Z"}"#,
                "bad_field",
                "occurred_at",
            ),
            (
                r#"{"type":"a","occurred_at":"2106-01-01T00:00:00Z"}"#,
                "bad_field",
                "occurred_at",
            ),
            ("[]", "bad_json", "object"),
            ("nonsense", "bad_json", "object"),
            (r#"{"type":"a"} x"#, "bad_json", "object"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, code), "{body}");
            assert!(error.message.contains(name), "{}", error.message);
        }
    }

    #[test]
    fn what_is_at_its_limit_is_taken() {
        let text = "ü".repeat(TEXT_CHARACTERS);
        let tags = vec![format!("\"{}\"", "ü".repeat(TAG_CHARACTERS)); TAGS].join(",");
        let body = format!(
            r#"{{"type":"a","subject":"{text}","sender":null,"tags":[{tags}],"metadata":{{ "b": 1.50 }},"occurred_at":"1970-01-01T00:00:07.9Z"}}"#
        );
        let content = read(&body).unwrap();
        assert_eq!(content.subject.unwrap(), text);
        assert_eq!((content.tags.len(), content.ts), (TAGS, Some(7)));
        assert_eq!(content.metadata.unwrap().get(), r#"{ "b": 1.50 }"#);
        assert!(
            read(r#"{"type":"a","metadata":{ }}"#)
                .unwrap()
                .metadata
                .is_none()
        );
    }

    #[test]
    fn an_id_is_new_each_time_and_with_the_others_of_its_message() {
        let content = read(r#"{"type":"a","message_id":"m"}"#).unwrap();
        let new = || new_id(&content, &Call::default()).unwrap();
        assert_ne!(new(), new());
        let partition = EventId::partition_of(&mandrill::message_key("m"));
        assert_eq!(new().partition(), partition);
    }
}
