//! What the workload of a local stack would cost on AWS.

use std::collections::BTreeMap;

use flows::TestStack;
use local_aws::bill::GB;
use local_aws::bill::Item;
use posthorn::tools::cost::model::{Month, Part, Workload};
use posthorn::tools::generator::{Batch, Batches, Kind, Settings};
use serde_json::{Value, json};

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

/// A stack whose functions run in its process: built ones make calls when they start (they read the
/// secret, and open their connections to DynamoDB and the gateway), as often as there are processes.
async fn start_in_process() -> TestStack {
    TestStack::start_with(|options| options.local.functions = None).await
}

async fn bill(stack: &TestStack) -> Value {
    stack.bill().await
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

/// One write for the row and its entry in the index, one for the claim, one for the attempt and its
/// entry, one for the row as it is then, whose entry moves: deleted here, put there.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_taken_at_once_costs_eight_write_units() {
    const EVENTS: usize = 100;
    let (stack, receiver) = (start_in_process().await, flows::Receiver::start().await);
    crate::deliver::endpoint(&stack, &receiver, "/a", &[]).await;
    let before = bill(&stack).await;
    stack.mandrill().deliver(flows::sends(0..EVENTS)).await;
    receiver.wait_for("/a", EVENTS).await;
    crate::deliver::wait_until_idle(&stack).await;
    let after = bill(&stack).await;
    let units = |name: &str| {
        let of = |bill: &Value| bill["tables"][name]["write_units"].as_f64().unwrap_or(0.0);
        of(&after) - of(&before)
    };
    let row = units("DeliveriesTable") / EVENTS as f64;
    let index = units("DeliveriesTable/by_endpoint") / EVENTS as f64;
    assert_eq!((row, index), (4.0, 4.0));
    // How an endpoint fares is written only when that changes.
    assert_eq!(units("EndpointsTable"), 0.0);
}

#[tokio::test]
async fn the_bill_counts_what_aws_would() {
    let stack = start_in_process().await;
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

    let answer = stack
        .http()
        .get("/_stack/bill", &stack.urls().stack_token)
        .await;
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
async fn an_object_is_billed_unless_s3_fails() {
    let stack = start_in_process().await;
    let large = flows::batch([crate::oversized::inbound(600_000)]);
    stack.faults().set_s3_fails(true);
    stack.mandrill().post(&large).await;
    assert_eq!(quantity(&bill(&stack).await, "s3_put"), 0.0);
    stack.faults().set_s3_fails(false);
    stack.mandrill().deliver(large).await;
    let event = crate::oversized::the_oversized(&stack).await;
    crate::oversized::by_id(&stack, &event).await;
    let bill = bill(&stack).await;
    assert_eq!(quantity(&bill, "s3_put"), 1.0);
    assert_eq!(quantity(&bill, "s3_get"), 1.0);
}

#[tokio::test]
async fn the_bill_names_nobody() {
    let stack = TestStack::start().await;
    let mandrill = stack.mandrill();
    for batch in simulated(&[], 50, 100) {
        mandrill.deliver(batch.json).await;
    }
    let text = stack
        .http()
        .get("/_stack/bill", &stack.urls().stack_token)
        .await
        .body;
    let urls = stack.urls();
    assert!(!text.contains('@') && !text.contains(&urls.token));
    assert!(!text.contains(&urls.webhook_keys[0]));
}

/// A day's quantity of what `posthorn cost` foresees.
fn foreseen(month: &Month, part: Part, item: Item) -> f64 {
    let mut parts = month.parts.iter();
    let (_, usage) = parts.find(|(known, _)| *known == part).unwrap();
    usage[&item] / 30.0
}

#[track_caller]
fn assert_near(foreseen: f64, billed: f64, tolerance: f64) {
    let ratio = foreseen / billed;
    assert!(
        (1.0 - tolerance..=1.0 + tolerance).contains(&ratio),
        "{foreseen} was foreseen and {billed} billed"
    );
}

#[tokio::test]
async fn what_the_calculator_foresees_is_what_the_meter_counts() {
    const VIEWERS: usize = 3;
    let stack = start_in_process().await;
    let mut sockets = Vec::new();
    for _ in 0..VIEWERS {
        sockets.push(stack.connect().await);
    }
    let (batches, mandrill) = (simulated(&[], 5, 500), stack.mandrill());
    for batch in &batches {
        mandrill.deliver(batch.json.clone()).await;
        // As on a day with hours between the POSTs: each is pushed by itself.
        stack.wait_until_pushed().await;
    }
    let bill = bill(&stack).await;
    let bytes: usize = batches.iter().map(|batch| batch.json.len()).sum();
    let events: usize = batches.iter().map(|batch| batch.kinds.len()).sum();
    let events = events as f64;
    let month = Workload {
        events_per_day: events,
        batch: events / batches.len() as f64,
        event_bytes: bytes as f64 / events,
        retention_days: 1.0,
        viewers: VIEWERS as f64,
        viewer_hours: 24.0,
        wanted: 1.0,
        endpoints: 0.0,
        is_arm64: true,
        logs_info: true,
        is_traced: false,
    }
    .month();

    let intake = |item| foreseen(&month, Part::Intake, item);
    let webhook = bill["functions"]["WebhookFunction"]["invocations"].as_f64();
    assert_near(intake(Item::LambdaRequest), webhook.unwrap(), 0.001);
    assert_near(
        intake(Item::HttpRequest),
        quantity(&bill, "http_request"),
        0.001,
    );
    assert_near(intake(Item::WriteUnit), written(&bill), 0.02);
    let looked_up = bill["tables"]["EventsTable"]["read_units"].as_f64();
    assert_near(intake(Item::ReadUnit), looked_up.unwrap(), 0.001);

    let push = |item| foreseen(&month, Part::Push, item);
    let pushes = bill["functions"]["PushFunction"]["invocations"].as_f64();
    assert_near(push(Item::LambdaRequest), pushes.unwrap(), 0.15);
    assert_near(push(Item::Message), quantity(&bill, "message"), 0.15);
    // The functions of a desk share one list of connections, and those on AWS do not.
    let listed = bill["tables"]["ConnectionsTable"]["read_units"].as_f64();
    assert!(listed.unwrap() <= push(Item::ReadUnit), "{listed:?}");

    let mut heard = 0;
    for socket in &mut sockets {
        let events = socket.hear_events(events as usize).await;
        heard += events
            .iter()
            .map(|event| event.to_string().len())
            .sum::<usize>();
    }
    let sent = foreseen(&month, Part::Transfer, Item::EgressGb) * GB;
    assert_near(sent, heard as f64, 0.15);

    let table = json!({ "TableName": stack.table("EventsTable") });
    let table = stack.dynamo("DescribeTable", table).await;
    let stored = table["Table"]["TableSizeBytes"].as_f64().unwrap() + 100.0 * events;
    let kept = month.parts.iter().find(|(part, _)| *part == Part::Keeping);
    let kept = kept.unwrap().1[&Item::BackupGbMonth] * GB;
    assert!((0.5..=1.0).contains(&(stored / kept)), "{stored} of {kept}");
}
