use super::*;
use crate::kind::UNKNOWN;

mod identity;

fn sample(name: &str) -> String {
    let path = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn event(json: &str) -> RawEvent<'_> {
    RawEvent::read(json.as_bytes())
}

fn with_facts<T>(json: &str, check: impl FnOnce(Facts<'_>) -> T) -> T {
    check(event(json).facts())
}

fn kind_of(json: &str) -> String {
    with_facts(json, |facts| facts.kind.into_owned())
}

fn fingerprint(json: &str) -> Vec<Vec<u8>> {
    with_facts(json, |facts| {
        facts.fingerprint().map(<[u8]>::to_vec).to_vec()
    })
}

fn message_key(json: &str) -> Vec<String> {
    let text = |part: &[u8]| String::from_utf8(part.to_vec()).unwrap();
    with_facts(json, |facts| facts.message_key().map(text).to_vec())
}

const SAMPLES: [(&str, &str, &str); 23] = [
    ("01-send", "send", "reader1@example.net"),
    ("02-deferral", "deferral", "reader2@example.net"),
    ("03-delivered", "delivered", "reader1@example.net"),
    ("04-hard_bounce", "hard_bounce", "reader3@example.net"),
    ("05-soft_bounce", "soft_bounce", "reader4@example.net"),
    ("06-open", "open", "reader1@example.net"),
    ("07-click", "click", "reader1@example.net"),
    ("08-spam", "spam", "reader5@example.net"),
    ("09-unsub", "unsub", "reader6@example.net"),
    ("10-reject", "reject", "reader7@example.net"),
    ("11-reject-string-reason", "reject", "reader8@example.net"),
    ("12-open-old-message-msg-empty", "open", ""),
    ("13-open-msg-null", "open", ""),
    (
        "14-send-metadata-empty-array",
        "send",
        "reader11@example.net",
    ),
    ("15-send-unicode", "send", "jürgen+a/b@bücher.example"),
    (
        "16-sync-blacklist-add",
        "blacklist_add",
        "reader3@example.net",
    ),
    (
        "17-sync-blacklist-change",
        "blacklist_change",
        "reader5@example.net",
    ),
    (
        "18-sync-denylist-remove",
        "denylist_remove",
        "reader9@example.net",
    ),
    (
        "19-sync-whitelist-add",
        "whitelist_add",
        "partner@example.org",
    ),
    (
        "20-sync-allowlist-remove-reject-key",
        "allowlist_remove",
        "partner@example.org",
    ),
    (
        "21-inbound-attachments",
        "inbound",
        "support@in.example.com",
    ),
    (
        "22-inbound-minimal-html-only",
        "inbound",
        "support@in.example.com",
    ),
    ("23-unknown-future-kind", "sms_delivered", ""),
];

#[test]
fn every_sample_has_its_kind_time_and_recipient() {
    for (name, kind, recipient) in SAMPLES {
        with_facts(&sample(name), |facts| {
            assert_eq!(facts.kind, kind, "{name}");
            assert_eq!(
                facts.recipient.as_deref().unwrap_or_default(),
                recipient,
                "{name}"
            );
            assert!(facts.ts.is_some_and(|ts| ts > 1_795_000_000), "{name}");
        });
    }
}

#[test]
fn a_message_event_has_its_messages_facts() {
    with_facts(&sample("01-send"), |facts| {
        assert_eq!(
            facts.message_id.as_deref(),
            Some("8854ad3594d6d7cca5a6c161f8ca3d01")
        );
        assert_eq!(facts.ts, Some(1_795_300_002));
        assert_eq!(facts.sender.as_deref(), Some("orders@mail.example.com"));
        assert_eq!(
            facts.subject.as_deref(),
            Some("Your order #7001 has shipped")
        );
        assert_eq!(facts.tags, ["order-shipped"]);
        assert_eq!(facts.subaccount, None);
        assert_eq!(facts.template.as_deref(), Some("order-shipped-v3"));
        assert!(
            facts
                .metadata
                .unwrap()
                .get()
                .contains("\"tenant\": \"acme\"")
        );
        assert_eq!((facts.url, facts.ip, facts.user_agent), (None, None, None));
        assert_eq!((facts.diag, facts.reason), (None, None));
    });
    with_facts(&sample("09-unsub"), |facts| {
        assert_eq!(facts.subaccount.as_deref(), Some("cust-123"));
    });
}

#[test]
fn a_click_has_its_url_and_where_it_came_from() {
    with_facts(&sample("07-click"), |facts| {
        let url = "https://shop.example.com/track?o=7001&utm_source=mail&q=gr%C3%BC%C3%9Fe#top";
        assert_eq!(facts.url.as_deref(), Some(url));
        assert_eq!(facts.ip.as_deref(), Some("192.0.2.44"));
        assert!(facts.user_agent.unwrap().starts_with("Mozilla/5.0"));
        assert!(facts.location.unwrap().get().contains("Frankfurt"));
    });
}

#[test]
fn slashes_and_unicode_escaped_by_php_are_resolved() {
    let json = r#"{"event":"click","url":"https:\/\/example.com\/","msg":{"subject":"Gr\u00fc\u00dfe \ud83d\udce6"}}"#;
    with_facts(json, |facts| {
        assert_eq!(facts.url.as_deref(), Some("https://example.com/"));
        assert_eq!(facts.subject.as_deref(), Some("Grüße 📦"));
    });
}

#[test]
fn a_bounce_has_its_description_and_diagnosis() {
    with_facts(&sample("04-hard_bounce"), |facts| {
        assert_eq!(facts.bounce_description.as_deref(), Some("bad_mailbox"));
        assert!(facts.diag.unwrap().starts_with("smtp;550 5.1.1"));
    });
}

#[test]
fn an_empty_diag_is_none() {
    with_facts(&sample("05-soft_bounce"), |facts| {
        assert_eq!(facts.bounce_description.as_deref(), Some("mailbox_full"));
        assert_eq!(facts.diag, None);
    });
}

#[test]
fn a_deferral_is_explained_by_the_last_smtp_event_that_says_something() {
    with_facts(&sample("02-deferral"), |facts| {
        let diag = "451 4.3.5 Temporarily unavailable, try again later.";
        assert_eq!(facts.diag.as_deref(), Some(diag));
    });
    let json = r#"{"event":"deferral","msg":{"smtp_events":[{"diag":"a"},{"diag":"b"},{"diag":""},[],null]}}"#;
    with_facts(json, |facts| assert_eq!(facts.diag.as_deref(), Some("b")));
}

#[test]
fn a_rejection_has_its_reason_as_an_object_or_a_string() {
    let reason = |name| with_facts(&sample(name), |facts| facts.reason.map(Cow::into_owned));
    assert_eq!(reason("10-reject").as_deref(), Some("unsigned"));
    assert_eq!(
        reason("11-reject-string-reason").as_deref(),
        Some("hard-bounce")
    );
    assert_eq!(reason("01-send"), None);
}

#[test]
fn a_reject_event_may_lack_version_and_metadata_and_have_null_tags() {
    with_facts(&sample("10-reject"), |facts| {
        assert!(facts.metadata.is_none())
    });
    with_facts(&sample("11-reject-string-reason"), |facts| {
        assert!(facts.tags.is_empty())
    });
}

#[test]
fn an_old_message_may_come_as_an_empty_array_or_null() {
    for name in ["12-open-old-message-msg-empty", "13-open-msg-null"] {
        with_facts(&sample(name), |facts| {
            assert!(facts.message_id.is_some(), "{name}");
            assert!(facts.sender.is_none() && facts.subject.is_none(), "{name}");
            assert!(facts.tags.is_empty() && facts.metadata.is_none(), "{name}");
            assert_eq!(facts.fingerprint()[0], b"message", "{name}");
        });
    }
}

#[test]
fn a_null_location_and_user_agent_are_none() {
    with_facts(&sample("12-open-old-message-msg-empty"), |facts| {
        assert!(facts.location.is_none());
        assert_eq!(facts.user_agent, None);
        assert_eq!(facts.ip.as_deref(), Some("192.0.2.99"));
    });
}

#[test]
fn metadata_that_phps_encoder_wrote_as_an_array_is_none() {
    with_facts(&sample("14-send-metadata-empty-array"), |facts| {
        assert!(facts.metadata.is_none());
        assert_eq!(facts.subject, None);
    });
}

#[test]
fn metadata_keeps_keys_and_values_of_any_type() {
    with_facts(&sample("15-send-unicode"), |facts| {
        assert!(facts.metadata.unwrap().get().contains("50 % & more = a+b"));
    });
}

#[test]
fn sync_events_have_no_message_and_their_sender_in_three_shapes() {
    let sender = |name| {
        with_facts(&sample(name), |facts| {
            assert_eq!(facts.message_id, None);
            facts.sender.map(Cow::into_owned)
        })
    };
    assert_eq!(sender("16-sync-blacklist-add"), None);
    let address = "orders@mail.example.com";
    assert_eq!(sender("17-sync-blacklist-change").as_deref(), Some(address));
    assert_eq!(sender("18-sync-denylist-remove").as_deref(), Some(address));
}

#[test]
fn an_event_of_any_kind_has_the_smtp_answer_wherever_it_stands() {
    let attempts = r#""smtp_events":[{"ts":4,"diag":"451 first"},{"ts":5,"diag":"250 second"},{"ts":5},{"ts":9,"diag":"550 later"}]"#;
    for kind in [
        "delivered",
        "deferral",
        "soft_bounce",
        "send",
        "open",
        "brand_new",
    ] {
        let event = |top: &str, msg: &str| {
            format!(r#"{{"event":"{kind}","ts":5,{top}"msg":{{{msg}{attempts}}}}}"#)
        };
        for (json, diag) in [
            (
                event(r#""diag":"250 top","#, r#""diag":"250 msg","#),
                "250 top",
            ),
            (event(r#""diag":"","#, r#""diag":"250 msg","#), "250 msg"),
            (event("", ""), "250 second"),
            (
                event("", "").replace(r#""ts":5,"msg""#, r#""msg""#),
                "550 later",
            ),
            (
                event("", "").replace(r#""ts":5,"msg""#, r#""ts":1,"msg""#),
                "550 later",
            ),
        ] {
            with_facts(&json, |facts| {
                assert_eq!(facts.diag.as_deref(), Some(diag), "{json}")
            });
        }
    }
}

#[test]
fn sync_events_have_a_reason_and_no_diag() {
    with_facts(&sample("16-sync-blacklist-add"), |facts| {
        assert_eq!(facts.reason.as_deref(), Some("hard-bounce"));
        assert_eq!(facts.diag, None);
    });
    with_facts(&sample("17-sync-blacklist-change"), |facts| {
        assert_eq!(facts.reason.as_deref(), Some("spam"));
        assert_eq!(facts.subaccount.as_deref(), Some("cust-123"));
    });
    with_facts(&sample("19-sync-whitelist-add"), |facts| {
        assert_eq!(facts.reason.as_deref(), Some("contract partner"));
    });
}

#[test]
fn inbound_mail_has_its_sender_in_from_email() {
    with_facts(&sample("21-inbound-attachments"), |facts| {
        assert_eq!(facts.sender.as_deref(), Some("ana@example.org"));
        assert_eq!(facts.subject.as_deref(), Some("Pregunta"));
        assert_eq!((facts.message_id, facts.template), (None, None));
    });
}

#[test]
fn inbound_mail_may_lack_almost_everything() {
    with_facts(&sample("22-inbound-minimal-html-only"), |facts| {
        assert_eq!(facts.subject, None);
        assert_eq!(facts.sender.as_deref(), Some("bot@example.org"));
    });
    for json in [
        r#"{"event":"inbound","ts":1}"#,
        r#"{"event":"inbound","ts":1,"msg":[]}"#,
    ] {
        assert_eq!(kind_of(json), "inbound");
        assert_eq!(fingerprint(json)[0], b"text");
    }
}

#[test]
fn old_fixtures_with_the_id_in_the_message_alone_are_found_by_it() {
    let json = r#"{"event":"send","_id":"","msg":{"_id":"abc","_version":7}}"#;
    with_facts(json, |facts| {
        assert_eq!(facts.message_id.as_deref(), Some("abc"))
    });
    assert_eq!(message_key(json), ["message", "abc"]);
    let at_the_top = json.replacen(r#""_id":"""#, r#""_id":"abc""#, 1);
    assert_eq!(fingerprint(json), fingerprint(&at_the_top));
}

#[test]
fn an_sms_event_without_an_address_is_kept_by_its_own_kind() {
    with_facts(&sample("23-unknown-future-kind"), |facts| {
        assert_eq!(
            facts.message_id.as_deref(),
            Some("c287d83d1fdf9f52f5be677ea1804424")
        );
        assert_eq!(facts.recipient, None);
    });
}

#[test]
fn a_kind_is_made_of_what_there_is() {
    for (json, kind) in [
        (r#"{"event":"brand_new"}"#, "brand_new"),
        (
            r#"{"event":"send","type":"blacklist","action":"add"}"#,
            "send",
        ),
        (r#"{"type":"safelist","action":"add"}"#, "safelist_add"),
        (r#"{"type":"blacklist"}"#, "blacklist"),
        (r#"{"type":"blacklist","action":7}"#, "blacklist"),
        (
            r#"{"event":null,"type":"blacklist","action":"add"}"#,
            "blacklist_add",
        ),
        (r#"{"event":"","type":""}"#, "unknown"),
        (r#"{"event":7}"#, "unknown"),
        (r#"{"event":["send"]}"#, "unknown"),
        (r#"{"event":"two words"}"#, "unknown"),
        (r#"{"event":"a\u0000"}"#, "unknown"),
        (r#"{"event":"a\u00a0"}"#, "unknown"),
        (r#"{"event":"\ud800"}"#, "\u{FFFD}"),
        ("{}", "unknown"),
    ] {
        assert_eq!(kind_of(json), kind, "{json}");
    }
    assert_eq!(
        kind_of(&format!(r#"{{"event":"{}"}}"#, "k".repeat(64))),
        "k".repeat(64)
    );
    assert_eq!(
        kind_of(&format!(r#"{{"event":"{}"}}"#, "k".repeat(65))),
        "unknown"
    );
}

#[test]
fn what_is_not_an_object_is_unknown_and_its_own_identity() {
    for json in [
        "null",
        "1",
        "1e999",
        "\"send\"",
        "[]",
        r#"[{"event":"send"}]"#,
        r#"{"event":"send""#,
        "x",
    ] {
        with_facts(json, |facts| {
            assert_eq!(facts.kind, UNKNOWN, "{json}");
            assert_eq!(facts.message_key(), [b"text", json.as_bytes()]);
            assert_eq!(facts.fingerprint()[..2], [b"text", json.as_bytes()]);
        });
    }
}

#[test]
fn fields_of_a_wrong_type_are_none_and_hurt_no_other() {
    let json = r#"{"event":"open","_id":{"a":1},"ts":"soon","ip":1,"url":[],"user_agent":false,
        "location":"Berlin","\ud800":1e999,"msg":{"email":7,"sender":{},"subject":true,
        "tags":["a",1,null,"","b"],"subaccount":12,"template":[],"metadata":"x","diag":{},
        "reject":[],"smtp_events":{},"raw_msg":[1],"state":1e999,"_id":"abc"}}"#;
    with_facts(json, |facts| {
        assert_eq!(facts.kind, "open");
        assert_eq!(facts.message_id.as_deref(), Some("abc"));
        assert_eq!(facts.tags, ["a", "b"]);
        assert_eq!(
            (facts.ts, facts.ip, facts.url, facts.user_agent),
            (None, None, None, None)
        );
        assert!(facts.location.is_none() && facts.metadata.is_none());
        assert_eq!(
            (facts.recipient, facts.sender, facts.subject),
            (None, None, None)
        );
        assert_eq!((facts.subaccount, facts.template), (None, None));
        assert_eq!((facts.diag, facts.reason), (None, None));
    });
    let tags = r#"{"event":"open","msg":{"tags":"one"}}"#;
    with_facts(tags, |facts| assert!(facts.tags.is_empty()));
}

#[test]
fn debug_shows_nothing_personal() {
    let debug = with_facts(&sample("07-click"), |facts| format!("{facts:?}"));
    assert!(debug.contains("click"));
    for personal in ["reader1", "192.0.2", "Mozilla", "shop.example.com", "order"] {
        assert!(!debug.contains(personal), "{personal}");
    }
}
