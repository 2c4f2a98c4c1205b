//! A message to a connection that was given up is made good.

use std::collections::BTreeSet;
use std::time::Duration;

use flows::{DEADLINE, Socket, TestStack, eventually, ids, numbers, send, sends};
use local_aws::faults::PostFault;
use posthorn::TEMPLATE;
use serde_json::{Value, json};

async fn row(stack: &TestStack, id: &str) -> Value {
    let rows = stack.items("ConnectionsTable").await;
    rows.into_iter().find(|row| row["sk"]["S"] == id).unwrap()
}

pub(crate) async fn wait_until_marked(stack: &TestStack, id: &str) -> u64 {
    eventually(DEADLINE, async || {
        let row = row(stack, id).await;
        let since = row["missed_since"]["N"].as_str();
        since
            .and_then(|since| since.parse().ok())
            .ok_or(format!("{row}"))
    })
    .await
}

/// Posts events one by one until one of them is pushed to the socket.
async fn wait_until_live(
    stack: &TestStack,
    socket: &mut Socket,
    mut n: usize,
) -> (usize, Vec<Value>) {
    let events = eventually(DEADLINE, async || {
        stack.mandrill().deliver(flows::batch([send(n)])).await;
        n += 1;
        stack.wait_until_pushed().await;
        let heard = socket.drain().await;
        let live = heard.iter().filter(|message| !message.is_replay());
        let events: Vec<Value> = live.flat_map(|message| message.events().to_vec()).collect();
        (!events.is_empty())
            .then_some(events)
            .ok_or(format!("nothing of {n}"))
    })
    .await;
    (n, events)
}

async fn a_gap_is_reported_and_filled(fault: PostFault) {
    let stack = TestStack::start().await;
    let (mut hurt, mut well) = (stack.connect().await, stack.connect().await);
    stack.mandrill().deliver(sends(0..10)).await;
    hurt.hear_events(10).await;
    well.hear_events(10).await;

    stack.faults().set_post(hurt.id(), Some(fault));
    let before = platform::clock::now().0;
    stack.mandrill().deliver(sends(10..30)).await;
    well.hear_events(20).await;
    let since = wait_until_marked(&stack, hurt.id()).await;
    assert!(since >= before, "{since} and {before}");
    stack.wait_until_pushed().await;
    stack.faults().set_post(hurt.id(), None);

    let gap = hurt.ask(json!({ "action": "ping" })).await;
    assert_eq!(gap.kind(), "gap");
    // Until the client has resumed, it is told so each time.
    assert_eq!(
        hurt.ask(json!({ "action": "ping" })).await.cursor(),
        gap.cursor()
    );
    let heard = hurt.resume(&gap.cursor()).await;
    let replay: Vec<Value> = heard
        .iter()
        .flat_map(|message| message.events().to_vec())
        .collect();
    let found: BTreeSet<_> = numbers(&replay).into_iter().collect();
    assert!(found.is_superset(&(10..30).collect()), "{found:?}");
    assert_eq!(heard.last().unwrap().json["recovered"], true);
    // Live events flow again from here on, and the index may lag: all looks are due once more.
    let from = heard.iter().find(|message| message.kind() == "gap");
    let from = from.expect("a gap before live");
    assert!(gap.cursor() < from.cursor(), "{}", from.text);
    assert!(row(&stack, hurt.id()).await.get("missed_since").is_none());

    let (end, live) = wait_until_live(&stack, &mut hurt, 30).await;
    assert_eq!(hurt.ask(json!({ "action": "ping" })).await.kind(), "pong");
    // What was stored while the list of connections was still the old one is in the next resume.
    let cursor = heard.last().unwrap().cursor();
    let heard = hurt.resume(&cursor).await;
    let replay: Vec<Value> = heard
        .iter()
        .flat_map(|message| message.events().to_vec())
        .collect();
    let found: BTreeSet<_> = numbers(&replay).into_iter().collect();
    assert!(found.is_superset(&(30..end).collect()), "{found:?}");
    assert!(ids(&live).is_subset(&ids(&replay)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_throttled_is_told_of_its_gap_and_fills_it() {
    a_gap_is_reported_and_filled(PostFault::Throttle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_messages_failed_is_told_of_its_gap_and_fills_it() {
    a_gap_is_reported_and_filled(PostFault::Fail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_misses_nothing_fills_its_gaps_by_itself() {
    let stack = TestStack::start().await;
    let mut feed = stack
        .feed(|options| {
            options.pace.ping = Duration::from_millis(200);
            // Its connection is to last on a busy machine, too.
            options.pace.pong = DEADLINE;
            // Who resumes while nothing can be sent to it is closed.
            options.pace.looks = [Duration::from_secs(3_600); 2];
        })
        .await;
    feed.live().await;
    let id = stack.sockets().ids().remove(0);
    stack.mandrill().deliver(sends(0..10)).await;
    feed.read(10).await;

    stack.faults().set_post(&id, Some(PostFault::Throttle));
    stack.mandrill().deliver(sends(10..20)).await;
    wait_until_marked(&stack, &id).await;
    stack.faults().set_post(&id, None);
    // These too: the connection counts as deaf until it has resumed, and a little longer.
    for n in 20..40 {
        stack.mandrill().deliver(flows::batch([send(n)])).await;
    }
    feed.read(40).await;
    let found: BTreeSet<_> = numbers(&feed.told).into_iter().collect();
    assert_eq!((found, feed.told.len()), ((0..40).collect(), 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_message_is_a_gap_and_the_shard_goes_on() {
    let stack = TestStack::start().await;
    let (mut stuck, mut well) = (stack.connect().await, stack.connect().await);
    stack.faults().set_post(stuck.id(), Some(PostFault::Hang));
    stack.mandrill().deliver(sends(0..30)).await;
    // Who answers does not wait for who does not.
    let heard: BTreeSet<_> = numbers(&well.hear_events(30).await).into_iter().collect();
    assert_eq!(heard, (0..30).collect());
    wait_until_marked(&stack, stuck.id()).await;
    stack.wait_until_pushed().await;
    stack.faults().set_post(stuck.id(), None);
    let gap = stuck.ask(json!({ "action": "ping" })).await;
    let heard = stuck.resume(&gap.cursor()).await;
    let replay: Vec<Value> = heard
        .iter()
        .flat_map(|message| message.events().to_vec())
        .collect();
    let found: BTreeSet<_> = numbers(&replay).into_iter().collect();
    assert_eq!(found, (0..30).collect());
    stack.mandrill().deliver(sends(30..40)).await;
    well.hear_events(10).await;
}

/// The template with a `message` that cannot read the feed.
fn broken_message() -> String {
    let message = TEMPLATE.find("\n  MessageFunction:").unwrap();
    let (before, after) = TEMPLATE.split_at(message);
    let broken = after.replacen("/index/feed", "/index/none", 1);
    assert_ne!(broken, after);
    before.to_owned() + &broken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_fails_leaves_the_gap() {
    let stack = TestStack::start_with(|options| options.local.template = broken_message()).await;
    let mut hurt = stack.connect().await;
    stack
        .faults()
        .set_post(hurt.id(), Some(PostFault::Throttle));
    stack.mandrill().deliver(sends(0..3)).await;
    wait_until_marked(&stack, hurt.id()).await;
    stack.wait_until_pushed().await;
    stack.faults().set_post(hurt.id(), None);
    let gap = hurt.ask(json!({ "action": "ping" })).await;
    let request = json!({ "action": "resume", "cursor": gap.cursor() });
    assert_eq!(hurt.ask(request).await.json["code"], "internal");
    let again = hurt.ask(json!({ "action": "ping" })).await;
    assert_eq!(again.text, gap.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_answered_is_closed_and_does_not_wait_for_ever() {
    let stack = TestStack::start().await;
    for fault in [PostFault::Throttle, PostFault::Fail] {
        for message in [
            json!({ "action": "subscribe", "filter": "type:open" }),
            json!({ "action": "resume", "last": 1 }),
        ] {
            let mut socket = stack.connect().await;
            stack.faults().set_post(socket.id(), Some(fault));
            socket.say(message).await;
            assert_eq!(socket.closed().await, 1000);
        }
    }
}
