//! `GET /v1/event-types`.

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
    for kind in mandrill::KINDS {
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
