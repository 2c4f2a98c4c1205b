//! What is stored is told at once to everybody who is connected and wants it.

use std::collections::{BTreeMap, BTreeSet};

use flows::{DEADLINE, TestStack, batch, eventually, ids, numbers, of_message, send, sends};
use serde_json::{Value, json};

const KINDS: [&str; 4] = ["send", "open", "click", "hard_bounce"];

/// Forty events of four kinds.
fn mixed() -> String {
    batch((0..40).map(|n| of_message(KINDS[n % 4], n, n)))
}

fn kinds(events: &[Value]) -> BTreeSet<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_gets_every_event_in_few_messages() {
    let stack = TestStack::start().await;
    let mut sockets = [
        stack.connect().await,
        stack.connect().await,
        stack.connect().await,
    ];
    stack.mandrill().deliver(sends(0..300)).await;
    let stored = stack.history().await;
    for socket in &mut sockets {
        let mut left = 300;
        let heard = socket
            .hear_until("300 events", |message| {
                left -= message.events().len();
                left == 0
            })
            .await;
        let mut found = BTreeMap::new();
        for message in &heard {
            assert_eq!((message.kind(), message.is_replay()), ("events", false));
            assert!(message.text.len() <= 32 * 1024, "{}", message.text.len());
            let cursors = message
                .events()
                .iter()
                .map(|event| event["cursor"].as_str().unwrap());
            assert_eq!(cursors.max(), Some(message.cursor().as_str()));
            found.extend(
                message
                    .events()
                    .iter()
                    .map(|event| (event["id"].to_string(), event)),
            );
        }
        // 300 events of about 600 bytes, written 25 at a time and read by shard.
        assert!(heard.len() < 150, "{} messages", heard.len());
        for event in &stored {
            let mut expected = event.clone();
            expected.as_object_mut().unwrap().remove("data");
            assert_eq!(found.get(&event["id"].to_string()), Some(&&expected));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_gets_what_its_filter_lets_pass() {
    let stack = TestStack::start().await;
    let mut all = stack.connect().await;
    let mut opens = stack.connect_with("&filter=type:open").await;
    let mut bounces = stack
        .connect_with("&filter=type:*bounce,click%20-type:click")
        .await;
    let mut none = stack.connect_with("&filter=type:inbound").await;
    let mut replaced = stack.connect_with("&filter=type:inbound").await;
    let answer = replaced
        .ask(json!({ "action": "subscribe", "filter": "TYPE:Click,send" }))
        .await;
    assert_eq!(answer.json["filter"], "type:click,send");
    let mut ended = stack.connect().await;
    assert_eq!(
        ended.ask(json!({ "action": "unsubscribe" })).await.kind(),
        "unsubscribed"
    );
    let mut begun_again = stack.connect_with("&filter=type:inbound").await;
    begun_again.ask(json!({ "action": "unsubscribe" })).await;
    begun_again.ask(json!({ "action": "subscribe" })).await;

    stack.mandrill().deliver(mixed()).await;
    assert_eq!(all.hear_events(40).await.len(), 40);
    assert_eq!(begun_again.hear_events(40).await.len(), 40);
    let opened = opens.hear_events(10).await;
    assert_eq!(
        (opened.len(), kinds(&opened)),
        (10, BTreeSet::from(["open"]))
    );
    let bounced = bounces.hear_events(10).await;
    assert_eq!(
        (bounced.len(), kinds(&bounced)),
        (10, BTreeSet::from(["hard_bounce"]))
    );
    let chosen = replaced.hear_events(20).await;
    assert_eq!(
        (chosen.len(), kinds(&chosen)),
        (20, BTreeSet::from(["click", "send"]))
    );
    stack.wait_until_pushed().await;
    for socket in [&mut none, &mut ended, &mut all, &mut opens] {
        assert!(socket.drain().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_looks_into_every_field_that_it_names() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect_with("&filter=type:inbound").await;
    let filter = r#""TEST 3" tag:test -recipient:reader3@* message:*f* meta.n:3*,7"#;
    let answer = socket
        .ask(json!({ "action": "subscribe", "filter": filter }))
        .await;
    assert_eq!(
        answer.json["filter"],
        r#"message:*f* tag:test -recipient:reader3@* "test 3" meta.n:3*,7"#
    );
    // Of what has "Test 3" in its subject - 3, and 30 to 39 - the messages of which 31 (1f) and 47
    // (2f) are the numbers.
    let events = (0..40).map(|n| of_message("send", if n == 38 { 47 } else { n }, n));
    stack.mandrill().deliver(batch(events)).await;
    let found: BTreeSet<_> = numbers(&socket.hear_events(2).await).into_iter().collect();
    assert_eq!(found, BTreeSet::from([31, 38]));
    stack.wait_until_pushed().await;
    assert!(socket.drain().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_can_be_changed_while_events_flow() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect_with("&filter=type:open").await;
    let mut other = stack.connect().await;
    stack.mandrill().deliver(mixed()).await;
    other.hear_events(40).await;
    assert_eq!(
        kinds(&socket.hear_events(10).await),
        BTreeSet::from(["open"])
    );
    socket
        .ask(json!({ "action": "subscribe", "filter": "type:spam" }))
        .await;
    // The list of connections may be a second old: events of both kinds, until the new one comes.
    let mut n = 100;
    eventually(DEADLINE, async || {
        n += 1;
        let (old, new) = (of_message("open", 7, n), of_message("spam", 7, n));
        stack.mandrill().deliver(batch([old, new])).await;
        stack.wait_until_pushed().await;
        let heard = socket.drain().await;
        let heard: Vec<Value> = heard
            .iter()
            .flat_map(|message| message.events().to_vec())
            .collect();
        let is_new = kinds(&heard) == BTreeSet::from(["spam"]);
        is_new.then_some(()).ok_or(format!("{:?}", kinds(&heard)))
    })
    .await;
    socket.ask(json!({ "action": "unsubscribe" })).await;
    eventually(DEADLINE, async || {
        n += 1;
        stack
            .mandrill()
            .deliver(batch([of_message("spam", 7, n)]))
            .await;
        stack.wait_until_pushed().await;
        let heard = socket.drain().await.len();
        (heard == 0)
            .then_some(())
            .ok_or(format!("{heard} messages"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_comes_only_to_who_asked_for_it() {
    let stack = TestStack::start().await;
    let (mut with, mut without) = (stack.connect().await, stack.connect().await);
    with.ask(json!({ "action": "subscribe", "data": true }))
        .await;
    without
        .ask(json!({ "action": "subscribe", "data": false }))
        .await;
    stack.mandrill().deliver(batch([send(0)])).await;
    let expected: Value = serde_json::from_str(&send(0)).unwrap();
    assert_eq!(with.hear_events(1).await[0]["data"], expected);
    assert!(without.hear_events(1).await[0].get("data").is_none());
    // The replay too.
    for (socket, expected) in [(&mut with, Some(&expected)), (&mut without, None)] {
        let replay = socket.resume_last(1).await;
        assert_eq!(replay[0].events()[0].get("data"), expected);
    }
}

/// A row of a connection that never opened, as old as this.
pub(crate) async fn leave_row(stack: &TestStack, id: &str, age_ms: u64) {
    let payload = json!({
        "requestContext": {
            "connectionId": id, "eventType": "CONNECT", "routeKey": "$connect",
            "connectedAt": 0, "requestTimeEpoch": 0,
        },
        "queryStringParameters": { "ticket": stack.ticket() },
        "isBase64Encoded": false,
    });
    let answer = stack
        .invoke("ConnectFunction", payload.to_string())
        .await
        .unwrap();
    assert!(answer.contains("200"), "{answer}");
    let rows = stack.items("ConnectionsTable").await;
    let mut row = rows.into_iter().find(|row| row["sk"]["S"] == id).unwrap();
    let connected_at = platform::clock::now().0 - age_ms;
    row["connected_at"] = json!({ "N": connected_at.to_string() });
    let request = json!({ "TableName": stack.table("ConnectionsTable"), "Item": row });
    stack.dynamo("PutItem", request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_row_of_a_connection_that_is_gone_is_deleted_and_not_a_young_one() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    leave_row(&stack, "old=", 61_000).await;
    leave_row(&stack, "young=", 1_000).await;
    stack.mandrill().deliver(sends(0..1)).await;
    socket.hear_events(1).await;
    eventually(DEADLINE, async || {
        let rows = stack.connection_ids().await;
        (!rows.contains("old="))
            .then_some(())
            .ok_or(format!("{rows:?}"))
    })
    .await;
    stack.wait_until_pushed().await;
    assert_eq!(
        stack.connection_ids().await,
        BTreeSet::from(["young=".to_owned(), socket.id().to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_twice_are_harmless() {
    let stack = TestStack::start().await;
    stack.faults().set_replays_records(true);
    let mut socket = stack.connect().await;
    let mut feed = stack.feed(|_| {}).await;
    feed.live().await;
    stack.mandrill().deliver(sends(0..50)).await;
    let heard = socket.hear_events(100).await;
    assert_eq!((heard.len(), ids(&heard).len()), (100, 50));
    stack.wait_until_pushed().await;
    // By the time of the next event, all that was pushed before it has been told.
    stack.mandrill().deliver(batch([send(50)])).await;
    feed.read(51).await;
    assert_eq!((feed.told.len(), ids(&feed.told).len()), (51, 51));
}
