//! Many batches at once, many clients.

use std::collections::BTreeSet;

use flows::{Socket, TestStack, ids, sends};
use futures::{StreamExt, stream};

const BATCHES: usize = 20;
const BATCH: usize = 200;
const CLIENTS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_batches_at_once_every_client_gets_each_event() {
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
        .map(hear_all)
        .buffer_unordered(CLIENTS)
        .collect::<Vec<_>>();
    let (_, heard) = tokio::join!(posted, heard);

    let expected = ids(&stack.history().await);
    assert_eq!(expected.len(), BATCHES * BATCH);
    for found in heard {
        assert_eq!(found, expected);
    }
}

/// The ids of all events, some of which may come again: a push that takes too long on a busy machine
/// is repeated.
async fn hear_all(socket: &mut Socket) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let all = socket.hear_until("all events", |message| {
        found.extend(ids(message.events()));
        found.len() == BATCHES * BATCH
    });
    all.await;
    found
}
