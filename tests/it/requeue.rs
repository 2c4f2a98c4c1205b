//! What is due is sent, whatever became of its message; and what dies while it is delivered.

use flows::{DEADLINE, Receiver, Reply, TestStack, eventually};
use futures::future::join_all;
use local_aws::faults::CallFault;
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliver::{attempts, endpoint, publish, quick, settled, wait_until_idle};
use crate::endpoints::{ask, path};

/// A stack in which everything that is waited for is over at once, but for a claim's minute.
async fn hasty() -> TestStack {
    TestStack::start_with(|options| options.local.time_scale = 3_600).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_message_was_lost_is_sent_when_it_is_due() {
    let (stack, receiver) = (hasty().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[60]).await;
    receiver.script("/a", [Reply::status(500), Reply::status(200)]);
    // The retry's message never gets into the queue.
    for _ in 0..100 {
        stack
            .faults()
            .plan_call("DeliverFunction", "SendMessageBatch", 0, CallFault::Fail);
    }
    let event = publish(&stack, "a", "1").await;
    let delivery = settled(&stack, &event, &endpoint, "delivered").await;
    let attempts = attempts(&delivery);
    assert_eq!(attempts.len(), 2);
    assert!(stack.faults().planned_calls() < 100, "no message was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_is_not_sent_does_not_undo_what_is_on_record() {
    let (stack, receiver) = (quick().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[60]).await;
    receiver.script("/a", [Reply::status(500), Reply::status(200)]);
    stack.faults().sqs().fail_next_after(1);
    let event = publish(&stack, "a", "1").await;
    let delivery = settled(&stack, &event, &endpoint, "delivered").await;
    let numbers: Vec<u64> = attempts(&delivery)
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_made_again_and_no_attempt_with_it() {
    for operation in ["GetItem", "BatchGetItem", "UpdateItem", "BatchWriteItem"] {
        let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
        let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
        for fault in [CallFault::Fail, CallFault::FailAfter] {
            stack
                .faults()
                .plan_call("DeliverFunction", operation, 0, fault);
        }
        let event = publish(&stack, "a", "1").await;
        let delivery = settled(&stack, &event, &endpoint, "delivered").await;
        assert_eq!(attempts(&delivery), [(1, json!(null))], "{operation}");
        wait_until_idle(&stack).await;
        assert_eq!(receiver.received().len(), 1, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_function_that_delivers_dies_at_any_step() {
    let cases = [
        ("GetItem", CallFault::Crash),
        ("BatchGetItem", CallFault::Crash),
        ("UpdateItem", CallFault::Crash),
        ("UpdateItem", CallFault::CrashAfter),
        ("BatchWriteItem", CallFault::Crash),
        ("BatchWriteItem", CallFault::CrashAfter),
        ("SendMessageBatch", CallFault::Crash),
        ("SendMessageBatch", CallFault::CrashAfter),
    ];
    // At once, as most of them wait for a claim's minute.
    let dying = cases.map(|(operation, fault)| dies_while_it_delivers(operation, fault));
    join_all(dying).await;
}

async fn dies_while_it_delivers(operation: &str, fault: CallFault) {
    let stack = TestStack::start_with(|options| options.local.time_scale = 1_200).await;
    let receiver = Receiver::start().await;
    let endpoint = endpoint(&stack, &receiver, "/a", &[60, 60]).await;
    receiver.script("/a", [Reply::status(500), Reply::status(200)]);
    let faults = stack.faults();
    faults.plan_call("DeliverFunction", operation, 0, fault);
    let event = publish(&stack, "a", "1").await;
    let delivery = settled(&stack, &event, &endpoint, "delivered").await;
    assert_eq!(faults.planned_calls(), 0, "{operation} {fault:?}");
    // Only an answer that died with the function makes its attempt again.
    let expected = match (operation, fault) {
        ("BatchWriteItem", CallFault::Crash) => vec![(1, json!(null))],
        _ => vec![(1, json!("status")), (2, json!(null))],
    };
    assert_eq!(attempts(&delivery), expected, "{operation} {fault:?}");
    assert_eq!(receiver.received().len(), 2, "{operation} {fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_again_and_again_is_attempted_once() {
    let (stack, receiver) = (hasty().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    receiver.reply("/a", Reply::status(200).held());
    let event = publish(&stack, "a", "1").await;
    receiver.wait_for("/a", 1).await;
    wait_until_due(&stack).await;
    let payload = json!({ "source": "aws.scheduler" }).to_string();
    for _ in 0..3 {
        let answer = stack.invoke("RequeueFunction", payload.clone()).await;
        assert_eq!(answer.unwrap(), r#"{"requeued":0}"#);
    }
    receiver.release();
    let delivery = settled(&stack, &event, &endpoint, "delivered").await;
    assert_eq!(attempts(&delivery).len(), 1);
    wait_until_idle(&stack).await;
    assert_eq!(receiver.received().len(), 1);
}

/// The template with a `requeue` that runs only when a test invokes it.
pub(crate) fn without_schedule(template: &str) -> String {
    let schedule = "            ScheduleExpression: rate(1 minute)\n";
    assert!(template.contains(schedule));
    template.replace(
        schedule,
        &format!("{schedule}            State: DISABLED\n"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_by_its_row_for_an_endpoint_that_is_deleted_is_cancelled() {
    let stack = TestStack::start_with(|options| {
        options.local.template = without_schedule(&options.local.template);
    });
    let (stack, receiver) = (stack.await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[7_200]).await;
    receiver.reply("/a", Reply::status(500));
    let events = [
        publish(&stack, "a", "1").await,
        publish(&stack, "a", "2").await,
    ];
    receiver.wait_for("/a", 2).await;
    wait_until_idle(&stack).await;
    let deleted = ask(&stack, Method::DELETE, &path(&endpoint, ""), &Value::Null).await;
    assert_eq!(deleted.status, 204);
    for event in &events {
        settled(&stack, event, &endpoint, "pending").await;
    }
    let payload = json!({ "source": "aws.scheduler" }).to_string();
    let answer = stack.invoke("RequeueFunction", payload.clone()).await;
    assert_eq!(answer.unwrap(), r#"{"requeued":0}"#);
    for event in &events {
        let delivery = settled(&stack, event, &endpoint, "cancelled").await;
        assert_eq!(attempts(&delivery).len(), 1);
    }
    assert_eq!(receiver.received().len(), 2);
    // It is looked at for an hour: who knew it may still be storing deliveries to it.
    stack.invoke("RequeueFunction", payload).await.unwrap();
    let rows = stack.items("EndpointsTable").await;
    let is_note = |row: &Value| row["pk"]["S"] == "deleted" && row["sk"]["S"] == endpoint["id"];
    assert!(rows.iter().any(is_note), "{rows:?}");
}

/// Waits until the only delivery's time has come.
async fn wait_until_due(stack: &TestStack) {
    eventually(DEADLINE, async || {
        let rows = stack.items("DeliveriesTable").await;
        let due_at: u64 = rows[0]["due_at"]["N"].as_str().unwrap().parse().unwrap();
        let now = platform::clock::now().0;
        (due_at < now)
            .then_some(())
            .ok_or(format!("due at {due_at}"))
    })
    .await;
}
