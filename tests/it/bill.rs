//! What the workload of a local stack would cost on AWS.

use std::collections::BTreeMap;

use flows::TestStack;
use posthorn::tools::generator::{Batch, Batches, Kind, Settings};
use serde_json::Value;

/// Events of one kind, or of all, as `posthorn simulate` makes them.
fn simulated(kinds: &[Kind], size: usize, count: u64) -> Vec<Batch> {
    let settings = Settings {
        seed: 20,
        start: 1_795_300_000,
        rate: 50.0,
        kinds: kinds.to_vec(),
    };
    Batches::new(settings, size, Some(count)).collect()
}

async fn bill(stack: &TestStack) -> Value {
    stack.http().get("/_stack/bill", "").await.json()
}

/// How much of an item is on the bill.
fn quantity(bill: &Value, item: &str) -> f64 {
    let lines = bill["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["item"] == item);
    line.unwrap()["quantity"].as_f64().unwrap()
}

/// The units written to the events table and its indexes.
fn written(bill: &Value) -> f64 {
    [
        "EventsTable",
        "EventsTable/feed",
        "EventsTable/by_recipient",
    ]
    .map(|name| bill["tables"][name]["write_units"].as_f64().unwrap_or(0.0))
    .iter()
    .sum()
}

#[tokio::test]
async fn no_ordinary_event_costs_more_than_three_write_units() {
    let stack = TestStack::start().await;
    let mandrill = stack.mandrill();
    let mut before = 0.0;
    let mut costs = BTreeMap::new();
    for kind in [
        Kind::Send,
        Kind::Delivered,
        Kind::Open,
        Kind::Click,
        Kind::HardBounce,
    ] {
        for batch in simulated(&[kind], 100, 200) {
            mandrill.deliver(batch.json).await;
        }
        let after = written(&bill(&stack).await);
        costs.insert(kind.to_string(), (after - before) / 200.0);
        before = after;
    }
    assert!(costs.values().all(|units| *units <= 3.0), "{costs:?}");
}

#[tokio::test]
async fn the_bill_counts_what_aws_would() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let (mandrill, mut events) = (stack.mandrill(), 0);
    let batches = simulated(&[Kind::Send, Kind::Open], 25, 100);
    for batch in &batches {
        events += batch.kinds.len();
        mandrill.deliver(batch.json.clone()).await;
    }
    socket.hear_events(events).await;
    stack.wait_until_pushed().await;
    // The same once more: stored already, so that it is read and not written.
    mandrill.deliver(batches[0].json.clone()).await;

    let answer = stack.http().get("/_stack/bill", "").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let bill = answer.json();
    let posts = batches.len() as f64 + 1.0;
    assert_eq!(quantity(&bill, "http_request"), posts);
    assert_eq!(
        bill["functions"]["WebhookFunction"]["invocations"],
        posts as u64
    );
    assert_eq!(bill["tables"]["EventsTable"]["write_units"], 100.0);
    assert_eq!(bill["tables"]["EventsTable/feed"]["write_units"], 100.0);
    assert_eq!(bill["tables"]["EventsTable"]["read_units"], 125.0);
    assert_eq!(bill["tables"]["ConnectionsTable"]["write_units"], 1.0);
    assert_eq!(quantity(&bill, "write_unit"), written(&bill) + 1.0);
    let pushed = quantity(&bill, "message");
    assert!((4.0..=100.0).contains(&pushed), "{pushed}");
    assert!(quantity(&bill, "connection_minute") > 0.0);
    assert!(quantity(&bill, "lambda_gb_second_arm64") > 0.0);
    assert!(quantity(&bill, "secret_call") >= 2.0);
    assert!(bill["total_usd"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn the_bill_names_nobody() {
    let stack = TestStack::start().await;
    let mandrill = stack.mandrill();
    for batch in simulated(&[], 50, 100) {
        mandrill.deliver(batch.json).await;
    }
    let text = stack.http().get("/_stack/bill", "").await.body;
    let urls = stack.urls();
    assert!(!text.contains('@') && !text.contains(&urls.token));
    assert!(!text.contains(&urls.webhook_keys[0]));
}
