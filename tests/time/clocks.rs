//! Clocks that are wrong: set back or forward while everything runs, and ahead or behind where
//! events are stored.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Position;
use flows::clock;
use flows::{DEADLINE, Message, Receiver, Reply, Sse, TestStack, eventually, numbers, sends};
use reqwest::Method;
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_secs(3 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn found(messages: &[Message]) -> BTreeSet<usize> {
    let events = messages.iter().flat_map(Message::events);
    let events: Vec<Value> = events.cloned().collect();
    numbers(&events).into_iter().collect()
}

/// The cursor of a client that has just seen an event.
fn present(stack: &TestStack) -> String {
    stack.cursors().cursor_at(Position::start_of(clock::now()))
}

/// Posts `json`, or asks without a body.
async fn ask(stack: &TestStack, method: Method, path: &str, json: Value) -> Value {
    let bearer = format!("Bearer {}", stack.urls().token);
    let body = if json.is_null() {
        String::new()
    } else {
        json.to_string()
    };
    let headers = [("authorization", bearer.as_str())];
    let answer = stack.http().request(method, path, &headers, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.body);
    answer.json()
}

async fn publish(stack: &TestStack, n: usize) {
    let event = json!({ "type": "a", "data": { "n": n } });
    ask(stack, Method::POST, "/v1/events", event).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_old_sockets_hear_every_event_after_the_clock_was_set() {
    let (stack, _clock) = crate::start().await;
    let mut first = stack.connect().await;
    let mut n = 0;
    for back in [MINUTES, HOUR, Duration::ZERO] {
        stack.mandrill().deliver(sends(n..n + 6)).await;
        first.hear_events(6).await;
        if back.is_zero() {
            stack.pass(HOUR).await;
        } else {
            stack.set_back(back).await;
        }
        let mut new = stack.connect().await;
        stack.mandrill().deliver(sends(n + 6..n + 12)).await;
        let heard = numbers(&new.hear_events(6).await);
        assert_eq!(heard.len(), 6, "{back:?}: {heard:?}");
        // An hour after its last message the first one was closed.
        if !back.is_zero() {
            first.hear_events(6).await;
        }
        n += 12;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resumes_after_the_clock_was_set_back_misses_nothing() {
    let (stack, _clock) = crate::start().await;
    for (n, back) in [(0, MINUTES), (12, HOUR)] {
        // The list of connections may be a second old.
        stack.pass(Duration::from_secs(2)).await;
        let mut there = stack.connect().await;
        stack.mandrill().deliver(sends(n..n + 6)).await;
        there.hear_events(6).await;
        let cursor = present(&stack);
        there.close().await;
        stack.set_back(back).await;
        stack.mandrill().deliver(sends(n + 6..n + 12)).await;
        stack.wait_until_pushed().await;
        let mut back = stack.connect().await;
        let heard = found(&back.resume(&cursor).await);
        assert!(heard.is_superset(&(n + 6..n + 12).collect()), "{heard:?}");
        // Over HTTP as well.
        let path = format!("/v1/events?after={cursor}&limit=1000");
        let page = ask(&stack, Method::GET, &path, Value::Null).await;
        let page = page["events"].as_array().unwrap().clone();
        let read: BTreeSet<_> = numbers(&page).into_iter().collect();
        assert!(read.is_superset(&(n + 6..n + 12).collect()), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_clock_that_is_ahead_do_not_make_others_be_missed() {
    let (stack, _clock) = crate::start().await;
    let mut there = stack.connect().await;
    stack.pause_shards(true);
    clock::advance(MINUTES);
    stack.mandrill().deliver(sends(0..6)).await;
    clock::set_back(MINUTES);
    stack.pause_shards(false);
    there.hear_events(6).await;
    let page = stack.history().await;
    let newest = page[0]["cursor"].as_str().unwrap().to_owned();
    there.close().await;
    stack.mandrill().deliver(sends(6..12)).await;
    stack.wait_until_pushed().await;
    let mut back = stack.connect().await;
    let heard = found(&back.resume(&newest).await);
    assert!(heard.is_superset(&(6..12).collect()), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_clock_that_was_behind_are_found_when_they_are_pushed_after_it_was_put_right() {
    let (stack, _clock) = crate::start().await;
    clock::advance(MINUTES);
    let cursor = present(&stack);
    clock::set_back(MINUTES);
    stack.mandrill().deliver(sends(0..6)).await;
    clock::advance(MINUTES);
    stack.wait_until_pushed().await;
    // They may have been pushed before the clock was right again.
    stack.mandrill().deliver(sends(6..7)).await;
    stack.wait_until_pushed().await;
    stack.pause_shards(true);
    clock::set_back(MINUTES);
    stack.mandrill().deliver(sends(7..12)).await;
    clock::advance(MINUTES);
    stack.pause_shards(false);
    stack.wait_until_pushed().await;
    let mut back = stack.connect().await;
    let heard = found(&back.resume(&cursor).await);
    assert!(heard.is_superset(&(7..12).collect()), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_and_a_poll_go_on_after_the_clock_was_set_back() {
    let (stack, _clock) = crate::start().await;
    let bearer = format!("Bearer {}", stack.urls().token);
    let headers = [("authorization", bearer.as_str())];
    publish(&stack, 0).await;
    let first = format!("/v1/events?wait=0&after={}", present(&stack));
    let page = ask(&stack, Method::GET, &first, Value::Null).await;
    let next = page["next"].as_str().unwrap().to_owned();
    let mut stream = Sse::open(stack.http(), "/v1/stream", &headers)
        .await
        .unwrap();
    stream.next_named("live").await;
    // The stream is a function that runs: nothing else does at this moment.
    clock::set_back(MINUTES);
    publish(&stack, 1).await;
    let n = |events: &[Value]| -> BTreeSet<u64> {
        let full = events
            .iter()
            .filter_map(|event| event["data"]["n"].as_u64());
        full.collect()
    };
    let told = stream.next_events(1).await;
    assert!(!told.is_empty());
    eventually(DEADLINE, async || {
        let again = format!("/v1/events?wait=0&after={next}");
        let page = ask(&stack, Method::GET, &again, Value::Null).await;
        let found = n(page["events"].as_array().unwrap());
        found.contains(&1).then_some(()).ok_or(page.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_and_their_changes_count_after_the_clock_was_set_back() {
    let (stack, _clock) = crate::start().await;
    let receiver = Receiver::start().await;
    for path in ["/limited", "/dead", "/new"] {
        receiver.reply(path, Reply::status(200));
    }
    receiver.reply("/dead", Reply::status(500));
    let endpoint = async |path: &str, more: Value| {
        let mut body = json!({ "url": receiver.url(path), "retry_schedule": [1] });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        ask(&stack, Method::POST, "/v1/endpoints", body).await
    };
    endpoint("/limited", json!({ "rate_limit": 5 })).await;
    endpoint("/dead", json!({})).await;
    for n in 0..6 {
        publish(&stack, n).await;
    }
    receiver.wait_for("/limited", 6).await;
    // Twelve failures: its breaker is open.
    receiver.wait_for("/dead", 10).await;
    stack.set_back(HOUR).await;
    endpoint("/new", json!({})).await;
    receiver.reply("/dead", Reply::status(200));
    for n in 6..9 {
        publish(&stack, n).await;
    }
    receiver.wait_for("/new", 3).await;
    receiver.wait_for("/limited", 9).await;
    eventually(DEADLINE, async || {
        let answer = stack.invoke("RequeueFunction", "{}".to_owned()).await;
        answer.map_err(|error| format!("{error:?}"))?;
        let page = ask(
            &stack,
            Method::GET,
            "/v1/deliveries?limit=1000",
            Value::Null,
        )
        .await;
        let deliveries = page["deliveries"].as_array().unwrap();
        let late: Vec<_> = deliveries
            .iter()
            .filter(|delivery| delivery["status"] == "pending")
            .collect();
        late.is_empty().then_some(()).ok_or(format!("{late:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_after_the_clock_was_set_back() {
    let (stack, _clock) = crate::start().await;
    for back in [Duration::from_secs(60), MINUTES, HOUR] {
        let made = ask(&stack, Method::POST, "/v1/tickets", Value::Null).await;
        stack.set_back(back).await;
        let url = made["url"].as_str().unwrap();
        let mut socket = flows::Socket::open(url).await.expect("a connection");
        assert_eq!(socket.ask(json!({ "action": "ping" })).await.kind(), "pong");
    }
}
