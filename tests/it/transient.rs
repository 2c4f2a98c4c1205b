//! What `deliver` does with a message when AWS does not answer for a moment: left to SQS, it would
//! be hidden for the queue's visibility timeout, which is minutes.

use domain::delivery::{DeliveryId, DeliveryMessage};
use domain::{EndpointId, EventId};
use flows::{DEADLINE, Receiver, Reply, TestStack, eventually};
use local_aws::faults::CallFault;
use serde_json::{Value, json};

use crate::deliver::{endpoint, publish, settled, settled_within, wait_until_idle};
use crate::endpoints::{created, get, path, post};
use crate::isolation::BEFORE_SQS;

/// As many times as a call is tried.
const TRIES: usize = 3;

fn fail(stack: &TestStack, operation: &str, calls: usize) {
    for _ in 0..calls {
        let faults = stack.faults();
        faults.plan_call("DeliverFunction", operation, 0, CallFault::Fail);
    }
}

/// Invokes `deliver` with messages that ask for these attempts; the ids of those that it leaves to
/// SQS.
async fn left_to_sqs(stack: &TestStack, asked: &[(EventId, &Value, u16)]) -> Vec<Value> {
    let records = asked
        .iter()
        .enumerate()
        .map(|(n, (event, endpoint, attempt))| {
            let endpoint: EndpointId = endpoint["id"].as_str().unwrap().parse().unwrap();
            let id = DeliveryId::new(*event, endpoint);
            let body = DeliveryMessage::new(id, *attempt).to_json();
            json!({
                "messageId": n.to_string(), "receiptHandle": "x", "body": body, "attributes": {},
                "messageAttributes": {}, "md5OfBody": "x", "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:x", "awsRegion": "us-east-1",
            })
        });
    let payload = json!({ "Records": records.collect::<Vec<_>>() });
    let answer = stack.invoke("DeliverFunction", payload.to_string()).await;
    let answer: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    answer["batchItemFailures"].as_array().unwrap().clone()
}

/// When the only delivery of an event is due by its row.
async fn due_at(stack: &TestStack, event: &str) -> u64 {
    let rows = stack.items("DeliveriesTable").await;
    let mut rows = rows.into_iter();
    let row = rows.find(|row| {
        let text = |name: &str| row[name]["S"].as_str().unwrap_or_default().to_owned();
        text("sk").starts_with("d#") && text("state_at").contains(event)
    });
    let row = row.unwrap();
    row["due_at"]["N"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_could_not_be_cancelled_is_cancelled_soon() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    receiver.reply("/a", Reply::status(500));
    let endpoint = endpoint(&stack, &receiver, "/a", &[7_200]).await;
    let event = publish(&stack, "a", "1").await;
    receiver.wait_for("/a", 1).await;
    wait_until_idle(&stack).await;
    let disabled = post(&stack, &path(&endpoint, "/disable"), &Value::Null).await;
    assert_eq!(disabled.status, 200, "{}", disabled.body);
    settled(&stack, &event, &endpoint, "pending").await;

    fail(&stack, "UpdateItem", TRIES);
    let asked = [(event.parse().unwrap(), &endpoint, 2)];
    assert_eq!(left_to_sqs(&stack, &asked).await, [] as [Value; 0]);
    assert_eq!(stack.faults().planned_calls(), 0);
    settled_within(BEFORE_SQS, &stack, &event, &endpoint, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_could_not_be_put_off_by_its_row_is_asked_for_again_soon() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    receiver.reply("/a", Reply::status(500));
    let body = json!({ "url": receiver.url("/a"), "filter": "type:a", "retry_schedule": [7_200] });
    let endpoint = created(&stack, &body).await;
    let mut last = String::new();
    for number in 0..10 {
        last = publish(&stack, "a", &number.to_string()).await;
    }
    // Its circuit breaker opens.
    eventually(DEADLINE, async || {
        let health = get(&stack, &path(&endpoint, "")).await["health"].take();
        let is_open = health["state"] == "failing";
        is_open.then_some(()).ok_or(health.to_string())
    })
    .await;
    wait_until_idle(&stack).await;
    let before = due_at(&stack, &last).await;

    fail(&stack, "UpdateItem", TRIES);
    let asked = [(last.parse().unwrap(), &endpoint, 2)];
    assert_eq!(left_to_sqs(&stack, &asked).await, [] as [Value; 0]);
    assert_eq!(stack.faults().planned_calls(), 0);
    eventually(BEFORE_SQS, async || {
        let now = due_at(&stack, &last).await;
        (now != before).then_some(()).ok_or(format!("due at {now}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_sqs_does_not_take_is_put_off_by_its_row() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    receiver.reply("/a", Reply::status(500));
    let body = json!({ "url": receiver.url("/a"), "rate_limit": 1, "retry_schedule": [7_200] });
    let endpoint = created(&stack, &body).await;
    let event = publish(&stack, "a", "1").await;
    receiver.wait_for("/a", 1).await;
    wait_until_idle(&stack).await;

    // The first of them have the next times under the rate limit, and are of no delivery.
    let unknown = (EventId::ZERO, &endpoint, 1);
    let mut asked = vec![unknown; 3];
    asked.push((event.parse().unwrap(), &endpoint, 2));
    let before = due_at(&stack, &event).await;
    fail(&stack, "SendMessageBatch", 1_000);
    assert_eq!(left_to_sqs(&stack, &asked).await, [] as [Value; 0]);
    assert!(stack.faults().planned_calls() < 1_000, "SQS was not asked");
    // In seconds, in place of hours.
    assert!(due_at(&stack, &event).await < before);
}
