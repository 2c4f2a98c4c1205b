//! What happens in the middle of a replay.

use std::collections::BTreeSet;
use std::time::Duration;

use flows::{TestStack, numbers, sends};
use serde_json::{Value, json};

fn found(events: &[Value]) -> BTreeSet<usize> {
    numbers(events).into_iter().collect()
}

/// The cursor of a feed from before anything was stored.
async fn beginning(stack: &TestStack) -> String {
    let mut socket = stack.connect().await;
    let heard = socket.resume_last(1).await;
    socket.close().await;
    heard[0].cursor()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_while_a_replay_runs_is_replayed_or_pushed() {
    let stack = TestStack::start().await;
    let cursor = beginning(&stack).await;
    stack.mandrill().deliver(sends(0..600)).await;
    let mut socket = stack.connect().await;
    socket
        .say(json!({ "action": "resume", "cursor": cursor }))
        .await;
    let mut heard = vec![socket.hear_kind("events").await];
    stack.mandrill().deliver(sends(600..700)).await;
    heard.extend(
        socket
            .hear_until("live", |message| message.kind() == "live")
            .await,
    );
    let place = heard.last().unwrap().cursor();
    stack.wait_until_pushed().await;
    heard.extend(socket.drain().await);
    // As a client does it, which `push` may not have known at first.
    heard.extend(socket.resume(&place).await);
    let events: Vec<Value> = heard
        .iter()
        .flat_map(|message| message.events().to_vec())
        .collect();
    assert_eq!(found(&events), (0..700).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_cut_off_in_the_middle_of_a_replay_and_of_live_events_misses_nothing() {
    let stack = TestStack::start().await;
    let cursor = beginning(&stack).await;
    stack.mandrill().deliver(sends(0..600)).await;
    let latency = Duration::from_millis(5);
    stack.dynamodb().faults().set_latency(latency);
    let mut feed = stack.feed(|options| options.cursor = Some(cursor)).await;
    for round in 0..3 {
        let first = 600 + round * 20;
        // These may arrive before what is replayed.
        stack.mandrill().deliver(sends(first..first + 20)).await;
        feed.read(60 * (round + 1)).await;
        stack.sockets().close_all();
    }
    feed.read(660).await;
    assert_eq!(found(&feed.told), (0..660).collect());
    assert_eq!(feed.told.len(), 660, "each once");
}
