//! What the functions count, as CloudWatch reads it.

use std::collections::BTreeMap;

use domain::Position;
use flows::{DEADLINE, TestStack, batch, eventually, of_message, sends};
use local_aws::faults::PostFault;
use serde_json::Value;

use crate::captured;
use crate::fixtures::{RECEIVED_MS, fixture};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A stack whose metrics have a dimension of their own.
async fn stack(name: &str) -> TestStack {
    captured::lines();
    TestStack::start_with(|options| {
        let (before, after) = ("METRICS_STACK: !Ref AWS::StackName", "METRICS_STACK: ");
        assert!(options.local.template.contains(before));
        options.local.template = options
            .local
            .template
            .replace(before, &format!("{after}{name}"));
    })
    .await
}

/// The sum of each metric of a stack, under its name, and under its name and another dimension.
fn sums(stack: &TestStack) -> BTreeMap<String, u64> {
    let name = stack.variable("PushFunction", "METRICS_STACK");
    let mut sums = BTreeMap::new();
    for text in [captured::lines().text(), captured::printed(stack)] {
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            if line["stack"] == *name {
                add(&line, &mut sums);
            }
        }
    }
    sums
}

/// Waits until these of the metrics have these sums: a built function's lines take a moment.
async fn expect(stack: &TestStack, among: &[&str], expected: &[(&str, u64)]) {
    let expected: BTreeMap<String, u64> = expected
        .iter()
        .map(|(name, sum)| ((*name).to_owned(), *sum))
        .collect();
    eventually(DEADLINE, async || {
        let mut sums = sums(stack);
        sums.retain(|name, _| among.iter().any(|among| name.starts_with(among)));
        (sums == expected).then_some(()).ok_or(format!("{sums:?}"))
    })
    .await;
}

/// What CloudWatch makes of a line.
fn add(line: &Value, sums: &mut BTreeMap<String, u64>) {
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "Posthorn");
        for set in directive["Dimensions"].as_array().unwrap() {
            let (first, others) = set.as_array().unwrap().split_first().unwrap();
            assert_eq!(first, "stack");
            for metric in directive["Metrics"].as_array().unwrap() {
                let mut key = metric["Name"].as_str().unwrap().to_owned();
                let value = line[&key].as_u64().unwrap();
                for other in others {
                    key += "/";
                    key += line[other.as_str().unwrap()].as_str().unwrap();
                }
                *sums.entry(key).or_default() += value;
            }
        }
    }
}

/// Invokes `push` with the records of a sample whose events were received so long ago.
async fn push(stack: &TestStack, sample: &str, ago_ms: u64) {
    let received_at = platform::clock::now().minus(ago_ms).0.to_string();
    let payload = fixture(sample).replace(RECEIVED_MS, &received_at);
    let answer = stack.invoke("PushFunction", payload).await.unwrap();
    assert_eq!(answer, r#"{"batchItemFailures":[]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_counts_batches_events_by_type_and_refusals_by_code() {
    let stack = stack("metrics-webhook").await;
    let kinds = ["send", "open", "open", "sms_delivered", "mms_delivered"];
    let named = kinds.iter().enumerate();
    let mut events: Vec<String> = named.map(|(n, kind)| of_message(kind, n, n)).collect();
    events.push("null".to_owned());
    for _ in 0..2 {
        stack.mandrill().deliver(batch(&events)).await;
    }
    let key = "wrong";
    let wrong = flows::Mandrill::new(&stack.webhook(), &stack.urls().webhook_url, key);
    assert_eq!(wrong.post(sends(0..3)).await.status, 403);
    expect(
        &stack,
        &[""],
        &[
            ("Batches", 2),
            ("EventsDuplicate", 6),
            ("EventsReceived", 12),
            ("EventsReceived/open", 4),
            ("EventsReceived/other", 4),
            ("EventsReceived/send", 2),
            ("EventsReceived/unknown", 2),
            ("EventsStored", 6),
            ("EventsUnknown", 2),
            ("RequestsRefused", 1),
            ("RequestsRefused/bad_signature", 1),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn push_counts_messages_and_measures_how_long_they_took() {
    let stack = stack("metrics-push").await;
    let mut well = stack.connect().await;
    let hurt = stack.connect().await;
    stack.faults().set_post(hurt.id(), Some(PostFault::Fail));
    stack.mandrill().deliver(sends(0..1)).await;
    well.hear_events(1).await;
    stack.wait_until_pushed().await;
    let among = ["MessagesPushed", "MessagesGivenUp", "ConnectionsGone"];
    expect(
        &stack,
        &among,
        &[("MessagesGivenUp", 1), ("MessagesPushed", 1)],
    )
    .await;
    assert!(sums(&stack)["PushLatency"] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn push_counts_records_that_are_late_stale_or_unreadable() {
    let stack = stack("metrics-records").await;
    push(&stack, "push/insert.json", 0).await;
    push(&stack, "push/insert.json", 8_000).await;
    push(&stack, "push/insert.json", 2 * DAY_MS).await;
    push(&stack, "push/malformed.json", 0).await;
    expect(
        &stack,
        &[""],
        &[
            ("DiscardedRecords", 3),
            ("LateRecords", 5),
            ("StaleRecords", 5),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_message_count_connections_and_replays() {
    let stack = stack("metrics-sockets").await;
    stack.mandrill().deliver(sends(0..3)).await;
    stack.wait_until_pushed().await;
    let mut socket = stack.connect().await;
    let refused = format!("{}?ticket=wrong", stack.urls().ws);
    assert_eq!(flows::Socket::open(&refused).await.unwrap_err(), 401);
    socket.resume_last(2).await;
    let long_ago = platform::clock::now().minus(31 * DAY_MS);
    let cursor = stack.cursors().cursor_at(Position::start_of(long_ago));
    socket.resume(&cursor).await;
    let among = ["Connections", "EventsReplayed", "Resumes"];
    expect(
        &stack,
        &among,
        &[
            ("ConnectionsAccepted", 1),
            ("ConnectionsRefused", 1),
            ("EventsReplayed", 5),
            ("Resumes", 2),
            ("ResumesNotRecovered", 1),
        ],
    )
    .await;
}
