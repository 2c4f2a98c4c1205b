//! `deliver` sends the messages for its retries to the queue that invokes it. Lambda takes that for
//! a recursive loop and stops it, unless the template lets it.

use flows::{DEADLINE, Receiver, Reply, TestStack, eventually};
use serde_json::Value;

use crate::deliver::{attempts, endpoint, publish, settled, wait_until_idle};

const ALLOWED: &str = "      RecursiveLoop: Allow\n";
/// So often Lambda invokes a function in a chain.
const MOST: usize = 16;

/// A stack in which a minute takes a second.
async fn stack(change: impl FnOnce(&mut String)) -> TestStack {
    TestStack::start_with(|options| {
        options.local.time_scale = 60;
        change(&mut options.local.template);
    })
    .await
}

/// An endpoint that refuses one event and takes all others, so that its breaker stays closed; and
/// that event.
async fn refused(stack: &TestStack, receiver: &Receiver) -> (Value, String) {
    receiver.reply_to("/a", "\"refused\"", Reply::status(422));
    let endpoint = endpoint(stack, receiver, "/a", &[60; 20]).await;
    let event = publish(stack, "a", "\"refused\"").await;
    (endpoint, event)
}

/// Has another event taken after each attempt, until so many attempts have been made.
async fn attempt(stack: &TestStack, receiver: &Receiver, event: &str, count: usize) {
    for made in 1..=count {
        eventually(DEADLINE, async || {
            let there = made_of(receiver, event);
            (there >= made)
                .then_some(())
                .ok_or(format!("{there} of {made}"))
        })
        .await;
        publish(stack, "a", &made.to_string()).await;
    }
}

fn made_of(receiver: &Receiver, event: &str) -> usize {
    let received = receiver.received_at("/a");
    received
        .iter()
        .filter(|request| request.webhook_id() == event)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_twenty_steps_is_no_loop_that_lambda_stops() {
    let (stack, receiver) = (stack(|_| {}).await, Receiver::start().await);
    let (endpoint, event) = refused(&stack, &receiver).await;
    attempt(&stack, &receiver, &event, 21).await;
    let delivery = settled(&stack, &event, &endpoint, "failed").await;
    assert_eq!(attempts(&delivery).len(), 21);
    wait_until_idle(&stack).await;
    let dead = stack.queue("DeliveriesDeadLetters").await.unwrap();
    assert!(dead.is_empty(), "{dead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lambda_stops_the_retries_of_a_delivery_if_the_template_does_not_let_it_loop() {
    let stack = stack(|template| {
        assert!(template.contains(ALLOWED));
        *template = template.replace(ALLOWED, "");
        // A message that Lambda stops is a dead letter once its visibility timeout has passed; and
        // nothing sends it again meanwhile.
        *template = template.replace("VisibilityTimeout: 240", "VisibilityTimeout: 40");
        *template = template.replace("maxReceiveCount: 5", "maxReceiveCount: 1");
        *template = crate::requeue::without_schedule(template);
    });
    let (stack, receiver) = (stack.await, Receiver::start().await);
    let (endpoint, event) = refused(&stack, &receiver).await;
    attempt(&stack, &receiver, &event, MOST).await;
    eventually(DEADLINE, async || {
        let dead = stack.queue("DeliveriesDeadLetters").await.unwrap();
        let is_it = dead.len() == 1 && dead[0].content.body.contains(&event);
        is_it.then_some(()).ok_or(format!("{dead:?}"))
    })
    .await;
    assert_eq!(made_of(&receiver, &event), MOST);
    let delivery = settled(&stack, &event, &endpoint, "pending").await;
    assert_eq!(attempts(&delivery).len(), MOST);
}
