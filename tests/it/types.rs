//! `GET /v1/event-types`.

use domain::{Rights, Scope, Scopes};
use flows::{TestStack, batch, of_message};
use serde_json::{Value, json};

async fn types(stack: &TestStack) -> Value {
    let answer = stack
        .http()
        .get("/v1/event-types", &stack.urls().token)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn of<'a>(types: &'a Value, kind: &str) -> &'a Value {
    let mut list = types["types"].as_array().unwrap().iter();
    list.find(|it| it["type"] == kind).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_known_type_is_there_and_those_that_were_met_say_when() {
    let stack = TestStack::start().await;
    let before = types(&stack).await;
    assert_eq!(
        (&before["since"], &of(&before, "open")["last_seen"]),
        (&Value::Null, &Value::Null)
    );
    for kind in mandrill::KINDS.map(|kind| kind.name) {
        assert!(of(&before, kind)["description"].is_string(), "{kind}");
    }
    stack
        .mandrill()
        .deliver(batch([of_message("open", 0, 0)]))
        .await;
    stack
        .mandrill()
        .deliver(batch([
            of_message("open", 1, 1),
            of_message("sms_sent", 2, 2),
        ]))
        .await;
    let (after, history) = (types(&stack).await, stack.history().await);
    let newest = |kind: &str| {
        let event = history.iter().find(|event| event["type"] == kind);
        event.unwrap()["received_at"].clone()
    };
    assert_eq!(of(&after, "open")["last_seen"], newest("open"));
    let met = json!({ "type": "sms_sent", "description": null, "last_seen": newest("sms_sent") });
    assert_eq!(of(&after, "sms_sent"), &met);
    let names: Vec<_> = after["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    let answer = stack
        .http()
        .get("/v1/event-types?all=1", &stack.urls().token)
        .await;
    assert_eq!(answer.error(), (400, "unknown_parameter".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_is_not_among_the_newest_events_was_not_seen_since_then() {
    let stack = TestStack::start().await;
    stack
        .mandrill()
        .deliver(batch([of_message("open", 0, 0)]))
        .await;
    stack.mandrill().deliver(flows::sends(1..1_101)).await;
    let types = types(&stack).await;
    assert_eq!(of(&types, "open")["last_seen"], Value::Null);
    assert!(of(&types, "send")["last_seen"].is_string());
    let since = types["since"].as_str().unwrap();
    let page = stack.page(&format!("from={since}&limit=1000")).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 1_000);
}

/// A token with these rights, for an hour.
fn token(stack: &TestStack, scope: Scope, filter: &str, mask: bool) -> String {
    stack.token(&Rights {
        scopes: Scopes::of(&[scope]),
        filter: filter.parse().unwrap(),
        asked: domain::Filter::default(),
        mask,
        until: platform::clock::now().plus(3_600_000),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_shows_what_the_token_lets_be_seen_and_nothing_else() {
    let stack = TestStack::start().await;
    let kinds = ["open", "send", "click"];
    let events = kinds.iter().enumerate();
    let events = events.map(|(n, kind)| of_message(kind, 7, n));
    stack.mandrill().deliver(batch(events)).await;
    let history = stack.history().await;
    let start = domain::Position::start_of(platform::clock::now().minus(600_000));
    let lists = [
        "/v1/events".to_owned(),
        "/v1/events?filter=type:*".to_owned(),
        format!("/v1/events?after={}", stack.cursors().cursor_at(start)),
        format!("/v1/messages/{:032x}/events", 7),
    ];
    for mask in [false, true] {
        let opens = token(&stack, Scope::Read, "type:open", mask);
        for path in &lists {
            let answer = stack.http().get(path, &opens).await;
            if mask && path.starts_with("/v1/messages/") {
                // Its id would tell whether a guess was right.
                assert_eq!(answer.error(), (403, "forbidden".to_owned()));
                continue;
            }
            let page = answer.json();
            let events = page["events"].as_array().unwrap();
            assert_eq!(events.len(), 1, "{path}: {page}");
            assert_eq!(events[0]["type"], "open");
            assert_eq!(page.to_string().contains("reader"), !mask, "{page}");
            assert_eq!(events[0]["data"].is_null(), mask);
        }
        for event in &history {
            let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
            let answer = stack.http().get(&path, &opens).await;
            let is_open = event["type"] == "open";
            assert_eq!(answer.status.as_u16(), if is_open { 200 } else { 404 });
            assert!(!mask || !answer.body.contains("reader"), "{}", answer.body);
        }
        let types = stack.http().get("/v1/event-types", &opens).await.json();
        assert!(of(&types, "open")["last_seen"].is_string());
        assert_eq!(of(&types, "send")["last_seen"], Value::Null);
    }
    let masked = token(&stack, Scope::Read, "", true);
    let answer = stack.http().get("/v1/events?filter=reader0", &masked).await;
    assert_eq!(answer.error(), (403, "forbidden".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_its_scope() {
    let stack = TestStack::start().await;
    let (read, write) = (
        token(&stack, Scope::Read, "", false),
        token(&stack, Scope::Write, "", false),
    );
    for path in [
        "/v1/events",
        "/v1/events/x",
        "/v1/messages/m/events",
        "/v1/event-types",
    ] {
        let answer = stack.http().get(path, &write).await;
        assert_eq!(answer.error(), (403, "forbidden".into()), "{path}");
    }
    let answer = stack.http().post("/v1/tickets", &write, &[], "{}").await;
    assert_eq!(answer.error(), (403, "forbidden".into()));
    let event = r#"{"type":"a"}"#;
    let answer = stack.http().post("/v1/events", &read, &[], event).await;
    assert_eq!(answer.error(), (403, "forbidden".into()));
    let answer = stack.http().post("/v1/events", &write, &[], event).await;
    assert_eq!(answer.status, 202);
}
