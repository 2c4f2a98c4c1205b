//! From the stream to the queue: nothing is lost, whatever fails.

use flows::{DEADLINE, Receiver, TestStack, eventually, sends};
use local_aws::faults::CallFault;
use serde_json::Value;

use crate::deliver::{attempts, endpoint, publish, settled, wait_until_idle};
use crate::fixtures::{RECEIVED_MS, fixture};

/// Everything that an endpoint was sent, each once.
async fn every_event_arrives(
    stack: &TestStack,
    receiver: &Receiver,
    endpoint: &Value,
    count: usize,
) {
    let mut events = Vec::new();
    for number in 0..count {
        events.push(publish(stack, "a", &number.to_string()).await);
    }
    for event in &events {
        let delivery = settled(stack, event, endpoint, "delivered").await;
        assert_eq!(attempts(&delivery).len(), 1);
    }
    wait_until_idle(stack).await;
    assert_eq!(receiver.received().len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_queue_throttles_or_fails() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    let sqs = stack.faults().sqs();
    sqs.throttle_next(4);
    sqs.fail_half_of_next(2);
    every_event_arrives(&stack, &receiver, &endpoint, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_function_dies_at_any_step() {
    for (operation, fault) in [
        ("GetItem", CallFault::Crash),
        ("BatchGetItem", CallFault::Crash),
        ("BatchWriteItem", CallFault::Crash),
        ("BatchWriteItem", CallFault::CrashAfter),
        ("SendMessageBatch", CallFault::Crash),
        ("SendMessageBatch", CallFault::CrashAfter),
        ("BatchWriteItem", CallFault::FailAfter),
        ("SendMessageBatch", CallFault::FailAfter),
    ] {
        let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
        let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
        stack
            .faults()
            .plan_call("DispatchFunction", operation, 0, fault);
        every_event_arrives(&stack, &receiver, &endpoint, 3).await;
        assert_eq!(stack.faults().planned_calls(), 0, "{operation} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_piece_arrives_whatever_fails_between_the_pieces() {
    const ENDPOINTS: usize = 20;
    const EVENTS: usize = 50;
    // The first piece makes five calls, twenty and fifty.
    for (operation, skipped, fault) in [
        ("BatchGetItem", 6, CallFault::Fail),
        ("BatchWriteItem", 25, CallFault::Crash),
        ("SendMessageBatch", 60, CallFault::CrashAfter),
    ] {
        let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
        for number in 0..ENDPOINTS {
            endpoint(&stack, &receiver, &format!("/{number}"), &[]).await;
        }
        let faults = stack.faults();
        for skipped in [skipped, 0, 0, 0] {
            faults.plan_call("DispatchFunction", operation, skipped, fault);
        }
        stack.mandrill().deliver(sends(0..EVENTS)).await;
        for number in 0..ENDPOINTS {
            receiver.wait_for(&format!("/{number}"), EVENTS).await;
        }
        wait_until_idle(&stack).await;
        assert_eq!(faults.planned_calls(), 0, "{operation}");
        assert_eq!(receiver.received().len(), ENDPOINTS * EVENTS, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_twice_is_delivered_once() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    endpoint(&stack, &receiver, "/a", &[]).await;
    stack.faults().set_replays_records(true);
    stack.mandrill().deliver(sends(0..50)).await;
    receiver.wait_for("/a", 50).await;
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_sent_what_is_stored_after_it_was_made_and_nothing_before() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    // So that the cache knows of one, and the event before has been dispatched.
    let other = endpoint(&stack, &receiver, "/other", &[]).await;
    let before = publish(&stack, "before", "1").await;
    settled(&stack, &before, &other, "delivered").await;
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    let after = publish(&stack, "after", "1").await;
    settled(&stack, &after, &endpoint, "delivered").await;
    wait_until_idle(&stack).await;
    let received = receiver.received_at("/a");
    let ids: Vec<_> = received.iter().map(flows::Received::webhook_id).collect();
    assert_eq!(ids, [after]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_parked_and_the_others_go_on() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    endpoint(&stack, &receiver, "/a", &[]).await;
    let now = platform::clock::now().0.to_string();
    let mut batch: Value = serde_json::from_str(&fixture("push/malformed.json")).unwrap();
    let healthy: Value =
        serde_json::from_str(&fixture("push/insert.json").replace(RECEIVED_MS, &now)).unwrap();
    let count = healthy["Records"].as_array().unwrap().len();
    let records = batch["Records"].as_array_mut().unwrap();
    records.extend(healthy["Records"].as_array().unwrap().clone());
    let answer = stack.invoke("DispatchFunction", batch.to_string()).await;
    assert_eq!(answer.unwrap(), r#"{"batchItemFailures":[]}"#);
    let rows = stack.items("DeliveriesTable").await;
    let is_parked = |row: &&Value| row["pk"]["S"] == "parked";
    // All of the broken ones are of one event.
    assert_eq!(rows.iter().filter(is_parked).count(), 1);
    let is_delivery = |row: &&Value| row["sk"]["S"].as_str().unwrap().starts_with("d#");
    assert_eq!(rows.iter().filter(is_delivery).count(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_restored_table_are_not_sent_again() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    endpoint(&stack, &receiver, "/a", &[]).await;
    for sample in [
        "push/insert.json",
        "push/modify.json",
        "push/remove-ttl.json",
    ] {
        let answer = stack.invoke("DispatchFunction", fixture(sample)).await;
        assert_eq!(answer.unwrap(), r#"{"batchItemFailures":[]}"#);
    }
    assert!(stack.items("DeliveriesTable").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_answer_makes_records_come_again() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    for operation in ["GetItem", "BatchGetItem", "BatchWriteItem"] {
        for _ in 0..4 {
            stack
                .faults()
                .plan_call("DispatchFunction", operation, 0, CallFault::Fail);
        }
        let event = publish(&stack, "a", "1").await;
        settled(&stack, &event, &endpoint, "delivered").await;
    }
    eventually(DEADLINE, async || {
        let left = stack.faults().planned_calls();
        (left == 0)
            .then_some(())
            .ok_or(format!("{left} faults are left"))
    })
    .await;
}
