//! A 200 means stored, and stored means once.

use std::collections::BTreeSet;

use flows::{TestStack, batch, ids, numbers, of_message, send, sends};
use serde_json::Value;

/// That exactly the events 0..count are stored, by every way to look.
async fn assert_stored(stack: &TestStack, count: usize) {
    let events = stack.history().await;
    let found: BTreeSet<_> = numbers(&events).into_iter().collect();
    assert_eq!(found, (0..count).collect(), "by number");
    assert_eq!((events.len(), ids(&events).len()), (count, count));
    let key = |item: &Value| {
        let text = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
        format!("evt_{}{}", text("pk"), text("sk"))
    };
    let items = stack.items("EventsTable").await;
    assert_eq!(items.iter().map(key).collect::<BTreeSet<_>>(), ids(&events));
}

/// That nothing but `count` inserts was ever written.
async fn assert_written_once(stack: &TestStack, count: usize) {
    let names = stack.record_names().await;
    assert_eq!(names.len(), count, "{names:?}");
    assert!(names.iter().all(|name| name == "INSERT"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_means_that_every_event_is_in_the_table() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..130)).await;
    assert_stored(&stack, 130).await;
    assert_written_once(&stack, 130).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_database_delays_a_batch_and_loses_nothing_of_it() {
    let stack = TestStack::start().await;
    stack.dynamodb().faults().throttle_share(0.4);
    stack.mandrill().deliver(sends(0..300)).await;
    stack.dynamodb().faults().throttle_share(0.0);
    assert_stored(&stack, 300).await;

    stack.dynamodb().faults().throttle_next(3);
    stack.mandrill().deliver(batch([send(300)])).await;
    assert_stored(&stack, 301).await;
    assert_written_once(&stack, 301).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_refuses_everything_the_answer_is_no_200_and_the_retry_stores_each_once()
{
    let stack = TestStack::start().await;
    stack.dynamodb().faults().throttle_share(1.0);
    let answer = stack.mandrill().post(sends(0..4)).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], "unavailable");
    stack.dynamodb().faults().throttle_share(0.0);
    assert_stored(&stack, 0).await;
    stack.mandrill().deliver(sends(0..4)).await;
    assert_stored(&stack, 4).await;
    assert_written_once(&stack, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_failed_half_way_is_completed_by_its_retry() {
    let stack = TestStack::start().await;
    // Whether this is enough to fail is left to the store: what counts is what the retry does.
    stack.dynamodb().faults().throttle_share(0.9);
    let answer = stack.mandrill().post(sends(0..60)).await;
    assert!(matches!(answer.status, 200 | 503), "{}", answer.body);
    stack.dynamodb().faults().throttle_share(0.0);
    stack.mandrill().deliver(sends(0..60)).await;
    assert_stored(&stack, 60).await;
    assert_written_once(&stack, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_twice_changes_nothing() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let sync =
        r#"{"type":"blacklist","action":"add","ts":1795300000,"reject":{"email":"a@example.net"}}"#;
    let odd = ["null", "{}", "[1]", sync];
    let events = batch((0..40).map(send).chain(odd.map(str::to_owned)));
    stack.mandrill().deliver(&events).await;
    let first = stack.history().await;
    let pushed = socket.hear_events(44).await;
    stack.mandrill().deliver(&events).await;
    // With all their cursors and times.
    assert_eq!(stack.history().await, first);
    // No record, so there is nothing to push a second time.
    assert_written_once(&stack, 44).await;
    assert_eq!(ids(&pushed), ids(&first));
    assert_eq!(pushed.len(), 44);
    assert!(socket.drain().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_arrives_twice_at_once_is_there_once() {
    let stack = TestStack::start().await;
    let mandrill = stack.mandrill();
    let events = sends(0..60);
    tokio::join!(
        mandrill.deliver(&events),
        mandrill.deliver(&events),
        mandrill.deliver(&events)
    );
    assert_stored(&stack, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_events_in_a_batch_are_as_many_events() {
    let stack = TestStack::start().await;
    let click = of_message("click", 1, 0);
    let events = batch([&click, &click, &send(1), &click]);
    for _ in 0..2 {
        stack.mandrill().deliver(&events).await;
        let stored = stack.history().await;
        let clicks = stored
            .iter()
            .filter(|event| event["type"] == "click")
            .count();
        assert_eq!((stored.len(), clicks, ids(&stored).len()), (4, 3, 4));
    }
    assert_written_once(&stack, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_overlaps_another_only_the_new_is_stored() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..50)).await;
    let before = stack.history().await;
    stack.mandrill().deliver(sends(30..80)).await;
    assert_stored(&stack, 80).await;
    assert_written_once(&stack, 80).await;
    let after = stack.history().await;
    assert_eq!(after[30..], before, "what was there has not moved");
}
