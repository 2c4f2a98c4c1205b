use super::*;
use crate::split;

#[test]
fn the_ui_test_batch_shares_one_id_and_still_has_distinct_fingerprints() {
    let batch = sample("24-batch-ui-test-shared-id");
    let events = split(batch.as_bytes());
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
    let events = split(batch.as_bytes());
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

/// What the events of one message share.
fn shared(json: &str) -> [Vec<u8>; 2] {
    with_facts(json, |facts| facts.message_key().map(<[u8]>::to_vec))
}

/// Each pair makes another event of `json`.
fn assert_counts(json: &str, changes: &[(&str, &str)]) {
    for (part, other) in changes {
        let changed = json.replacen(part, other, 1);
        assert_ne!(json, changed, "{part}");
        assert_ne!(fingerprint(json), fingerprint(&changed), "{other}");
    }
}

/// Each pair leaves `json` the same event.
fn assert_does_not_count(json: &str, changes: &[(&str, &str)]) {
    for (part, other) in changes {
        let changed = json.replacen(part, other, 1);
        assert_ne!(json, changed, "{part}");
        assert_eq!(fingerprint(json), fingerprint(&changed), "{other}");
    }
}

const MESSAGE: &str = r#"{"event":"hard_bounce","_id":"m","ts":50,"url":"u","ip":"i","user_agent":"a","diag":"550 d","location":{"city":"x"},"user_agent_parsed":{"os":"y"},"msg":{"_id":"m","_version":"v","email":"r@example.net","subaccount":"cust-1","reject":{"reason":"rule","last_event_at":"1"},"sender":"s@example.com","subject":"S","tags":["t"],"template":"p","metadata":{"k":1},"state":"sent","opens":[],"clicks":[],"resends":[],"smtp_events":[{"ts":49,"type":"deferred","diag":"451 q"}]}}"#;

#[test]
fn whatever_a_consumer_acts_on_makes_another_event_of_a_message() {
    assert_counts(
        MESSAGE,
        &[
            ("hard_bounce", "soft_bounce"),
            (r#""ts":50"#, r#""ts":51"#),
            (r#""u""#, r#""v""#),
            (r#""i""#, r#""j""#),
            (r#""a""#, r#""b""#),
            ("550 d", "550 e"),
            (r#""state":"sent""#, r#""state":"sent","diag":"550 x""#),
            (
                r#""state":"sent""#,
                r#""state":"sent","bounce_description":"bad_mailbox""#,
            ),
            (r#""state":"sent""#, r#""state":"sent","bgtools_code":10"#),
            ("r@", "x@"),
            (r#""cust-1""#, r#""cust-2""#),
            (r#""cust-1""#, "null"),
            (r#""rule""#, r#""spam""#),
            ("s@", "x@"),
            (r#""S""#, r#""s""#),
            (r#"["t"]"#, r#"["t","u"]"#),
            (r#"["t"]"#, "[]"),
            (r#""p""#, r#""q""#),
            (r#"{"k":1}"#, r#"{"k":2}"#),
            (r#"{"k":1}"#, r#"{"j":1}"#),
            (r#"{"k":1}"#, r#"{"k":"1"}"#),
            (r#""ts":49"#, r#""ts":48"#),
            ("451 q", "451 r"),
            ("deferred", "sent"),
            (r#""smtp_events":["#, r#""smtp_events":[{"ts":50},"#),
            (
                r#""smtp_events":["#,
                r#""smtp_events":[{"diag":"untimed"},"#,
            ),
        ],
    );
}

#[test]
fn what_is_rendered_anew_for_a_retry_leaves_an_event_what_it_is() {
    assert_does_not_count(
        MESSAGE,
        &[
            (r#""city":"x""#, r#""city":"z""#),
            (r#""os":"y""#, r#""os":"z""#),
            (r#""_version":"v""#, r#""_version":"w""#),
            (r#""last_event_at":"1""#, r#""last_event_at":"2""#),
            (r#"{"reason":"rule","last_event_at":"1"}"#, r#""rule""#),
            (r#""state":"sent""#, r#""state":"bounced""#),
            (r#""opens":[]"#, r#""opens":[{"ts":1}]"#),
            (r#""clicks":[]"#, r#""clicks":[{"ts":1}]"#),
            (r#""resends":[]"#, r#""resends":[1]"#),
            (
                r#"451 q"}]"#,
                r#"451 q"},{"ts":51,"type":"sent","diag":"250"}]"#,
            ),
            (r#""msg":{"#, r#""new":1,"msg":{"new":2,"#),
        ],
    );
    // What became of the message later, and no reason of this event.
    assert_does_not_count(
        &MESSAGE.replace("hard_bounce", "open"),
        &[(
            r#""state":"sent""#,
            r#""state":"bounced","diag":"550","bounce_description":"x","bgtools_code":10"#,
        )],
    );
}

#[test]
fn how_an_event_is_written_leaves_it_what_it_is() {
    assert_does_not_count(
        MESSAGE,
        &[
            (r#""ts":50"#, r#""ts":5.0e1"#),
            (r#"{"k":1}"#, r#"{ "\u006b" : 1.0 }"#),
            (r#""s@example.com""#, r#""s\u0040example.com""#),
            (
                r#""ts":49,"type":"deferred""#,
                r#""type":"deferred","ts":49.0"#,
            ),
            (
                r#""ip":"i","user_agent":"a""#,
                r#""user_agent":"a" , "ip":"i","nothing":null"#,
            ),
        ],
    );
    let empty = MESSAGE
        .replace(r#"{"k":1}"#, "[]")
        .replace(r#"["t"]"#, "null");
    assert_does_not_count(
        &empty,
        &[
            (r#""metadata":[]"#, r#""metadata":{}"#),
            (r#""metadata":[]"#, r#""metadata":null"#),
            (r#""metadata":[],"#, ""),
            (r#""tags":null"#, r#""tags":[]"#),
            (r#""tags":null,"#, ""),
        ],
    );
}

#[test]
fn a_message_without_an_id_is_known_by_its_recipient_and_fields() {
    let json = r#"{"event":"open","ts":5,"msg":{"email":"a@example.net","opens":[]}}"#;
    assert_does_not_count(json, &[(r#""opens":[]"#, r#""opens":[{"ts":5}]"#)]);
    assert_counts(json, &[("a@", "b@"), ("5", "6"), ("open", "click")]);
    let later = json.replace("[]", "[1]");
    assert_eq!(shared(json), shared(&later));
}

const LISTING: &str = r#"{"type":"blacklist","action":"add","ts":5,"reject":{"email":"a@example.com","reason":"spam","detail":"note","subaccount":"cust-1","created_at":"1","last_event_at":"1","expires_at":"7","expired":false,"sender":{"address":"s@example.com","sent":44,"reputation":71}}}"#;

#[test]
fn a_sync_event_is_known_by_all_that_a_consumer_acts_on() {
    let changes = [
        ("blacklist", "whitelist"),
        ("add", "remove"),
        ("a@", "b@"),
        (r#""ts":5"#, r#""ts":6"#),
        ("spam", "custom"),
        ("note", "other"),
        (r#""cust-1""#, r#""cust-2""#),
        (r#""cust-1""#, "null"),
        (r#""expires_at":"7""#, r#""expires_at":"8""#),
        ("s@", "t@"),
    ];
    assert_counts(LISTING, &changes);
    assert_does_not_count(
        LISTING,
        &[
            (r#""sent":44"#, r#""sent":45"#),
            (r#""reputation":71"#, r#""reputation":70"#),
            (r#""expired":false"#, r#""expired":true"#),
            (r#""created_at":"1""#, r#""created_at":"1.06801""#),
            ("5", "5.0"),
        ],
    );
    let entry = LISTING.replace(r#""reject""#, r#""entry""#);
    assert_counts(&entry, &changes);
    assert_eq!(fingerprint(LISTING)[0], b"sync");
    assert_eq!(message_key(LISTING), ["address", "a@example.com"]);
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
fn an_inbound_mail_is_known_by_its_raw_message_and_recipient() {
    let json = r#"{"event":"inbound","ts":5,"msg":{"raw_msg":"From: a","email":"in@example.com","spam_report":{"score":1}}}"#;
    let changes = [
        (r#""score":1"#, r#""score":2"#),
        ("From: a", r"From\u003a a"),
    ];
    assert_does_not_count(json, &changes);
    assert_counts(json, &[("From: a", "From: b"), ("in@", "on@")]);
    assert_eq!(fingerprint(json)[0], b"inbound");
    for (part, other) in changes {
        assert_eq!(shared(json), shared(&json.replace(part, other)));
    }
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
