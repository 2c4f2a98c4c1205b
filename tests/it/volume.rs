//! Many batches at once, many clients.

use std::time::Duration;

use flows::{FeedReader, TestStack, ids, sends};
use futures::future::join_all;
use futures::{StreamExt, stream};

const BATCHES: usize = 20;
const BATCH: usize = 200;
const CLIENTS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_batches_at_once_every_client_gets_each_event() {
    let stack = TestStack::start().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = stack
            .feed(|options| {
                // On a busy machine a message may not be answered in time; the next ping tells of it.
                options.pace.ping = Duration::from_secs(1);
                // Nothing else makes up for an event that was not pushed.
                options.pace.looks = [Duration::from_secs(3_600); 2];
            })
            .await;
        client.live().await;
        clients.push(client);
    }
    let mandrill = stack.mandrill();
    let posts = stream::iter((0..BATCHES).map(|batch| {
        let events = sends(batch * BATCH..(batch + 1) * BATCH);
        let mandrill = &mandrill;
        async move { mandrill.deliver(events).await }
    }));
    let posted = posts.buffer_unordered(8).collect::<Vec<()>>();
    let read = clients
        .iter_mut()
        .map(|client: &mut FeedReader| client.read(BATCHES * BATCH));
    tokio::join!(posted, join_all(read));

    let expected = ids(&stack.history().await);
    assert_eq!(expected.len(), BATCHES * BATCH);
    for client in clients {
        assert_eq!(client.told.len(), BATCHES * BATCH);
        assert_eq!(ids(&client.told), expected);
    }
}
