use super::*;
use crate::split;

#[test]
fn the_ui_test_batch_shares_one_id_and_still_has_distinct_fingerprints() {
    let batch = sample("24-batch-ui-test-shared-id");
    let events = split(batch.as_bytes()).unwrap();
    let facts: Vec<_> = events.iter().map(RawEvent::facts).collect();
    for (index, one) in facts.iter().enumerate() {
        assert_eq!(one.message_id, facts[0].message_id);
        for other in &facts[..index] {
            assert_ne!(one.fingerprint(), other.fingerprint());
        }
    }
}

#[test]
fn two_identical_clicks_have_one_fingerprint() {
    let batch = sample("25-batch-duplicate-clicks");
    let events = split(batch.as_bytes()).unwrap();
    assert_eq!(
        events[0].facts().fingerprint(),
        events[1].facts().fingerprint()
    );
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
