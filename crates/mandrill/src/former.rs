//! The event identity of earlier versions, which covered fewer fields.
//!
//! Mandrill retries a batch for up to nine hours if the response is lost. After an upgrade, such a retry
//! is recognised as a duplicate by the identity under which its events were stored. This file can be
//! deleted when no deployment upgrades from those versions any more.

use serde_json::value::RawValue;

use crate::facts::message_key;
use crate::fields::{Msg, Top, recipient};
use crate::json::string;
use crate::kind::{UNKNOWN, kind};
use crate::raw::RawEvent;

/// The two inputs of an event id: the key of its message, and the fingerprint that distinguishes the
/// event from others of the same message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerIdentity {
    message: [Vec<u8>; 2],
    fingerprint: [Vec<u8>; 7],
}

impl RawEvent<'_> {
    /// What ids were made of before [`Facts::fingerprint`](crate::Facts::fingerprint).
    pub fn former_identity(&self) -> FormerIdentity {
        FormerIdentity::read(self)
    }
}

impl FormerIdentity {
    /// The earlier [`Facts::message_key`](crate::Facts::message_key).
    #[must_use]
    pub fn message_key(&self) -> [&[u8]; 2] {
        self.message.each_ref().map(Vec::as_slice)
    }

    /// The earlier [`Facts::fingerprint`](crate::Facts::fingerprint).
    #[must_use]
    pub fn fingerprint(&self) -> [&[u8]; 7] {
        self.fingerprint.each_ref().map(Vec::as_slice)
    }

    fn read(event: &RawEvent<'_>) -> Self {
        let top = Top::read(event);
        let msg = Msg::read(top.msg);
        let id = top.id.clone().or_else(|| string(msg.id));
        let recipient = recipient(&top, &msg);
        let is_sync = top.event.is_none() && top.sync_type.is_some();
        let text = || ["text", &*event.text, "", "", "", "", ""];
        let kind = kind(&top);
        let field = |value| string(value).unwrap_or_else(|| text_of(value).into());
        let (url, ip, user_agent) = (field(top.url), field(top.ip), field(top.user_agent));
        let fingerprint = match (&*kind, &top.event, &top.sync_type, &top.action) {
            (UNKNOWN, ..) => text(),
            ("inbound", ..) => string_text(msg.raw_msg)
                .map_or_else(text, |raw| ["inbound", raw, "", "", "", "", ""]),
            (_, Some(_), ..) if id.is_some() => [
                "message",
                &kind,
                id.as_deref().unwrap_or_default(),
                text_of(top.ts),
                &url,
                &ip,
                &user_agent,
            ],
            (_, None, Some(kind), Some(action)) if recipient.is_some() => {
                let address = recipient.as_deref().unwrap_or_default();
                ["sync", kind, action, address, text_of(top.ts), "", ""]
            }
            _ => text(),
        };
        let message = match (&id, &recipient) {
            (Some(id), _) => message_key(id),
            (None, Some(address)) if is_sync => [b"address", address.as_bytes()],
            _ => [b"text", event.text.as_bytes()],
        };
        Self {
            message: message.map(<[u8]>::to_vec),
            fingerprint: fingerprint.map(|part| part.as_bytes().to_vec()),
        }
    }
}

/// The JSON text of a value; empty if the value is missing or null.
fn text_of(value: Option<&RawValue>) -> &str {
    value
        .map(RawValue::get)
        .filter(|text| *text != "null")
        .unwrap_or_default()
}

/// The JSON text of a string; `None` if the string is empty.
fn string_text(value: Option<&RawValue>) -> Option<&str> {
    value
        .map(RawValue::get)
        .filter(|text| text.starts_with('"') && *text != "\"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> FormerIdentity {
        RawEvent::read(json.as_bytes()).former_identity()
    }

    fn fingerprint(json: &str) -> Vec<Vec<u8>> {
        read(json).fingerprint.to_vec()
    }

    fn message_key(json: &str) -> Vec<String> {
        let text = |part: &Vec<u8>| String::from_utf8(part.clone()).unwrap();
        read(json).message.iter().map(text).collect()
    }

    #[test]
    fn the_fingerprint_of_a_message_event_ignores_the_state_of_its_message() {
        let json = r#"{"event":"open","_id":"a","ts":5,"ip":"192.0.2.1","msg":{"opens":[]}}"#;
        let later = json.replace(r#""opens":[]"#, r#""opens":[{"ts":5}],"state":"sent""#);
        assert_eq!(fingerprint(json), fingerprint(&later));
        assert_eq!(fingerprint(json), fingerprint(&json.replace(',', " , ")));
        let nulls = json.replace(r#""ts":5"#, r#""ts":5,"url":null,"user_agent":null"#);
        assert_eq!(fingerprint(json), fingerprint(&nulls));
    }

    #[test]
    fn the_fingerprint_of_a_message_event_changes_with_each_of_its_parts() {
        let json = r#"{"event":"click","_id":"a","ts":5,"url":"u","ip":"i","user_agent":"ua"}"#;
        for (part, other) in [
            ("click", "open"),
            (r#""_id":"a""#, r#""_id":"b""#),
            (r#""ts":5"#, r#""ts":6"#),
            (r#""ts":5"#, r#""ts":"soon""#),
            (r#""ts":5"#, r#""ts":null"#),
            (r#""u""#, r#""v""#),
            (r#""u""#, "7"),
            (r#""i""#, r#""""#),
            (r#""ua""#, "[]"),
        ] {
            assert_ne!(
                fingerprint(json),
                fingerprint(&json.replace(part, other)),
                "{other}"
            );
        }
    }

    #[test]
    fn the_fingerprint_is_the_same_however_a_url_is_escaped() {
        let json = r#"{"event":"click","_id":"a","url":"https:\/\/example.com\/"}"#;
        assert_eq!(fingerprint(json), fingerprint(&json.replace('\\', "")));
    }

    #[test]
    fn a_sync_event_is_known_by_type_action_address_and_time() {
        let json = r#"{"type":"blacklist","action":"add","ts":5,"reject":{"email":"a@example.com","reason":"spam"}}"#;
        assert_eq!(
            fingerprint(json),
            fingerprint(&json.replace("spam", "custom"))
        );
        for (part, other) in [
            ("blacklist", "whitelist"),
            ("add", "remove"),
            ("a@", "b@"),
            ("5", "6"),
        ] {
            assert_ne!(
                fingerprint(json),
                fingerprint(&json.replace(part, other)),
                "{other}"
            );
        }
        assert_eq!(fingerprint(json)[0], b"sync");
        assert_eq!(message_key(json), ["address", "a@example.com"]);
    }

    #[test]
    fn a_sync_event_that_lacks_a_part_is_known_by_its_text() {
        for json in [
            r#"{"type":"blacklist","action":"add","ts":5}"#,
            r#"{"type":"blacklist","action":7,"ts":5,"reject":{"email":"a"}}"#,
            r#"{"type":"blacklist","action":"add","ts":5,"reject":[]}"#,
        ] {
            assert_eq!(fingerprint(json)[..2], [b"text", json.as_bytes()]);
        }
    }

    #[test]
    fn an_inbound_mail_is_known_by_its_raw_message() {
        let json =
            r#"{"event":"inbound","ts":5,"msg":{"raw_msg":"From: a","spam_report":{"score":1}}}"#;
        assert_eq!(
            fingerprint(json),
            fingerprint(&json.replace("\"score\":1", "\"score\":2"))
        );
        assert_ne!(
            fingerprint(json),
            fingerprint(&json.replace("From: a", "From: b"))
        );
        assert_eq!(fingerprint(json)[0], b"inbound");
        assert_eq!(message_key(json)[0], "text");
        for empty in ["\"\"", "null", "[]"] {
            assert_eq!(fingerprint(&json.replace("\"From: a\"", empty))[0], b"text");
        }
    }

    #[test]
    fn an_event_without_an_id_or_a_usable_kind_is_known_by_its_text() {
        let long = format!(r#"{{"event":"{}","_id":"a"}}"#, "k".repeat(65));
        for json in [
            r#"{"event":"send","ts":5}"#,
            r#"{"event":"send","_id":"","msg":{"_id":""}}"#,
            &long,
        ] {
            assert_eq!(fingerprint(json)[..2], [b"text", json.as_bytes()]);
        }
        assert_eq!(message_key(&long), ["message", "a"]);
    }
}
