//! What is there after a start.

use super::super::{Sqs, SqsError};
use super::{Desk, TEMPLATE, client_of};
use crate::functions::scripted::handlers;
use crate::{Options, Stack};

#[tokio::test]
async fn messages_outlive_the_stack_with_their_receipts_and_delays() {
    let desk = Desk::new().await;
    for body in ["received", "waiting"] {
        desk.send("Work", body).await;
    }
    desk.send("Late", "delayed").await;
    let receive = desk.client.receive_message().queue_url(desk.url("Work"));
    let received = receive.send().await.unwrap().messages.unwrap();

    let Desk {
        stack,
        _directory: directory,
        _turn: turn,
        ..
    } = desk;
    // Not stopped: a process that is killed does not say farewell either. Only its lock must go.
    drop(stack);
    let mut options = Options::new(TEMPLATE, directory.path());
    options.handlers = handlers();
    let stack = super::eventually(|| Stack::start(options.clone())).await;
    let desk = Desk {
        client: client_of(&stack, "Caller"),
        stack,
        _directory: directory,
        _turn: turn,
    };
    assert_eq!(desk.counts("Work").await, (1, 0, 1));
    assert_eq!(desk.counts("Late").await, (0, 1, 0));
    desk.delete("Work", &received[0]).await;
    assert_eq!(desk.bodies("Work").await, ["waiting"]);
    desk.pass(61).await;
    assert_eq!(desk.bodies("Late").await, ["delayed"]);
    assert_eq!(desk.receive("Work").await[0].body(), Some("waiting"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("queues.sqlite"), [b'x'; 4_096]).unwrap();
    let opened = Sqs::open(
        directory.path(),
        Vec::new(),
        "us-east-1",
        std::sync::Arc::default(),
    );
    assert!(matches!(opened, Err(SqsError::Storage(_))));
}
