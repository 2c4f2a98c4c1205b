//! How quick it is with many messages. What is asserted is that it does not grow slower.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry};

use super::fairness::{NOW, WORK, drafts, engine};
use super::{Desk, TEMPLATE};
use crate::sqs::message::Handle;
use crate::template::{Settings, Template};

fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}

#[test]
fn a_queue_with_150_000_messages_of_one_group_is_as_quick_as_an_empty_one() {
    const WAITING: usize = 150_000;
    let directory = tempfile::tempdir().unwrap();
    let mut engine = engine(directory.path());
    let batches: Vec<_> = (0..WAITING / 10).map(|_| drafts("dead", 10)).collect();
    let mut sends = Vec::new();
    for batch in &batches {
        let began = Instant::now();
        engine.send(WORK, batch, NOW).unwrap();
        sends.push(began.elapsed());
    }
    let (first, last) = sends.split_at_mut(WAITING / 20);
    let (first, last) = (median(first), median(last));
    println!("ten messages are sent in {first:?} at first, {last:?} at last");
    assert!(last < first * 3);

    let template = Template::parse(TEMPLATE, &Settings::default()).unwrap();
    let mut queues = template.queues.into_iter();
    let arn = queues.find(|queue| queue.logical_id == "Work").unwrap().arn;
    let mut takes = Vec::new();
    for _ in 0..1_000 {
        engine.send(WORK, &drafts("alive", 10), NOW).unwrap();
        let began = Instant::now();
        let received = engine.receive(WORK, 10, None, NOW).unwrap().messages;
        let handles: Vec<_> = received
            .iter()
            .filter_map(|one| Handle::parse(&one.receipt_handle, &arn))
            .collect();
        engine.delete(WORK, &handles, NOW).unwrap();
        takes.push(began.elapsed());
        assert_eq!(handles.len(), 10);
    }
    let (first, last) = takes.split_at_mut(500);
    let (first, last) = (median(first), median(last));
    println!("ten messages are received and deleted in {first:?} at first, {last:?} at last");
    assert!(last < first * 3);
}

/// Through HTTP and the SDK, from eight tasks at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_in_batches_is_received_and_deleted_in_batches() {
    const TASKS: usize = 8;
    const BATCHES: usize = 50;
    let desk = Desk::new().await;
    let url = desk.url("Work");
    let rate = |began: Instant| (TASKS * BATCHES * 10) as f64 / began.elapsed().as_secs_f64();

    let began = Instant::now();
    let entry = |id: usize| {
        let entry = SendMessageBatchRequestEntry::builder().id(id.to_string());
        let entry = entry.message_body("x".repeat(100)).message_group_id("ep_1");
        entry.build().unwrap()
    };
    at_once(TASKS, async || {
        for _ in 0..BATCHES {
            let send = desk.client.send_message_batch().queue_url(&url);
            let entries = (0..10).map(entry).collect();
            let sent = send.set_entries(Some(entries)).send().await.unwrap();
            assert_eq!(sent.successful.len(), 10);
        }
    })
    .await;
    println!("{:.0} messages/s are sent", rate(began));

    let began = Instant::now();
    at_once(TASKS, async || {
        for _ in 0..BATCHES {
            let messages = desk.receive("Work").await;
            let entry = |(id, message): (usize, &Message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
                let handle = message.receipt_handle().unwrap();
                entry.receipt_handle(handle).build().unwrap()
            };
            let entries = messages.iter().enumerate().map(entry).collect();
            let delete = desk.client.delete_message_batch().queue_url(&url);
            let deleted = delete.set_entries(Some(entries)).send().await.unwrap();
            assert_eq!(deleted.successful.len(), 10);
        }
    })
    .await;
    println!("{:.0} messages/s are received and deleted", rate(began));
    assert_eq!(desk.counts("Work").await, (0, 0, 0));
}

async fn at_once(tasks: usize, task: impl AsyncFn()) {
    let tasks: Vec<_> = (0..tasks).map(|_| task()).collect();
    futures::future::join_all(tasks).await;
}
