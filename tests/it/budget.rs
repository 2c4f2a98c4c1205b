//! One event that is hard to look at, or one filter that costs too much, delays nobody else.

use std::collections::BTreeSet;

use domain::Scope;
use flows::{Message, Socket, TestStack, batch, numbers, of_message, sends};
use serde_json::{Value, json};

use crate::gaps::wait_until_marked;
use crate::tokens::{rights, socket_url};

async fn masked_socket(stack: &TestStack) -> Socket {
    let token = stack.token(&rights(&[Scope::Read], "", true));
    let url = socket_url(stack, &token, &json!({})).await;
    Socket::open(&url).await.unwrap()
}

async fn subscribe(socket: &mut Socket, filter: &str) {
    let subscribe = json!({ "action": "subscribe", "filter": filter });
    let answer = socket.ask(subscribe).await;
    assert_eq!(answer.kind(), "subscribed", "{}", answer.text);
}

async fn assert_nobody_missed_anything(stack: &TestStack) {
    for row in stack.items("ConnectionsTable").await {
        assert!(row.get("missed_since").is_none(), "{row}");
    }
}

fn sent(events: &[Value]) -> Vec<Value> {
    let is_sent = |event: &&Value| event["type"] == "send";
    events.iter().filter(is_sent).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_hard_to_mask_delays_nobody() {
    let stack = TestStack::start().await;
    let mut plain = stack.connect().await;
    let mut masked = masked_socket(&stack).await;
    let hard = [
        "'\"@", "%25", "\"", "@ ", "&#", "(@", "\u{FF20}", "1.", "a:",
    ];
    let inbound = hard.map(|text| {
        let text = text.repeat(50_000);
        let msg = json!({ "subject": text, "email": "inbox@example.net", "from_email": "a@example.com", "tags": [text] });
        json!({ "event": "inbound", "ts": 1_795_300_000, "msg": msg }).to_string()
    });
    for event in inbound {
        stack.mandrill().deliver(batch([event])).await;
    }
    for n in 0..4 {
        stack.mandrill().deliver(sends(n * 10..n * 10 + 10)).await;
    }
    for socket in [&mut plain, &mut masked] {
        let heard = socket.hear_events(40 + hard.len()).await;
        assert_eq!(sent(&heard).len(), 40);
    }
    stack.wait_until_pushed().await;
    assert_nobody_missed_anything(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_value_and_long_metadata_delay_nobody() {
    let stack = TestStack::start().await;
    let mut plain = stack.connect().await;
    let mut searching = stack.connect().await;
    let value = "a".repeat(1_990);
    subscribe(&mut searching, &format!("meta.k:*{value}b*")).await;
    let event = |n: usize, text: &str| {
        let metadata = format!(r#""metadata":{{"k":"{text}","#);
        of_message("send", n, n).replace(r#""metadata":{"#, &metadata)
    };
    // As much as filters look at.
    let escaped = (0..40).map(|n| event(n, &r"\u0061".repeat(2_600)));
    let beyond_ascii = (40..80).map(|n| event(n, &"aä".repeat(5_000)));
    let found = event(80, &format!("{value}B"));
    stack
        .mandrill()
        .deliver(batch(escaped.chain(beyond_ascii).chain([found])))
        .await;
    stack.mandrill().deliver(sends(81..121)).await;
    assert_eq!(plain.hear_events(121).await.len(), 121);
    assert_eq!(numbers(&searching.hear_events(1).await), [80]);
    stack.wait_until_pushed().await;
    assert_nobody_missed_anything(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_filters_by_too_much_misses_the_batch_and_catches_up_while_the_others_are_served() {
    let stack = TestStack::start().await;
    let mut plain = stack.connect().await;
    let mut costly = stack.connect().await;
    // Each of the values is looked for in all of the metadata.
    let letters = || 'a'..='s';
    let values = letters().flat_map(|a| letters().map(move |b| format!("*{a}{b}*,")));
    let values: String = values.collect();
    subscribe(&mut costly, &format!("meta.k:{values}*zz*")).await;
    // The events of one message come in one batch.
    stack.pause_shards(true);
    let events = (0..40).map(|n| {
        // Of each value of the key as much as filters look at.
        let text = "x".repeat(2_000) + if n == 7 { "zz" } else { "" };
        let values = format!(r#""k":"{text}","#).repeat(7);
        let metadata = format!(r#""metadata":{{{values}"#);
        of_message("send", 7, n).replace(r#""metadata":{"#, &metadata)
    });
    stack.mandrill().deliver(batch(events)).await;
    stack.pause_shards(false);

    let heard = plain.hear_events(40).await;
    let expected: BTreeSet<_> = (0..40).collect();
    assert_eq!(
        numbers(&heard).into_iter().collect::<BTreeSet<_>>(),
        expected
    );
    wait_until_marked(&stack, costly.id()).await;
    assert!(
        costly
            .drain()
            .await
            .iter()
            .all(|message| message.events().is_empty())
    );
    // It hears of the gap, and reads what it missed in an invocation of its own.
    let pong = costly.ask(json!({ "action": "ping" })).await;
    assert_eq!(pong.kind(), "gap", "{}", pong.text);
    let replay = costly.resume(&pong.cursor()).await;
    let replay: Vec<_> = replay.iter().flat_map(Message::events).cloned().collect();
    let found: BTreeSet<_> = numbers(&replay).into_iter().collect();
    assert_eq!(found, BTreeSet::from([7]));
    assert_nobody_missed_anything(&stack).await;
}
