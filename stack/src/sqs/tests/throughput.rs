//! How quick it is with many messages. What is asserted is that it does not grow slower.

use std::time::{Duration, Instant};

use super::TEMPLATE;
use super::fairness::{NOW, WORK, drafts, engine};
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
