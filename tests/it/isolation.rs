//! One endpoint is nobody else's trouble.

use std::collections::BTreeMap;
use std::time::Duration;

use flows::{DEADLINE, Receiver, Reply, TestStack, eventually, sends};
use local_aws::faults::CallFault;
use serde_json::{Value, json};

use crate::deliver::{
    attempts, endpoint, publish, quick, settled, settled_within, wait_until_idle,
};
use crate::endpoints::{created, get, path};

/// Before SQS would hand a message out again: the queue's visibility timeout is four minutes.
pub(crate) const BEFORE_SQS: Duration = Duration::from_secs(200);

/// How often each endpoint's requests came.
fn counts(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in receiver.received() {
        *counts.entry(request.path().to_owned()).or_default() += 1;
    }
    counts
}

async fn health(stack: &TestStack, endpoint: &Value) -> Value {
    get(stack, &path(endpoint, "")).await["health"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_holds_up_none_of_the_other_nine() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let mut endpoints = Vec::new();
    for number in 0..10 {
        endpoints.push(endpoint(&stack, &receiver, &format!("/{number}"), &[]).await);
    }
    receiver.reply("/0", Reply::hang());
    for number in 0..100 {
        publish(&stack, "a", &number.to_string()).await;
    }
    // All of it, while the first of what hangs still does or has just been given up.
    for number in 1..10 {
        receiver.wait_for(&format!("/{number}"), 100).await;
    }
    // Until it is known to be slow, batches take it to be well; then a few at once have a permit.
    eventually(DEADLINE, async || {
        let state = health(&stack, &endpoints[0]).await["state"].clone();
        (state != "ok").then_some(()).ok_or(state.to_string())
    })
    .await;
    for number in 0..100 {
        publish(&stack, "b", &number.to_string()).await;
    }
    for number in 1..10 {
        receiver.wait_for(&format!("/{number}"), 200).await;
    }
    let hanging = receiver.received_at("/0").len();
    assert!(hanging < 200, "all {hanging} deliveries hang");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_left_alone_and_none_of_its_attempts_is_burnt() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let dead = endpoint(&stack, &receiver, "/dead", &[60]).await;
    receiver.reply("/dead", Reply::status(500));
    for number in 0..10 {
        publish(&stack, "a", &number.to_string()).await;
    }
    eventually(DEADLINE, async || {
        let health = health(&stack, &dead).await;
        let failures = health["consecutive_failures"].as_u64().unwrap();
        (failures >= 10).then_some(()).ok_or(health.to_string())
    })
    .await;
    let mut events = Vec::new();
    for number in 0..20 {
        events.push(publish(&stack, "b", &number.to_string()).await);
    }
    // It comes back: what was put off is sent, with all its attempts.
    receiver.reply("/dead", Reply::status(200));
    for event in &events {
        let delivery = settled(&stack, event, &dead, "delivered").await;
        assert!(attempts(&delivery).len() <= 2, "{delivery}");
    }
    let about = async |kind: &str| {
        let page = stack.page(&format!("filter=type:{kind}")).await;
        page["events"].as_array().unwrap().len()
    };
    // Both follow after the delivery on which they depend.
    eventually(DEADLINE, async || {
        let (health, recovered) = (
            health(&stack, &dead).await,
            about("endpoint.recovered").await,
        );
        let is_well = health["state"] == "ok" && recovered > 0;
        is_well
            .then_some(())
            .ok_or(format!("{recovered} events `endpoint.recovered`: {health}"))
    })
    .await;
    wait_until_idle(&stack).await;
    for kind in ["endpoint.failing", "endpoint.recovered"] {
        assert_eq!(about(kind).await, 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_no_more_a_second_than_its_rate_limit() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let body = json!({ "url": receiver.url("/a"), "rate_limit": 2 });
    created(&stack, &body).await;
    let begun = platform::clock::now();
    // All in one request: without a limit they come as fast as they can be sent.
    stack.mandrill().deliver(sends(0..12)).await;
    let received = receiver.wait_for("/a", 12).await;
    // 12 at 2 a second take 5.5 s; what came at once first may be as much as a second's. On a busy
    // machine the first may be late, but never is the last one early.
    let took = received[11].at.0 - begun.0;
    assert!(took >= 4_400, "{took} ms");
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_dead_endpoints_subscribed_to_everything_do_not_feed_each_other() {
    // Fast: an open breaker lets one attempt at a time through, of all that there is to tell.
    let stack = TestStack::start_with(|options| options.local.time_scale = 600).await;
    let receiver = Receiver::start().await;
    for number in 0..10 {
        let at = format!("/{number}");
        receiver.reply(&at, Reply::status(500));
        endpoint(&stack, &receiver, &at, &[]).await;
    }
    for number in 0..5 {
        publish(&stack, "a", &number.to_string()).await;
    }
    let told = async || {
        let page = stack.page("filter=source:posthorn&limit=1000").await;
        let told = page["events"].as_array().unwrap().iter();
        told.map(|event| format!("{} {}", event["webhook"], event["type"]))
            .collect::<Vec<_>>()
    };
    // Each of them tells at least that deliveries were given up.
    for number in 0..10 {
        receiver.wait_for(&format!("/{number}"), 5 + 10).await;
    }
    // Whoever feeds the others has no end of requests. What follows from one is told before its
    // message is deleted.
    let all = eventually(DEADLINE, async || {
        let (all, requests) = (told().await, receiver.received().len());
        let left = stack.queue("DeliveriesQueue").await.unwrap();
        let has_ended = left.is_empty() && requests == 10 * (5 + all.len());
        let problem = format!("{} are told by {requests} requests, {left:?}", all.len());
        (has_ended && told().await == all)
            .then_some(all)
            .ok_or(problem)
    })
    .await;
    let exhausted = all.iter().filter(|told| told.contains("exhausted"));
    assert!(exhausted.count() >= 10, "{all:#?}");
    // Each of them may tell once in an hour and of each kind that it fails and that deliveries were
    // given up. The hour may have changed meanwhile.
    assert!(all.len() <= 40, "{all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_failure_could_not_be_told_is_not_told() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    receiver.reply("/dead", Reply::status(500));
    receiver.reply("/listens", Reply::status(500));
    let subscribed = async |at: &str, filter: &str| {
        let url = receiver.url(at);
        let body = json!({ "url": url, "filter": filter, "retry_schedule": [] });
        created(&stack, &body).await
    };
    let dead = subscribed("/dead", "type:a").await;
    let listens = subscribed("/listens", "source:posthorn").await;
    publish(&stack, "a", "1").await;
    eventually(DEADLINE, async || {
        let health = health(&stack, &listens).await;
        let has_failed = health["consecutive_failures"] != 0;
        has_failed.then_some(()).ok_or(health.to_string())
    })
    .await;
    wait_until_idle(&stack).await;
    let page = stack.page("filter=source:posthorn").await;
    let about: Vec<_> = page["events"].as_array().unwrap().iter().collect();
    assert!(!about.is_empty());
    for event in about {
        assert_eq!(event["webhook"], dead["id"], "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_end_are_on_record_while_another_hangs() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    receiver.reply("/hangs", Reply::hang());
    let hangs = endpoint(&stack, &receiver, "/hangs", &[]).await;
    let quick = endpoint(&stack, &receiver, "/quick", &[]).await;
    let event = publish(&stack, "a", "1").await;
    receiver.wait_for("/hangs", 1).await;
    settled(&stack, &event, &quick, "delivered").await;
    assert_eq!(receiver.outstanding("/hangs"), 1);
    let delivery = settled(&stack, &event, &hangs, "pending").await;
    assert!(attempts(&delivery).is_empty());
    assert_eq!(counts(&receiver)["/quick"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decided_on_or_read_is_put_off_by_seconds_and_sent_once() {
    // All three tries of a call fail: of the rate limit, of the events, and of the claim, which
    // holds for a minute.
    for (operation, skipped) in [("UpdateItem", 0), ("BatchGetItem", 0), ("UpdateItem", 1)] {
        let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
        let body = json!({ "url": receiver.url("/a"), "rate_limit": 10 });
        let endpoint = created(&stack, &body).await;
        for passed in [skipped, 0, 0] {
            let faults = stack.faults();
            faults.plan_call("DeliverFunction", operation, passed, CallFault::Fail);
        }
        let event = publish(&stack, "a", "1").await;
        let delivery = settled_within(BEFORE_SQS, &stack, &event, &endpoint, "delivered").await;
        assert_eq!(stack.faults().planned_calls(), 0, "{operation}");
        assert_eq!(attempts(&delivery), [(1, Value::Null)], "{operation}");
        wait_until_idle(&stack).await;
        assert_eq!(receiver.received().len(), 1, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_a_contended_endpoint_becomes_no_dead_letter() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let body = json!({ "url": receiver.url("/a"), "rate_limit": 10 });
    let endpoint = created(&stack, &body).await;
    // Two rounds in a row.
    for _ in 0..6 {
        let faults = stack.faults();
        faults.plan_call("DeliverFunction", "UpdateItem", 0, CallFault::Fail);
    }
    let event = publish(&stack, "a", "1").await;
    let delivery = settled_within(BEFORE_SQS, &stack, &event, &endpoint, "delivered").await;
    assert_eq!(attempts(&delivery), [(1, Value::Null)]);
    wait_until_idle(&stack).await;
    let dead = stack.queue("DeliveriesDeadLetters").await.unwrap();
    assert!(dead.is_empty(), "{dead:?}");
}
