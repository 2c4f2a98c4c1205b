//! Server-Sent Events.

use domain::Position;
use flows::{DEADLINE, Sse, TestStack, eventually, numbers, sends};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Reader, long_ago, one_by_one, put, short, stored_at, take_away};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_comes_first_and_then_what_happens() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    one_by_one(&stack, 0..3).await;
    let mut stream = reader.open(&format!("after={}", long_ago(&stack))).await;
    let missed = stream.next_named("events").await;
    assert_eq!(missed.data["type"], "events");
    assert_eq!(missed.data["replay"], true);
    assert_eq!(numbers(missed.events()), [0, 1, 2]);
    assert!(missed.events()[0].get("data").is_none());
    assert_eq!(missed.data["cursor"], stream.last_id);
    let live = stream.next_named("live").await;
    assert_eq!(live.data["recovered"], true);
    assert_eq!(live.data["cursor"], stream.last_id);
    stack.mandrill().deliver(sends(3..4)).await;
    let new = stream.next_named("events").await;
    assert_eq!(numbers(new.events()), [3]);
    assert!(new.data.get("replay").is_none(), "{}", new.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_the_last_events_or_with_the_next() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    one_by_one(&stack, 0..5).await;
    let mut last = reader.open("last=2&data=true").await;
    let events = last.next_events(2).await;
    assert_eq!(numbers(&events), [3, 4]);
    assert_eq!(events[0]["data"]["event"], "send");
    last.next_named("live").await;
    let mut few = reader.open("last=10&filter=reader1").await;
    assert_eq!(numbers(&few.next_events(1).await), [1]);
    few.next_named("live").await;
    let mut next = reader
        .open(&format!("after={}", next_cursor(&reader).await))
        .await;
    next.next_named("live").await;
    stack.mandrill().deliver(sends(5..6)).await;
    for stream in [&mut last, &mut next] {
        assert_eq!(numbers(&stream.next_events(1).await), [5]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_something_that_is_not_kept_says_so() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    one_by_one(&stack, 0..1).await;
    for (days, is_kept) in [(31, false), (29, true)] {
        let at = platform::clock::now().minus(days * DAY_MS);
        let cursor = stack.cursors().cursor_at(Position::start_of(at));
        let mut stream = reader.open(&format!("after={cursor}")).await;
        let missed = stream.next_named("events").await;
        let said = (!is_kept).then_some(&Value::Bool(false));
        assert_eq!(missed.data.get("recovered"), said, "{}", missed.data);
        let live = stream.next_named("live").await;
        assert_eq!(live.data["recovered"], is_kept);
    }
}

/// Where somebody goes on who has seen everything.
async fn next_cursor(reader: &Reader<'_>) -> String {
    let page = format!("wait=0&after={}", long_ago(reader.stack));
    let page = reader.page(&page).await;
    page["next"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_comes_back_goes_on_where_it_was() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    stack.mandrill().deliver(sends(0..2)).await;
    let first = format!("after={}", long_ago(&stack));
    let mut stream = reader.open(&first).await;
    stream.next_events(2).await;
    stream.next_named("live").await;
    let last_id = stream.last_id.clone();
    drop(stream);
    one_by_one(&stack, 2..4).await;
    // It asks by its first address again, and says beside it how far it has come.
    let mut again = reader
        .open_with(&first, &[("last-event-id", &last_id)])
        .await;
    assert_eq!(numbers(&again.next_events(2).await), [2, 3]);
    again.next_named("live").await;
    let refused = [
        ("authorization", reader.bearer()),
        ("last-event-id", "x".to_owned()),
    ];
    let refused = refused
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let refused = stack
        .http()
        .request(Method::GET, "/v1/stream", &refused, "")
        .await;
    assert_eq!(refused.error(), (400, "bad_cursor".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_hands_over_before_lambda_ends_it() {
    let stack = TestStack::start_with(short(6)).await;
    let reader = Reader::of(&stack);
    stack.mandrill().deliver(sends(0..1)).await;
    let mut stream = reader.open(&format!("after={}", long_ago(&stack))).await;
    stream.next_events(1).await;
    stream.next_named("live").await;
    let reconnect = stream.next_named("reconnect").await;
    assert_eq!(reconnect.data["cursor"], stream.last_id);
    // One for the beginning, and one for about each second.
    assert!(stream.comments >= 3, "{} comments", stream.comments);
    assert!(stream.next().await.is_none());
    stack.mandrill().deliver(sends(1..2)).await;
    let mut next = reader.open(&format!("after={}", stream.last_id)).await;
    assert_eq!(numbers(&next.next_events(1).await), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_misses_nothing_that_is_being_stored_as_it_begins() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    stack.mandrill().deliver(sends(0..1)).await;
    let item = take_away(&stack).await;
    let mut stream = reader.open("").await;
    stream.next_named("live").await;
    let before = platform::clock::now().minus(5_000);
    put(&stack, "EventsTable", stored_at(item, before)).await;
    assert_eq!(numbers(&stream.next_events(1).await), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_come_once_though_pushes_are_late() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let now = platform::clock::now();
    for (n, ago_ms) in [120_000, 60_000, 30_000].into_iter().enumerate() {
        stack.mandrill().deliver(sends(n..n + 1)).await;
        let items = stack.items("EventsTable").await;
        let is_new = |item: &&serde_json::Value| {
            let at = item["feed_at"]["S"].as_str().unwrap();
            *at >= *now.0.to_string()
        };
        let item = items.iter().find(is_new).unwrap().clone();
        put(&stack, "EventsTable", stored_at(item, now.minus(ago_ms))).await;
    }
    let note = json!({
        "pk": { "S": "late" },
        "sk": { "S": now.plus(60_000).0.to_string() },
        "from": { "N": now.minus(90_000).0.to_string() },
    });
    put(&stack, "ConnectionsTable", note).await;
    for (last, wanted) in [(10, &[0, 1, 2][..]), (2, &[1, 2])] {
        let mut stream = reader.open(&format!("last={last}")).await;
        let events = stream.next_named("events").await;
        assert_eq!(numbers(events.events()), wanted, "last={last}");
        stream.next_named("live").await;
    }
}

/// How many seconds something may last that has to end soon, but not before it is used: more, if
/// it was too slow with less.
const SOON_SECONDS: [u64; 4] = [3, 6, 12, 24];

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_a_stream_that_outlives_it() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let mut opened = None;
    for seconds in SOON_SECONDS {
        let ticket = reader.ticket(60_000 - seconds * 1_000);
        let path = format!("/v1/stream?ticket={ticket}");
        if let Ok(stream) = Sse::open(stack.http(), &path, &[]).await {
            opened = Some((ticket, stream));
            break;
        }
    }
    let (ticket, mut stream) = opened.expect("a ticket that is good for long enough");
    stream.next_named("live").await;
    eventually(DEADLINE, async || {
        let path = format!("/v1/events?wait=0&ticket={ticket}");
        let status = stack.http().get(&path, "").await.status;
        (status == 401).then_some(()).ok_or(status.to_string())
    })
    .await;
    stack.mandrill().deliver(sends(0..1)).await;
    assert_eq!(numbers(&stream.next_events(1).await), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_rights_of_its_ticket() {
    let stack = TestStack::start().await;
    let mut opened = None;
    for seconds in SOON_SECONDS {
        let reader = Reader::with(&stack, "type:send", |rights| {
            rights.until = platform::clock::now().plus(seconds * 1_000);
        });
        let path = format!("/v1/stream?ticket={}", reader.ticket(0));
        if let Ok(stream) = Sse::open(stack.http(), &path, &[]).await {
            opened = Some(stream);
            break;
        }
    }
    let mut stream = opened.expect("rights that last for long enough");
    let mut error = stream.next().await.expect("an event");
    if error.name == "live" {
        error = stream.next_named("error").await;
    }
    assert_eq!(error.data["code"], "expired");
    assert_eq!(error.data["cursor"], stream.last_id);
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_by_a_stream_what_the_token_hides() {
    let stack = TestStack::start().await;
    let filtered = Reader::with(&stack, "reader3", |_| {});
    let masked = Reader::with(&stack, "", |rights| rights.mask = true);
    let mut wide = filtered.open("filter=type:*").await;
    let mut hidden = masked.open("data=true").await;
    for stream in [&mut wide, &mut hidden] {
        stream.next_named("live").await;
    }
    stack.mandrill().deliver(sends(0..5)).await;
    assert_eq!(numbers(&wide.next_events(1).await), [3]);
    let seen = hidden.next_events(5).await;
    for event in seen {
        assert!(!event.to_string().contains("reader"), "{event}");
        assert!(event["data"].is_null(), "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_each_event_once_though_the_index_lags() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let mut stream = reader.open("").await;
    stream.next_named("live").await;
    for n in 0..20 {
        let lag = std::time::Duration::from_millis(if n % 3 == 0 { 600 } else { 0 });
        stack.dynamodb().faults().set_index_lag(lag);
        stack.mandrill().deliver(sends(n..n + 1)).await;
        stack
            .dynamodb()
            .faults()
            .set_index_lag(std::time::Duration::ZERO);
    }
    let mut found = numbers(&stream.next_events(20).await);
    found.sort_unstable();
    assert_eq!(found, (0..20).collect::<Vec<_>>());
}
