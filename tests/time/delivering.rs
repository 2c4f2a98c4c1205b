//! Retries that are hours or days away.

use std::time::Duration;

use flows::{DEADLINE, Receiver, Reply, TestStack, eventually};
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn ask(stack: &TestStack, method: Method, path: &str, body: Value) -> Value {
    let bearer = format!("Bearer {}", stack.urls().token);
    let headers = [("authorization", bearer.as_str())];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = stack.http().request(method, path, &headers, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.body);
    answer.json()
}

async fn endpoint(stack: &TestStack, url: &str, schedule: &[u32]) -> Value {
    let body = json!({ "url": url, "retry_schedule": schedule });
    ask(stack, Method::POST, "/v1/endpoints", body).await
}

async fn publish(stack: &TestStack) -> String {
    let event = ask(stack, Method::POST, "/v1/events", json!({ "type": "a" })).await;
    event["id"].as_str().unwrap().to_owned()
}

/// The only delivery of an event, as soon as it is so.
async fn delivery(stack: &TestStack, event: &str, status: &str, attempts: usize) -> Value {
    let path = format!("/v1/events/{event}/deliveries");
    eventually(DEADLINE, async || {
        let list = ask(stack, Method::GET, &path, Value::Null).await;
        let delivery = list["deliveries"][0].clone();
        let made = delivery["attempt_count"].clone();
        let is_so = delivery["status"] == status && made == attempts;
        is_so.then_some(delivery).ok_or_else(|| list.to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_is_hours_away_waits_by_its_row_and_not_in_the_queue() {
    let (stack, _clock) = crate::start().await;
    let receiver = Receiver::start().await;
    receiver.script("/a", [Reply::status(500), Reply::status(200)]);
    endpoint(&stack, &receiver.url("/a"), &[2 * 60 * 60]).await;
    let event = publish(&stack).await;
    delivery(&stack, &event, "pending", 1).await;
    eventually(DEADLINE, async || {
        let left = stack.queue("DeliveriesQueue").await.unwrap();
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    })
    .await;
    // Jitter makes it 96 minutes at least.
    stack.pass(HOUR).await;
    let answer = stack.invoke("RequeueFunction", "{}".to_owned()).await;
    assert_eq!(answer.unwrap(), r#"{"requeued":0}"#);
    assert_eq!(receiver.received().len(), 1);
    stack.pass(HOUR * 2).await;
    delivery(&stack, &event, "delivered", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_only_fails_for_five_days_is_disabled() {
    let (stack, _clock) = crate::start().await;
    let receiver = Receiver::start().await;
    receiver.reply("/a", Reply::status(500));
    let made = endpoint(&stack, &receiver.url("/a"), &[24 * 60 * 60; 7]).await;
    let path = format!("/v1/endpoints/{}", made["id"].as_str().unwrap());
    let event = publish(&stack).await;
    for attempts in 1..5 {
        delivery(&stack, &event, "pending", attempts).await;
        let endpoint = ask(&stack, Method::GET, &path, Value::Null).await;
        assert_eq!(endpoint["status"], "enabled");
        // A day and what jitter may add.
        stack.pass(DAY + DAY / 4).await;
    }
    eventually(DEADLINE, async || {
        let endpoint = ask(&stack, Method::GET, &path, Value::Null).await;
        let is_so = endpoint["disabled_reason"] == "failing";
        is_so.then_some(()).ok_or(endpoint.to_string())
    })
    .await;
}
