//! `push` keeps to its rate, and nobody misses anything by it.

use std::collections::BTreeSet;
use std::time::Duration;

use flows::{DEADLINE, FeedReader, TestStack, eventually, numbers, sends};

/// A stack whose `push` may post one message a second.
async fn slow_stack() -> TestStack {
    TestStack::start_with(|options| {
        let rate = ("PushRate".to_owned(), "1".to_owned());
        options.parameters.extend([rate]);
    })
    .await
}

async fn feed(stack: &TestStack) -> FeedReader {
    let feed = stack.feed(|options| options.pace.ping = Duration::from_millis(200));
    let mut feed = feed.await;
    feed.live().await;
    feed
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_have_to_wait_for_their_turn_arrive() {
    let stack = slow_stack().await;
    let mut sockets = [
        stack.connect().await,
        stack.connect().await,
        stack.connect().await,
    ];
    stack.mandrill().deliver(sends(0..1)).await;
    for socket in &mut sockets {
        assert_eq!(numbers(&socket.hear_events(1).await), [0]);
    }
    stack.wait_until_pushed().await;
    for row in stack.items("ConnectionsTable").await {
        assert!(row.get("missed_since").is_none(), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_turn_in_time_is_told_of_the_gap_and_fills_it() {
    let stack = slow_stack().await;
    let mut feeds = Vec::new();
    for _ in 0..4 {
        feeds.push(feed(&stack).await);
    }
    stack.mandrill().deliver(sends(0..1_000)).await;
    eventually(DEADLINE, async || {
        let rows = stack.items("ConnectionsTable").await;
        let is_marked = rows.iter().any(|row| row.get("missed_since").is_some());
        is_marked.then_some(()).ok_or("nobody is marked".to_owned())
    })
    .await;
    for feed in &mut feeds {
        feed.read(1_000).await;
        let found: BTreeSet<_> = numbers(&feed.told).into_iter().collect();
        assert_eq!((found, feed.told.len()), ((0..1_000).collect(), 1_000));
    }
}
