//! Many batches at once, many clients.

use flows::{TestStack, ids, sends};
use futures::{StreamExt, stream};

const BATCHES: usize = 20;
const BATCH: usize = 200;
const CLIENTS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_batches_at_once_every_client_gets_each_event_once() {
    let stack = TestStack::start().await;
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        sockets.push(stack.connect().await);
    }
    let mandrill = stack.mandrill();
    let posts = stream::iter((0..BATCHES).map(|batch| {
        let events = sends(batch * BATCH..(batch + 1) * BATCH);
        let mandrill = &mandrill;
        async move { mandrill.deliver(events).await }
    }));
    let posted = posts.buffer_unordered(8).collect::<Vec<()>>();
    let heard = stream::iter(&mut sockets)
        .map(|socket| socket.hear_events(BATCHES * BATCH))
        .buffer_unordered(CLIENTS)
        .collect::<Vec<_>>();
    let (_, heard) = tokio::join!(posted, heard);

    let stored = stack.history().await;
    let expected = ids(&stored);
    assert_eq!(
        (stored.len(), expected.len()),
        (BATCHES * BATCH, BATCHES * BATCH)
    );
    for events in heard {
        assert_eq!(
            (events.len(), ids(&events)),
            (expected.len(), expected.clone())
        );
    }
    stack.wait_until_pushed().await;
    for mut socket in sockets {
        assert!(socket.drain().await.is_empty());
    }
}
