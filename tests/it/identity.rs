//! Which events are one, and which are several, over several posts.

use std::collections::BTreeSet;

use domain::EventId;
use flows::{TestStack, batch};
use serde_json::{Value, json};

/// Posts each by itself, twice; answers how many are stored.
async fn stored_of(posts: &[String]) -> usize {
    let stack = TestStack::start().await;
    for _ in 0..2 {
        for post in posts {
            stack.mandrill().deliver(batch([post])).await;
        }
    }
    stack.history().await.len()
}

fn listing(reason: &str, subaccount: &Value) -> String {
    json!({
        "type": "blacklist", "action": "add", "ts": 1_796_000_000,
        "reject": {
            "reason": reason, "detail": null, "email": "listed@example.net",
            "created_at": "2026-11-30 00:53:20", "expires_at": null, "expired": false,
            "subaccount": subaccount, "sender": null,
        },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_of_one_address_in_one_second_are_told_apart_by_subaccount_and_reason() {
    let posts = [
        listing("custom", &json!("cust-1")),
        listing("custom", &json!("cust-2")),
        listing("custom", &Value::Null),
        listing("spam", &Value::Null),
    ];
    assert_eq!(stored_of(&posts).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_message_in_one_second_are_told_apart_by_recipient_and_smtp_events() {
    let deferral = |msg: Value| {
        json!({ "event": "deferral", "_id": "d9", "ts": 1_796_000_001, "msg": msg }).to_string()
    };
    let attempt = json!({ "ts": 1, "type": "deferred", "diag": "451 a" });
    let posts = [
        deferral(json!({ "_id": "d9", "email": "x@example.net" })),
        deferral(json!({ "_id": "d9", "email": "y@example.net" })),
        deferral(json!({ "_id": "d9", "email": "y@example.net", "smtp_events": [attempt] })),
    ];
    assert_eq!(stored_of(&posts).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_rendered_anew_for_a_retry_is_stored_once() {
    let open = |version: &str, opens: Value| {
        json!({
            "event": "open", "_id": "d8", "ts": 1_796_000_002, "ip": "203.0.113.1",
            "user_agent": "Example/1.0",
            "msg": {
                "_id": "d8", "email": "x@example.net", "state": "sent", "opens": opens,
                "clicks": [], "_version": version, "metadata": { "a": 1, "b": 2 },
            },
        })
        .to_string()
    };
    let first = open("a", json!([{ "ts": 1 }]));
    let again = open("b", json!([{ "ts": 1 }, { "ts": 2 }]));
    let otherwise = again.replace(r#"{"a":1,"b":2}"#, r#"{ "b":2.0,"\u0061":1e0 }"#);
    assert_ne!(again, otherwise);
    assert_eq!(stored_of(&[first, again, otherwise]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbound_mail_whose_report_is_rendered_anew_is_stored_once_for_each_recipient() {
    let inbound = |to: &str, score: f64| {
        json!({
            "event": "inbound", "ts": 1_796_000_100,
            "msg": { "raw_msg": "From: a\n\nb", "email": to, "spam_report": { "score": score } },
        })
        .to_string()
    };
    let posts = [
        inbound("in@example.com", 1.0),
        inbound("in@example.com", 2.0),
        inbound("to@example.com", 1.0),
    ];
    assert_eq!(stored_of(&posts).await, 2);
}

/// Puts the one stored event under the id that it had before.
async fn store_under(stack: &TestStack, former: EventId) {
    let mut item = stack.items("EventsTable").await.remove(0);
    let key = json!({ "pk": item["pk"], "sk": item["sk"] });
    let table = stack.table("EventsTable");
    stack
        .dynamo("DeleteItem", json!({ "TableName": table, "Key": key }))
        .await;
    let at = item["feed_at"]["S"].as_str().unwrap();
    let received = at.split_once('#').unwrap().0;
    item["feed_at"] = json!({ "S": format!("{received}#{}", former.key()) });
    item["pk"] = json!({ "S": former.partition() });
    item["sk"] = json!({ "S": former.sort() });
    stack
        .dynamo("PutItem", json!({ "TableName": table, "Item": item }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_stored_before_the_ids_changed_is_not_stored_again_by_its_retry() {
    let stack = TestStack::start().await;
    let hour_ago = platform::clock::now().minus(60 * 60 * 1_000).as_secs();
    let ts = u32::try_from(hour_ago).unwrap();
    let event = listing("custom", &json!("cust-1")).replace("1796000000", &ts.to_string());
    stack.mandrill().deliver(batch([&event])).await;

    let seconds = ts.to_string();
    let former = EventId::of_content(
        &[b"address", b"listed@example.net"],
        ts,
        &[
            b"sync",
            b"blacklist",
            b"add",
            b"listed@example.net",
            seconds.as_bytes(),
            b"",
            b"",
        ],
        0,
    );
    store_under(&stack, former).await;
    stack.mandrill().deliver(batch([&event])).await;
    let stored: BTreeSet<_> = flows::ids(&stack.history().await);
    assert_eq!(stored, BTreeSet::from([former.to_string()]));
}
