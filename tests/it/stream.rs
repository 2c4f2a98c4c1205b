//! From the stream to `push`: failures, poison, restarts.

use std::collections::BTreeSet;

use flows::{TestStack, numbers, sends};
use posthorn::TEMPLATE;
use serde_json::{Value, json};

fn found(events: &[Value]) -> BTreeSet<usize> {
    numbers(events).into_iter().collect()
}

/// The template with a `push` that cannot read the connections.
fn broken_push() -> String {
    let push = TEMPLATE.find("\n  PushFunction:").unwrap();
    let (before, after) = TEMPLATE.split_at(push);
    let broken = after.replacen(
        "CONNECTIONS_TABLE: !Ref ConnectionsTable",
        "CONNECTIONS_TABLE: none",
        1,
    );
    assert_ne!(broken, after);
    // As in the template, but with an end that a test can wait for.
    let hasty = broken.replacen("MaximumRetryAttempts: 10000", "MaximumRetryAttempts: 5", 1);
    assert_ne!(hasty, broken);
    before.to_owned() + &hasty
}

/// What Lambda says of the batches that it gave up, whose records are 30 in all.
fn check_given_up(messages: &[Value]) {
    let mut records = 0;
    for message in messages {
        let context = &message["requestContext"];
        assert_eq!(context["condition"], "RetryAttemptsExhausted", "{message}");
        assert_eq!(
            context["approximateInvokeCount"], 6,
            "one try and five more: {message}"
        );
        let function = context["functionArn"].as_str().unwrap();
        assert!(function.contains(":function:"), "{message}");
        let batch = &message["DDBStreamBatchInfo"];
        for name in [
            "shardId",
            "startSequenceNumber",
            "endSequenceNumber",
            "streamArn",
        ] {
            assert!(batch[name].is_string(), "{name} in {message}");
        }
        for name in [
            "approximateArrivalOfFirstRecord",
            "approximateArrivalOfLastRecord",
        ] {
            assert!(
                batch[name].as_str().unwrap().ends_with('Z'),
                "{name} in {message}"
            );
        }
        records += batch["batchSize"].as_u64().unwrap();
    }
    assert_eq!(records, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_given_up_are_reported_to_a_queue_without_their_contents() {
    let template = broken_push()
        .replace("Type: S3\n", "Type: SQS\n")
        .replace(
            "Destination: !GetAtt FailuresBucket.Arn",
            "Destination: !GetAtt FailuresQueue.Arn",
        )
        .replace(
            "\nResources:\n",
            "\nResources:\n  FailuresQueue:\n    Type: AWS::SQS::Queue\n",
        );
    let stack = TestStack::start_with(|options| options.local.template = template).await;
    stack.mandrill().deliver(sends(0..30)).await;
    stack.wait_until_pushed().await;
    let messages = stack.queue("FailuresQueue").await.unwrap();
    let bodies = messages.iter().map(|message| &message.content.body);
    let messages: Vec<Value> = bodies
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    check_given_up(&messages);
    let text = Value::from(messages).to_string();
    assert!(
        !text.contains("NewImage") && !text.contains("example"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_pushed_are_given_up_and_kept_in_a_bucket() {
    let mut stack = TestStack::start_with(|options| options.local.template = broken_push()).await;
    stack.mandrill().deliver(sends(0..30)).await;
    stack.wait_until_pushed().await;
    let objects = stack.objects("FailuresBucket").await.unwrap();
    let messages: Vec<Value> = objects
        .iter()
        .map(|object| serde_json::from_slice(&object.body).unwrap())
        .collect();
    check_given_up(&messages);
    for (object, message) in objects.iter().zip(&messages) {
        assert!(object.key.starts_with("aws/lambda/"), "{}", object.key);
        assert!(object.key.contains("/shardId-"), "{}", object.key);
        // The whole event, as text.
        let event: Value = serde_json::from_str(message["payload"].as_str().unwrap()).unwrap();
        let records = event["Records"].as_array().unwrap();
        assert_eq!(
            records.len() as u64,
            message["DDBStreamBatchInfo"]["batchSize"]
        );
        assert_eq!(records[0]["eventName"], "INSERT");
    }
    // It is stored all the same, and a repaired stack goes on where this one stopped.
    assert_eq!(stack.history().await.len(), 30);
    stack.stop().await;
    stack.set_template(TEMPLATE);
    stack.start_again().await;
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(sends(30..40)).await;
    assert_eq!(found(&socket.hear_events(10).await), (30..40).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_record_stops_nobody() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    stack.pause_shards(true);
    stack.mandrill().deliver(sends(0..40)).await;
    let body = |text: &str| json!({ "B": text });
    let whole = stack.items("EventsTable").await.swap_remove(0);
    let mut poison = Vec::new();
    // In every shard, whatever its hash is: 40 items each of some kinds.
    for n in 0..40 {
        let keys = [
            ("pk", json!({ "S": format!("poison{n}") })),
            ("sk", json!({ "S": "x" })),
        ];
        let mut bare = json!({});
        let mut damaged = whole.clone();
        let mut typed = whole.clone();
        damaged["body"] = body("bm90aGluZw==");
        typed["feed_at"] = json!({ "S": "yesterday" });
        typed["extra"] = json!({ "M": { "set": { "SS": ["a"] }, "none": { "NULL": true } } });
        for (kind, item) in [("a", &mut bare), ("b", &mut damaged), ("c", &mut typed)] {
            for (name, value) in &keys {
                item[*name] = value.clone();
            }
            item["sk"] = json!({ "S": kind });
        }
        poison.extend([bare, damaged, typed]);
    }
    for item in poison {
        stack
            .dynamo(
                "PutItem",
                json!({ "TableName": stack.table("EventsTable"), "Item": item }),
            )
            .await;
    }
    stack.mandrill().deliver(sends(40..80)).await;
    stack.pause_shards(false);
    assert_eq!(found(&socket.hear_events(80).await), (0..80).collect());
    stack.wait_until_pushed().await;
    assert!(stack.objects("FailuresBucket").await.unwrap().is_empty());
    // Nor does it stop who reads the history, or resumes.
    assert_eq!(found(&stack.history().await), (0..80).collect());
    let heard = socket.resume_last(1_000).await;
    assert_eq!(
        heard
            .iter()
            .map(|message| message.events().len())
            .sum::<usize>(),
        80
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_and_not_pushed_is_pushed_after_a_restart() {
    let mut stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(sends(0..10)).await;
    assert_eq!(found(&socket.hear_events(10).await), (0..10).collect());
    stack.wait_until_pushed().await;
    stack.pause_shards(true);
    stack.mandrill().deliver(sends(10..60)).await;
    let mut urls = stack.urls().clone();
    stack.stop().await;
    assert_eq!(socket.closed().await, 1001);

    stack.start_again().await;
    // With each start comes a token that is good for a month from then on.
    urls.token.clone_from(&stack.urls().token);
    assert_eq!(stack.urls(), &urls, "the same port and keys");
    assert!(stack.connection_ids().await.is_empty());
    // Pushed before anybody is there, or to who is: nothing is lost either way.
    let mut feed = stack.feed(|options| options.last = 1_000).await;
    feed.read(60).await;
    assert_eq!(found(&feed.told), (0..60).collect());
    stack.wait_until_pushed().await;
    assert_eq!(stack.record_names().await.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shard_goes_on_where_it_stood_and_pushes_nothing_twice() {
    let mut stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..30)).await;
    stack.wait_until_pushed().await;
    stack.stop().await;
    stack.start_again().await;
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(sends(30..40)).await;
    assert_eq!(found(&socket.hear_events(10).await), (30..40).collect());
    stack.wait_until_pushed().await;
    assert!(socket.drain().await.is_empty());
}
