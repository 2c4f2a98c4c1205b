//! Long poll.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::CursorKind;
use flows::{DEADLINE, TestStack, eventually, numbers, sends};
use serde_json::Value;

use super::{Reader, cursor, long_ago, one_by_one, put, stored_at, take_away};

fn events(page: &Value) -> &[Value] {
    page["events"].as_array().unwrap()
}

fn next(page: &Value) -> String {
    page["next"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_answered_at_once_oldest_first() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    one_by_one(&stack, 0..3).await;
    let page = reader
        .page(&format!("wait=20&after={}", long_ago(&stack)))
        .await;
    assert_eq!(numbers(events(&page)), [0, 1, 2]);
    assert_eq!(
        (&page["more"], &page["recovered"]),
        (&false.into(), &true.into())
    );
    assert_eq!(events(&page)[0], *stack.history().await.last().unwrap());
    let after = reader.page(&format!("wait=0&after={}", next(&page))).await;
    assert!(events(&after).is_empty(), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_when_something_comes() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let from = next(&reader.page("wait=0").await);
    let query = format!("wait=20&after={from}");
    let waits = reader.page(&query);
    let comes = stack.mandrill();
    let (page, _) = tokio::join!(waits, comes.deliver(sends(0..1)));
    assert_eq!(numbers(events(&page)), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_at_the_present_misses_nothing_that_is_being_stored() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    stack.mandrill().deliver(sends(0..1)).await;
    let item = take_away(&stack).await;
    stack.mandrill().deliver(sends(1..2)).await;
    let page = reader.page("wait=0").await;
    assert!(events(&page).is_empty(), "{page}");
    // It was stored first, and can be seen last.
    let before = platform::clock::now().minus(5_000);
    put(&stack, "EventsTable", stored_at(item, before)).await;
    let page = reader.page(&format!("wait=0&after={}", next(&page))).await;
    assert!(numbers(events(&page)).contains(&0), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_long_enough_is_answered_with_nothing() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let before = platform::clock::now().0;
    let page = reader.page("wait=1&filter=type:click").await;
    assert!(platform::clock::now().0 >= before + 1_000);
    assert!(events(&page).is_empty() && page["more"] == false, "{page}");
    stack.mandrill().deliver(sends(0..1)).await;
    let page = reader.page(&format!("wait=20&after={}", next(&page))).await;
    assert_eq!(numbers(events(&page)), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_without_a_repeat() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    stack.mandrill().deliver(sends(0..25)).await;
    let mut after = long_ago(&stack);
    let mut found = Vec::new();
    loop {
        let page = reader.page(&format!("wait=0&limit=10&after={after}")).await;
        found.extend(numbers(events(&page)));
        after = next(&page);
        if page["more"] == false {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..25).collect::<Vec<_>>());
    let filtered = format!("wait=0&filter=reader3&after={}", long_ago(&stack));
    assert_eq!(numbers(events(&reader.page(&filtered).await)), [3]);
}

/// Polls while events are stored, with an index that lags; answers how often each was found.
async fn polled_while_it_lags(lag: Duration) -> BTreeMap<usize, usize> {
    const EVENTS: usize = 40;
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let mut after = next(&reader.page("wait=0").await);
    let mut found = BTreeMap::new();
    for n in 0..EVENTS {
        // Some lag and some do not, so that what was stored later is seen first.
        let lag = if n % 3 == 0 { lag } else { Duration::ZERO };
        stack.dynamodb().faults().set_index_lag(lag);
        stack.mandrill().deliver(sends(n..n + 1)).await;
        stack.dynamodb().faults().set_index_lag(Duration::ZERO);
        let page = reader.page(&format!("wait=0&limit=5&after={after}")).await;
        for number in numbers(events(&page)) {
            *found.entry(number).or_default() += 1;
        }
        after = next(&page);
    }
    eventually(DEADLINE, async || {
        let page = reader.page(&format!("wait=0&after={after}")).await;
        for number in numbers(events(&page)) {
            *found.entry(number).or_default() += 1;
        }
        after = next(&page);
        (found.len() == EVENTS)
            .then_some(())
            .ok_or(format!("{found:?}"))
    })
    .await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_find_each_event_once_when_the_index_does_not_lag() {
    let found = polled_while_it_lags(Duration::ZERO).await;
    assert!(found.values().all(|times| *times == 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_find_each_event_although_the_index_lags() {
    let found = polled_while_it_lags(Duration::from_millis(700)).await;
    assert!(found.values().all(|times| *times >= 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_elsewhere_reads_what_was_late_then() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    one_by_one(&stack, 0..2).await;
    // Of an event that was seen over a socket: what is stored just before it is given once more.
    let newest = stack.history().await[0]["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let page = reader.page(&format!("wait=0&after={newest}")).await;
    assert_eq!(numbers(events(&page)), [0, 1]);
    let page = reader.page(&format!("wait=0&after={}", next(&page))).await;
    assert!(events(&page).is_empty(), "{page}");
    // A socket takes the cursor of a page.
    let mut socket = stack.connect().await;
    let heard = socket.resume(&next(&page)).await;
    assert_eq!(heard.last().unwrap().json["recovered"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_before_all_that_is_kept_says_so() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    stack.mandrill().deliver(sends(0..1)).await;
    let days = 24 * 60 * 60 * 1_000;
    let before = platform::clock::now().minus(31 * days);
    let before = cursor(&stack, before, CursorKind::Seen);
    let page = reader.page(&format!("wait=20&after={before}")).await;
    assert_eq!(page["recovered"], false);
    assert_eq!(numbers(events(&page)), [0]);
    let page = reader.page(&format!("wait=0&after={}", next(&page))).await;
    assert_eq!(page["recovered"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_by_a_page_what_the_token_hides() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..5)).await;
    let from = long_ago(&stack);
    let filtered = Reader::with(&stack, "reader3", |_| {});
    for asked in [
        "",
        "&filter=reader*",
        "&filter=type:send",
        "&filter=-reader3",
    ] {
        let page = filtered.page(&format!("wait=0&after={from}{asked}")).await;
        let found = numbers(events(&page));
        assert!(found.iter().all(|n| *n == 3), "{asked}: {page}");
        assert_eq!(found.is_empty(), asked.ends_with("-reader3"), "{asked}");
    }
    let masked = Reader::with(&stack, "", |rights| rights.mask = true);
    let page = masked.page(&format!("wait=0&after={from}")).await;
    assert_eq!(events(&page).len(), 5);
    assert!(!page.to_string().contains("reader"), "{page}");
    assert!(events(&page).iter().all(|event| event["data"].is_null()));
    let asked = format!("/v1/events?wait=0&after={from}&filter=reader3");
    assert_eq!(
        masked.get(&asked).await.error(),
        (403, "forbidden".to_owned())
    );
}
