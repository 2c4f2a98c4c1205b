//! `push` keeps to its rate, and nobody misses anything by it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flows::{DEADLINE, FeedReader, Socket, TestStack, eventually, numbers, sends};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;

/// A stack whose `push` may post so many messages a second.
async fn stack_with_rate(rate: usize) -> TestStack {
    TestStack::start_with(|options| {
        let rate = ("PushRate".to_owned(), rate.to_string());
        options.local.parameters.extend([rate]);
    })
    .await
}

/// A stack whose `push` may post one message a second.
async fn slow_stack() -> TestStack {
    stack_with_rate(1).await
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

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_get_an_event_and_no_faster_than_the_rate() {
    const RATE: usize = 200;
    const CONNECTIONS: usize = 400;
    /// Of these, a quarter of a second's may be posted at once.
    const PACED: f64 = (CONNECTIONS - RATE / 4) as f64;

    let stack = stack_with_rate(RATE).await;
    let url = stack.socket_url();
    let opening =
        (0..CONNECTIONS).map(|_| async { Socket::open(&url).await.expect("a connection") });
    let mut sockets: Vec<_> = stream::iter(opening).buffer_unordered(16).collect().await;
    eventually(DEADLINE, async || {
        let count = stack.sockets().count();
        let are_all = count == CONNECTIONS;
        are_all.then_some(()).ok_or(format!("{count} are open"))
    })
    .await;
    let posted = Instant::now();
    stack.mandrill().deliver(sends(0..1)).await;
    let heard = join_all(sockets.iter_mut().map(|socket| socket.hear_events(1))).await;
    let took = posted.elapsed();
    assert!(heard.iter().all(|events| numbers(events) == [0]));
    // Only ever longer on a busy machine; a timer may fire a millisecond early.
    let least = Duration::from_secs_f64(PACED / RATE as f64) - Duration::from_millis(5);
    assert!(took >= least, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_whose_rights_have_ended_are_closed_no_faster_than_the_rate_and_each_once() {
    const RATE: u32 = 5;
    const CONNECTIONS: u32 = 8;

    let stack = stack_with_rate(RATE as usize).await;
    // Nobody has told that they are gone.
    for n in 0..CONNECTIONS {
        let id = format!("gone{n}=");
        crate::push::leave_row(&stack, &id, 61_000).await;
        crate::tokens::end_rights(&stack, &id).await;
    }
    let begun = Instant::now();
    let mut n = 0;
    eventually(DEADLINE, async || {
        n += 1;
        stack.mandrill().deliver(sends(n..n + 1)).await;
        stack.wait_until_pushed().await;
        let rows = stack.connection_ids().await;
        rows.is_empty().then_some(()).ok_or(format!("{rows:?}"))
    })
    .await;
    // One of them at once. A timer may fire a millisecond early.
    let least = Duration::from_secs(1) * (CONNECTIONS - 1) / RATE - Duration::from_millis(5);
    let took = begun.elapsed();
    assert!(took >= least, "{took:?}");
}
