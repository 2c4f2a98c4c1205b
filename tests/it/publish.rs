//! `POST /v1/events`.

use domain::Scope;
use flows::{Answer, TestStack, noise};
use futures::future::join_all;
use platform::clock;
use platform::tokens::TokenKeys;
use serde_json::{Value, json};

use crate::tokens::rights;

async fn publish(stack: &TestStack, key: Option<&str>, body: &str) -> Answer {
    let headers: Vec<_> = key
        .map(|key| ("idempotency-key", key))
        .into_iter()
        .collect();
    let token = &stack.urls().token;
    stack
        .http()
        .post("/v1/events", token, &headers, body.to_owned())
        .await
}

async fn published(stack: &TestStack, key: Option<&str>, body: &str) -> String {
    let answer = publish(stack, key, body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_event_is_live_and_in_the_history_as_it_was_sent() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let data = r#"{ "b": 1.50,  "a": "\u00fc\/", "n": 123456789012345678901234567890,"a":[] }"#;
    let body = format!(
        r#"{{"type":"order.created","data":{data},"message_id":"m-1","recipient":"a@example.net","sender":null,"subject":"Grüße","tags":["x","y"],"subaccount":"s","template":"t","metadata":{{ "k" : 1.0 }},"occurred_at":"2026-11-21T22:26:42.9Z"}}"#
    );
    let id = published(&stack, None, &body).await;
    let heard = socket.hear_events(1).await;
    assert_eq!(
        (&heard[0]["id"], &heard[0]["type"]),
        (&json!(id), &json!("order.created"))
    );
    let answer = stack
        .http()
        .get(&format!("/v1/events/{id}"), &stack.urls().token)
        .await;
    let received_at = answer.json()["received_at"].as_str().unwrap().to_owned();
    let expected = format!(
        concat!(
            r#"{{"id":"{}","type":"order.created","source":"api","webhook":null,"occurred_at":"2026-11-21T22:26:42Z","#,
            r#""received_at":"{}","message_id":"m-1","recipient":"a@example.net","sender":null,"subject":"Grüße","#,
            r#""tags":["x","y"],"subaccount":"s","template":"t","metadata":{{ "k" : 1.0 }},"detail":{{}},"data":{},"cursor":"#
        ),
        id, received_at, data
    );
    assert!(answer.body.starts_with(&expected), "{}", answer.body);
    // The least that there is.
    let id = published(&stack, None, r#"{"type":"a"}"#).await;
    let history = stack.history().await;
    assert_eq!(
        (&history[0]["id"], &history[0]["data"]),
        (&json!(id), &Value::Null)
    );
    assert_eq!(history[0]["occurred_at"], history[0]["received_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_each_request_is_an_event_of_its_own() {
    let stack = TestStack::start().await;
    let body = r#"{"type":"a","data":1}"#;
    let (one, other) = (
        published(&stack, None, body).await,
        published(&stack, None, body).await,
    );
    assert_ne!(one, other);
    assert_eq!(stack.history().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stores_one_event_however_often_and_at_once_it_is_sent() {
    let mut stack = TestStack::start().await;
    let body = r#"{"type":"a","message_id":"m","data":{"n":1}}"#;
    let at_once = join_all((0..8).map(|_| published(&stack, Some("order-1"), body))).await;
    assert!(at_once.iter().all(|id| *id == at_once[0]), "{at_once:?}");
    stack.stop().await;
    stack.start_again().await;
    assert_eq!(published(&stack, Some("order-1"), body).await, at_once[0]);
    assert_eq!(stack.history().await.len(), 1);
    // Another key is another event.
    assert_ne!(published(&stack, Some("order-2"), body).await, at_once[0]);
    assert_eq!(stack.history().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_body_is_refused_and_nothing_is_stored() {
    let stack = TestStack::start().await;
    let id = published(&stack, Some("k"), r#"{"type":"a","message_id":"m"}"#).await;
    for other in [
        r#"{"type":"b","message_id":"m"}"#,
        r#"{"type":"a","message_id":"other"}"#,
        r#"{"type":"a","message_id":"m","occurred_at":"2026-11-22T00:00:00Z"}"#,
        r#"{"type":"a","message_id":"m" }"#,
        r#"{"type":"a"}"#,
    ] {
        let answer = publish(&stack, Some("k"), other).await;
        assert_eq!(
            answer.error(),
            (409, "idempotency_conflict".into()),
            "{other}"
        );
    }
    // Two bodies at once: one of them is stored, and the other refused.
    let bodies = [r#"{"type":"x"}"#, r#"{"type":"y"}"#];
    let answers = join_all((0..8).map(|n| publish(&stack, Some("race"), bodies[n % 2]))).await;
    let stored: Vec<_> = answers.iter().map(|answer| answer.status == 202).collect();
    assert!(
        stored.iter().step_by(2).all(|it| *it == stored[0]),
        "{stored:?}"
    );
    assert!(
        stored.iter().skip(1).step_by(2).all(|it| *it != stored[0]),
        "{stored:?}"
    );
    let history = stack.history().await;
    assert_eq!(history.len(), 2);
    assert!(history.iter().any(|event| event["id"] == json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_expired_is_free_for_an_event_that_is_live() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let body = r#"{"type":"a","message_id":"m"}"#;
    let first = published(&stack, Some("k"), body).await;
    assert_eq!(socket.hear_events(1).await[0]["id"], json!(first));
    // Both the claim and the event: DynamoDB has not got to them yet.
    for mut item in stack.items("EventsTable").await {
        let second_ago = clock::now().as_secs() - 1;
        item["expires_at"] = json!({ "N": second_ago.to_string() });
        let request = json!({ "TableName": stack.table("EventsTable"), "Item": item });
        stack.dynamo("PutItem", request).await;
    }
    let second = published(&stack, Some("k"), body).await;
    assert_ne!(second, first);
    assert_eq!(socket.hear_events(1).await[0]["id"], json!(second));
    // And stands for it from then on.
    assert_eq!(published(&stack, Some("k"), body).await, second);
    let answer = publish(&stack, Some("k"), r#"{"type":"b"}"#).await;
    assert_eq!(answer.error(), (409, "idempotency_conflict".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_who_holds_the_token_and_needs_one() {
    let stack = TestStack::start().await;
    let keys: TokenKeys =
        serde_json::from_value(json!({ "token_key": stack.urls().token_key })).unwrap();
    let given = rights(&[Scope::Write], "", false);
    let publish = async |subject: &str, body: &str| {
        let token = keys.mint(subject, &given, clock::now()).unwrap();
        let key = [("idempotency-key", "order-1")];
        stack
            .http()
            .post("/v1/events", &token, &key, body.to_owned())
            .await
    };
    assert_eq!(publish("one", r#"{"type":"a"}"#).await.status, 202);
    assert_eq!(publish("other", r#"{"type":"b"}"#).await.status, 202);
    let answer = publish("", r#"{"type":"c"}"#).await;
    assert_eq!(answer.error(), (400, "bad_idempotency_key".into()));
    assert!(answer.body.contains("sub"), "{}", answer.body);
    assert_eq!(stack.history().await.len(), 2);
    // Without a key nobody has to be known by name.
    let token = keys.mint("", &given, clock::now()).unwrap();
    let body = r#"{"type":"c"}"#;
    let answer = stack.http().post("/v1/events", &token, &[], body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_no_event_to_anybody() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    published(&stack, Some("k"), r#"{"type":"a"}"#).await;
    assert_eq!(socket.hear_events(1).await.len(), 1);
    stack.wait_until_pushed().await;
    assert_eq!(stack.items("EventsTable").await.len(), 2);
    assert_eq!(stack.history().await.len(), 1);
    assert!(socket.drain().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_published_event_is_named() {
    let stack = TestStack::start().await;
    for (body, status, code, named) in [
        ("", 400, "missing_field", "type"),
        ("[]", 400, "bad_json", "object"),
        (r#"{"type":"a""#, 400, "bad_json", "object"),
        (
            r#"{"type":"a","colour":"red"}"#,
            400,
            "unknown_field",
            "colour",
        ),
        (r#"{"type":"a","tags":["x",1]}"#, 400, "bad_field", "tags"),
        (r#"{"type":"open"}"#, 400, "reserved_type", "open"),
        (
            r#"{"type":"endpoint.disabled"}"#,
            400,
            "reserved_type",
            "endpoint.disabled",
        ),
        (
            r#"{"type":"delivery.exhausted"}"#,
            400,
            "reserved_type",
            "delivery",
        ),
    ] {
        let answer = publish(&stack, None, body).await;
        assert_eq!(answer.error(), (status, code.into()), "{body}");
        assert!(answer.body.contains(named), "{}", answer.body);
    }
    let long = "k".repeat(256);
    for key in ["", "two words", "ü", &long] {
        let answer = publish(&stack, Some(key), r#"{"type":"a"}"#).await;
        assert_eq!(answer.error(), (400, "bad_idempotency_key".into()), "{key}");
    }
    let token = &stack.urls().token;
    let (http, bearer) = (stack.http(), format!("Bearer {token}"));
    let headers = [("authorization", bearer.as_str())];
    let post = reqwest::Method::POST;
    let answer = http.request(post, "/v1/events", &headers, "type=a").await;
    assert_eq!(answer.error(), (400, "bad_json".into()));
    let answer = http.post("/v1/events?type=a", token, &[], "{}").await;
    assert_eq!(answer.error(), (400, "unknown_parameter".into()));
    let answer = http
        .post("/v1/events", "wrong", &[], r#"{"type":"a"}"#)
        .await;
    assert_eq!(answer.status, 401);
    assert!(stack.history().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_is_kept_whole_and_a_larger_one_is_refused() {
    let stack = TestStack::start().await;
    let body = |bytes: usize| {
        let around = r#"{"type":"a","data":""}"#.len();
        format!(r#"{{"type":"a","data":"{}"}}"#, noise(bytes - around))
    };
    let limit = 1024 * 1024;
    let id = published(&stack, Some("large"), &body(limit)).await;
    // What hardly compresses is too large for an item.
    let oversized = crate::oversized::the_oversized(&stack).await;
    assert_eq!(oversized["id"], json!(id));
    let whole = crate::oversized::by_id(&stack, &oversized).await;
    assert!(whole.contains(&body(limit)[11..limit - 1]));
    assert_eq!(stack.objects("OversizedBucket").await.unwrap().len(), 1);
    let answer = publish(&stack, None, &body(limit + 1)).await;
    assert_eq!(answer.error(), (413, "too_large".into()));
    assert_eq!(stack.history().await.len(), 1);
}
