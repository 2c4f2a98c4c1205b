//! Attempts: what an endpoint is sent, and what follows from what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::delivery::MAX_BODY_BYTES;
use flows::{DEADLINE, Received, Receiver, Reply, TestStack, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoints::{ask, created, get, path, post};

/// A stack in which a wait of a minute takes a second.
pub(crate) async fn quick() -> TestStack {
    TestStack::start_with(|options| options.local.time_scale = 60).await
}

/// An endpoint at a path of the receiver, with this schedule.
pub(crate) async fn endpoint(
    stack: &TestStack,
    receiver: &Receiver,
    at: &str,
    schedule: &[u32],
) -> Value {
    let body = json!({ "url": receiver.url(at), "retry_schedule": schedule });
    created(stack, &body).await
}

/// Publishes an event; its id.
pub(crate) async fn publish(stack: &TestStack, kind: &str, data: &str) -> String {
    let body = format!(r#"{{"type":"{kind}","data":{data}}}"#);
    let token = &stack.urls().token;
    let answer = stack.http().post("/v1/events", token, &[], body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The delivery of an event to an endpoint, as soon as it has this status.
pub(crate) async fn settled(
    stack: &TestStack,
    event: &str,
    endpoint: &Value,
    status: &str,
) -> Value {
    settled_within(DEADLINE, stack, event, endpoint, status).await
}

pub(crate) async fn settled_within(
    deadline: Duration,
    stack: &TestStack,
    event: &str,
    endpoint: &Value,
    status: &str,
) -> Value {
    let path = format!("/v1/events/{event}/deliveries");
    eventually(deadline, async || {
        let list = get(stack, &path).await;
        let deliveries = list["deliveries"].as_array().unwrap().iter();
        let mut to = deliveries.filter(|delivery| delivery["endpoint_id"] == endpoint["id"]);
        let found = to.find(|delivery| delivery["status"] == status);
        found.cloned().ok_or_else(|| list.to_string())
    })
    .await
}

/// The numbers of a delivery's attempts, oldest first, and how each failed.
pub(crate) fn attempts(delivery: &Value) -> Vec<(u64, Value)> {
    let attempts = delivery["attempts"].as_array().unwrap().iter().rev();
    let attempt = |attempt: &Value| {
        (
            attempt["number"].as_u64().unwrap(),
            attempt["error"].clone(),
        )
    };
    attempts.map(attempt).collect()
}

/// The endpoint, as soon as it is disabled: that follows after the delivery on which it depends.
pub(crate) async fn disabled(stack: &TestStack, endpoint: &Value, reason: &str) -> Value {
    eventually(DEADLINE, async || {
        let there = get(stack, &path(endpoint, "")).await;
        let is_so = there["status"] == "disabled" && there["disabled_reason"] == reason;
        is_so
            .then_some(there.clone())
            .ok_or_else(|| there.to_string())
    })
    .await
}

fn ids(received: &[Received]) -> BTreeSet<&str> {
    received.iter().map(Received::webhook_id).collect()
}

/// Waits until nothing is in the queue of deliveries, nor with a function.
pub(crate) async fn wait_until_idle(stack: &TestStack) {
    eventually(DEADLINE, async || {
        let left = stack.queue("DeliveriesQueue").await.unwrap();
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_tried_until_it_succeeds_with_the_same_id_and_body() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[60, 60, 60, 60]).await;
    let failures = [Reply::status(500), Reply::close(), Reply::status(404)];
    receiver.script("/a", failures.into_iter().chain([Reply::status(204)]));
    // Keys stay in the order in which they came, numbers and escapes as they were written.
    let data = r#"{"z":1,"a":{"y":1.0e2,"b":"\u00e4/ä"},"A":[]}"#;
    let event = publish(&stack, "order.created", data).await;
    let delivery = settled(&stack, &event, &endpoint, "delivered").await;
    assert_eq!(
        attempts(&delivery),
        [
            (1, json!("status")),
            (2, json!("reset")),
            (3, json!("status")),
            (4, Value::Null)
        ]
    );
    let received = receiver.received_at("/a");
    assert_eq!(received.len(), 4);
    assert_eq!(ids(&received), BTreeSet::from([event.as_str()]));
    let secret = endpoint["secret"].as_str().unwrap();
    for request in &received {
        assert_eq!(request.body, received[0].body);
        assert!(request.is_signed_by(secret));
        assert_eq!(request.header("content-type"), "application/json");
        assert!(request.header("user-agent").starts_with("Posthorn/"));
        assert!(request.header("x-hub-signature-256").starts_with("sha256="));
    }
    assert!(received[0].text().contains(&format!(r#""data":{data}"#)));
    let event = get(&stack, &format!("/v1/events/{event}")).await;
    assert_eq!(received[0].json(), event);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_fails_for_good_after_the_last_step() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    receiver.reply("/a", Reply::status(503).body("not now"));
    receiver.reply("/never", Reply::status(503));
    let twice = endpoint(&stack, &receiver, "/a", &[60, 60]).await;
    let once = endpoint(&stack, &receiver, "/never", &[]).await;
    let event = publish(&stack, "a", "1").await;
    let delivery = settled(&stack, &event, &twice, "failed").await;
    let numbers: Vec<u64> = attempts(&delivery)
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(delivery["attempts"][0]["body"], "not now");
    let delivery = settled(&stack, &event, &once, "failed").await;
    assert_eq!(attempts(&delivery), [(1, json!("status"))]);
    wait_until_idle(&stack).await;
    // They are sent what is told of them as well.
    let sent = |at: &str| {
        let received = receiver.received_at(at).into_iter();
        received.filter(|it| it.webhook_id() == event).count()
    };
    assert_eq!((sent("/a"), sent("/never")), (3, 1));
    // It is told, once.
    let told = exhausted(&stack, &twice).await;
    assert_eq!(told["source"], "posthorn");
    assert_eq!(told["data"]["count"], 1);
}

async fn exhausted(stack: &TestStack, endpoint: &Value) -> Value {
    eventually(DEADLINE, async || {
        let events = stack.page("filter=type:delivery.exhausted").await;
        let mut events = events["events"].as_array().unwrap().iter();
        let found = events.find(|event| event["webhook"] == endpoint["id"]);
        let event = found.cloned().ok_or("nothing is told")?;
        let id = event["id"].as_str().unwrap();
        Ok(get(stack, &format!("/v1/events/{id}")).await)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    for status in [301, 302, 303, 307, 308] {
        let at = format!("/{status}");
        let target = receiver.url("/elsewhere");
        receiver.reply(&at, Reply::status(status).header("location", &target));
        let endpoint = endpoint(&stack, &receiver, &at, &[]).await;
        let event = publish(&stack, "a", "1").await;
        let delivery = settled(&stack, &event, &endpoint, "failed").await;
        assert_eq!(delivery["attempts"][0]["status"], status);
        assert_eq!(delivery["attempts"][0]["headers"]["location"], target);
    }
    assert!(receiver.received_at("/elsewhere").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_cut_and_one_without_an_end_is_left() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    receiver.reply("/huge", Reply::status(200).body(vec![b'x'; 3_000_000]));
    receiver.reply("/endless", Reply::endless(500));
    let huge = endpoint(&stack, &receiver, "/huge", &[]).await;
    let endless = endpoint(&stack, &receiver, "/endless", &[]).await;
    let event = publish(&stack, "a", "1").await;
    for (endpoint, status) in [(&huge, "delivered"), (&endless, "failed")] {
        let delivery = settled(&stack, &event, endpoint, status).await;
        let body = delivery["attempts"][0]["body"].as_str().unwrap();
        assert_eq!(body.len(), MAX_BODY_BYTES);
    }
    eventually(DEADLINE, async || {
        let left = receiver.outstanding("/endless");
        (left == 0).then_some(()).ok_or(format!("{left} go on"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_in_time_is_tried_again() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[1]).await;
    // Its status is not there in time.
    let slow = Reply::status(200).dripping(Duration::from_secs(2));
    receiver.script("/a", [slow, Reply::status(200)]);
    let event = publish(&stack, "a", "1").await;
    let delivery = settled(&stack, &event, &endpoint, "delivered").await;
    assert_eq!(
        attempts(&delivery),
        [(1, json!("timeout")), (2, Value::Null)]
    );
    let first = &delivery["attempts"][1];
    assert!(first["duration_ms"].as_u64().unwrap() >= 15_000, "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled_and_what_waits_is_cancelled() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[60]).await;
    // The first attempt fails when the endpoint is disabled already, so that its retry comes after that.
    receiver.script("/a", [Reply::status(500).held(), Reply::status(410)]);
    let waits = publish(&stack, "a", "1").await;
    receiver.wait_for("/a", 1).await;
    let gone = publish(&stack, "a", "2").await;
    settled(&stack, &gone, &endpoint, "failed").await;
    disabled(&stack, &endpoint, "gone").await;
    receiver.release();
    let delivery = settled(&stack, &waits, &endpoint, "cancelled").await;
    assert_eq!(attempts(&delivery), [(1, json!("status"))]);
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received_at("/a").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_disabled_or_deleted_meanwhile_gets_nothing_more() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let disabled = endpoint(&stack, &receiver, "/disabled", &[120]).await;
    let deleted = endpoint(&stack, &receiver, "/deleted", &[120]).await;
    // They fail when that has happened, so that their retries come after it.
    receiver.reply("/disabled", Reply::status(500).held());
    receiver.reply("/deleted", Reply::status(500).held());
    let event = publish(&stack, "a", "1").await;
    receiver.wait_for("/disabled", 1).await;
    receiver.wait_for("/deleted", 1).await;
    let answer = post(&stack, &path(&disabled, "/disable"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = ask(&stack, Method::DELETE, &path(&deleted, ""), &Value::Null).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    receiver.release();
    settled(&stack, &event, &disabled, "cancelled").await;
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received_at("/disabled").len(), 1);
    assert_eq!(receiver.received_at("/deleted").len(), 1);
    // Nor does it get anything new: what another gets has been dispatched.
    let other = endpoint(&stack, &receiver, "/other", &[]).await;
    let event = publish(&stack, "a", "2").await;
    settled(&stack, &event, &other, "delivered").await;
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_sign_after_a_rotation_in_flight() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[120]).await;
    receiver.script("/a", [Reply::status(500).held(), Reply::status(200)]);
    let event = publish(&stack, "a", "1").await;
    receiver.wait_for("/a", 1).await;
    let answer = post(&stack, &path(&endpoint, "/rotate-secret"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    receiver.release();
    let old = endpoint["secret"].as_str().unwrap().to_owned();
    let new = answer.json()["secret"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    settled(&stack, &event, &endpoint, "delivered").await;
    let received = receiver.received_at("/a");
    assert!(received[0].is_signed_by(&old) && !received[0].is_signed_by(&new));
    assert!(received[1].is_signed_by(&old) && received[1].is_signed_by(&new));
    received[1].verify(&new).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_an_overlap_leaves_the_newest_key_alone() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    let mut keys = vec![endpoint["secret"].as_str().unwrap().to_owned()];
    for body in [
        json!({}),
        json!({ "overlap_hours": 168 }),
        json!({ "overlap_hours": 0 }),
    ] {
        let answer = post(&stack, &path(&endpoint, "/rotate-secret"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        keys.push(answer.json()["secret"].as_str().unwrap().to_owned());
    }
    let event = publish(&stack, "a", "1").await;
    settled(&stack, &event, &endpoint, "delivered").await;
    let received = receiver.received_at("/a");
    let signed: Vec<_> = keys
        .iter()
        .map(|key| received[0].is_signed_by(key))
        .collect();
    assert_eq!(signed, [false, false, false, true]);
    let there = get(&stack, &path(&endpoint, "")).await;
    assert_eq!(there["secrets"].as_array().unwrap().len(), 1, "{there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_twice_makes_one_attempt() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    stack.faults().sqs().duplicate_next(20);
    let mut events = Vec::new();
    for number in 0..20 {
        events.push(publish(&stack, "a", &number.to_string()).await);
    }
    for event in &events {
        let delivery = settled(&stack, event, &endpoint, "delivered").await;
        assert_eq!(attempts(&delivery).len(), 1);
    }
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received_at("/a").len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_its_own_headers() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let body = json!({ "url": receiver.url("/a?key=1"), "headers": { "X-Team": "mail", "authorization": "Bearer x" } });
    let endpoint = created(&stack, &body).await;
    let event = publish(&stack, "a", "1").await;
    settled(&stack, &event, &endpoint, "delivered").await;
    let received = receiver.received_at("/a");
    assert_eq!(received[0].target, "/a?key=1");
    assert_eq!(received[0].header("x-team"), "mail");
    assert_eq!(received[0].header("authorization"), "Bearer x");
    assert_eq!(received[0].header("webhook-id"), event);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_was_stored_before_its_name_was_reserved_is_not_sent() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let body = json!({ "url": receiver.url("/a"), "headers": { "x-old": "1", "x-team": "mail" } });
    let endpoint = created(&stack, &body).await;
    let rows = stack.items("EndpointsTable").await;
    let mut rows = rows
        .into_iter()
        .filter(|row| row.to_string().contains("x-old"));
    let row = rows.next().expect("the endpoint's row").to_string();
    let item: Value = serde_json::from_str(&row.replace("x-old", "webhook_id")).unwrap();
    let put = json!({ "TableName": stack.table("EndpointsTable"), "Item": item });
    stack.dynamo("PutItem", put).await;

    let event = publish(&stack, "a", "1").await;
    settled(&stack, &event, &endpoint, "delivered").await;
    let received = receiver.received_at("/a");
    assert_eq!(received[0].header("webhook-id"), event);
    assert_eq!(received[0].header("webhook_id"), "");
    assert_eq!(received[0].header("x-team"), "mail");
    let shown = get(&stack, &path(&endpoint, "")).await;
    assert_eq!(shown["headers"]["webhook_id"], "***");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_the_table_is_delivered_whole() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    let data = json!(flows::noise(900_000)).to_string();
    let event = publish(&stack, "a", &data).await;
    settled(&stack, &event, &endpoint, "delivered").await;
    let received = receiver.received_at("/a");
    assert!(received[0].text().contains(&data));
    assert!(received[0].is_signed_by(endpoint["secret"].as_str().unwrap()));
}
