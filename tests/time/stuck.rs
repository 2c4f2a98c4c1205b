//! What is sent minutes after it was stored, and who comes back meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Position;
use flows::{DEADLINE, Message, Socket, TestStack, eventually, numbers, sends};
use local_aws::faults::PostFault;
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_secs(5 * 60);

/// The cursor of somebody who has just seen an event.
fn cursor_of_now(stack: &TestStack) -> String {
    let now = Position::start_of(platform::clock::now());
    stack.cursors().cursor_at(now)
}

fn found(messages: &[Message]) -> BTreeSet<usize> {
    let events = messages.iter().flat_map(|message| message.events());
    let events: Vec<Value> = events.cloned().collect();
    numbers(&events).into_iter().collect()
}

/// The numbers of the events whose records stand in this shard of the stream.
async fn in_shard(stack: &TestStack, shard: usize) -> BTreeSet<usize> {
    let table = stack.table("EventsTable");
    let page = stack.dynamodb().read_records(&table, shard, 0, 1_000);
    let records = page.await.unwrap().records;
    let ids: BTreeSet<String> = records
        .iter()
        .map(|record| {
            let record: Value = serde_json::from_str(&record.json).unwrap();
            let keys = &record["dynamodb"]["Keys"];
            let key = |name: &str| keys[name]["S"].as_str().unwrap().to_owned();
            format!("evt_{}{}", key("pk"), key("sk"))
        })
        .collect();
    let mut events = stack.history().await;
    events.retain(|event| ids.contains(event["id"].as_str().unwrap()));
    numbers(&events).into_iter().collect()
}

async fn missed_since(stack: &TestStack, socket: &Socket) -> Option<String> {
    let rows = stack.items("ConnectionsTable").await;
    let row = rows.into_iter().find(|row| row["sk"]["S"] == socket.id());
    row?["missed_since"]["N"].as_str().map(str::to_owned)
}

async fn wait_until_marked(stack: &TestStack, socket: &Socket) {
    eventually(DEADLINE, async || {
        let mark = missed_since(stack, socket).await;
        mark.map(drop).ok_or("it is not marked".to_owned())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stuck_shard_tells_minutes_later_is_missed_by_nobody() {
    let (stack, _clock) = crate::start().await;
    let mut there = stack.connect().await;
    stack.faults().pause_shard(0, true);
    stack.mandrill().deliver(sends(0..60)).await;
    let stuck = in_shard(&stack, 0).await;
    assert!(!stuck.is_empty() && stuck.len() < 60, "{stuck:?}");
    there.hear_events(60 - stuck.len()).await;
    stack.pass(MINUTES).await;
    // The others go on, so whoever is there has a cursor far beyond what is stuck.
    stack.mandrill().deliver(sends(60..120)).await;
    let later = in_shard(&stack, 0).await;
    there
        .hear_events(120 - later.len() - (60 - stuck.len()))
        .await;
    let cursor = cursor_of_now(&stack);

    stack.faults().pause_shard(0, false);
    let told: BTreeSet<_> = numbers(&there.hear_events(later.len()).await)
        .into_iter()
        .collect();
    assert_eq!(told, later, "who is there gets it");
    stack.wait_until_pushed().await;
    let mut back = stack.connect().await;
    let heard = found(&back.resume(&cursor).await);
    assert!(heard.is_superset(&later), "who was away gets it: {heard:?}");
    // A cursor from later does not read back that far.
    stack.pass(MINUTES).await;
    assert!(back.resume(&cursor_of_now(&stack)).await.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_late_is_found_by_who_lost_its_connection_and_did_not_learn_of_it() {
    let (stack, _clock) = crate::start().await;
    let (hurt, mut well) = (stack.connect().await, stack.connect().await);
    stack.faults().set_post(hurt.id(), Some(PostFault::Hang));
    stack.mandrill().deliver(sends(0..1)).await;
    // The message to the other one is under way for a long time now.
    well.hear_events(1).await;
    flows::clock::advance(Duration::from_secs(16));
    // Meanwhile it gets something else through another shard.
    let cursor = cursor_of_now(&stack);
    wait_until_marked(&stack, &hurt).await;
    stack.wait_until_pushed().await;
    hurt.close().await;

    let mut back = stack.connect().await;
    let heard = found(&back.resume(&cursor).await);
    assert_eq!(heard, BTreeSet::from([0]), "its mark is gone with its row");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_records_that_are_pushed_past_a_marked_connection_are_in_its_resume() {
    let (stack, _clock) = crate::start().await;
    let (mut hurt, mut well) = (stack.connect().await, stack.connect().await);
    stack.faults().pause_shard(0, true);
    stack.mandrill().deliver(sends(0..60)).await;
    let stuck = in_shard(&stack, 0).await;
    well.hear_events(60 - stuck.len()).await;
    stack.pass(MINUTES).await;
    stack
        .faults()
        .set_post(hurt.id(), Some(PostFault::Throttle));
    stack.mandrill().deliver(sends(60..90)).await;
    wait_until_marked(&stack, &hurt).await;
    stack.faults().set_post(hurt.id(), None);
    // Now `push` learns of the mark, and keeps to it for a second.
    stack.pass(Duration::from_secs(2)).await;
    stack.mandrill().deliver(sends(90..120)).await;
    let all_stuck = in_shard(&stack, 0).await;
    well.hear_events(120 - all_stuck.len() - (60 - stuck.len()))
        .await;

    let cursor = cursor_of_now(&stack);
    hurt.say(json!({ "action": "resume", "cursor": cursor }))
        .await;
    eventually(DEADLINE, async || {
        let mark = missed_since(&stack, &hurt).await;
        mark.map_or(Ok(()), Err)
    })
    .await;
    stack.faults().pause_shard(0, false);
    let mut heard = hurt
        .hear_until("live", |message| message.kind() == "live")
        .await;
    // On a slow machine `push` has learnt by now that the mark is gone.
    stack.wait_until_pushed().await;
    heard.extend(hurt.drain().await);
    let missing: Vec<_> = all_stuck.difference(&found(&heard)).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_takes_too_long_for_an_invocation_is_continued() {
    let (stack, _clock) = crate::start().await;
    stack.pause_shards(true);
    let start = cursor_of_now(&stack);
    stack.mandrill().deliver(sends(0..1_000)).await;
    let mut socket = stack.connect().await;
    // Ten pages, which take a second at least: the clock is moved after the first.
    let latency = Duration::from_millis(100);
    stack.dynamodb().faults().set_latency(latency);
    socket
        .say(json!({ "action": "resume", "cursor": start }))
        .await;
    let mut heard = vec![socket.hear_kind("events").await];
    flows::clock::advance(Duration::from_secs(16));
    heard.extend(
        socket
            .hear_until("continue", |message| message.kind() == "continue")
            .await,
    );
    stack.dynamodb().faults().set_latency(Duration::ZERO);
    let cursor = heard.last().unwrap().cursor();
    let first = found(&heard);
    assert!(first.len() < 1_000, "{}", first.len());
    let second = found(&socket.resume(&cursor).await);
    assert!(first.is_disjoint(&second), "it goes on precisely there");
    assert_eq!(first.len() + second.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sleeps_before_its_looks_and_is_cut_then_misses_nothing() {
    let (stack, _clock) = crate::start().await;
    stack.dynamodb().faults().set_index_lag(MINUTES);
    // Pushed before anybody is there, and not in the index yet when somebody comes.
    stack.mandrill().deliver(sends(0..10)).await;
    stack.wait_until_pushed().await;
    let mut feed = stack
        .feed(|options| options.pace.looks = [MINUTES; 2])
        .await;
    feed.live().await;
    stack.pass(MINUTES).await;
    stack.mandrill().deliver(sends(10..20)).await;
    feed.read(10).await;
    stack.sockets().close_all();
    feed.read(20).await;
    let found: BTreeSet<_> = numbers(&feed.told).into_iter().collect();
    assert_eq!(found, (0..20).collect());
}
