//! Event source mappings of queues, and schedules, with functions that a test scripts.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Desk, TEMPLATE, client_of, eventually};
use crate::faults::CallFault;
use crate::functions::scripted::leave;

/// The template with a function that runs a script at an event.
fn with_function(script: &str, event: &str) -> String {
    format!(
        "{TEMPLATE}  Reader:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/scripted/
      Runtime: provided.al2023
      Handler: bootstrap
      Timeout: 30
      Environment: {{Variables: {{SCRIPT: {script}}}}}
      Policies:
        - Statement: [{{Effect: Allow, Action: 'sqs:SendMessage', Resource: '*'}}]
      Events:
        Event:
{event}"
    )
}

fn of_work(script: &str, more: &str) -> String {
    let event = format!(
        "          Type: SQS
          Properties:
            Queue: !GetAtt Work.Arn
            FunctionResponseTypes: [ReportBatchItemFailures]
{more}"
    );
    with_function(script, &event)
}

type Seen = Arc<Mutex<Vec<Value>>>;

/// A script that keeps the records that it gets, and answers what `answer` makes of them.
fn keep(
    name: &str,
    answer: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
) -> Seen {
    let seen = Seen::default();
    let kept = seen.clone();
    leave(name, move |payload: Value| {
        let records = payload["Records"].as_array().cloned().unwrap_or_default();
        kept.lock().unwrap().extend(records.clone());
        std::future::ready(answer(&records))
    });
    seen
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    eventually(async || {
        if is_so().await {
            Ok(())
        } else {
            Err(what.to_owned())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_gets_messages_as_lambda_sends_them_and_they_are_deleted() {
    let seen = keep("shape", |_| Ok(json!({ "batchItemFailures": [] })));
    let desk = Desk::with(&of_work("shape", "")).await;
    let send = desk.client.send_message().queue_url(desk.url("Work"));
    let send = send.message_body("hello").message_group_id("ep_1");
    let sent = send.send().await.unwrap();
    until("deleted", async || {
        !seen.lock().unwrap().is_empty() && desk.counts("Work").await == (0, 0, 0)
    })
    .await;
    let seen = seen.lock().unwrap();
    let (record, attributes) = (&seen[0], &seen[0]["attributes"]);
    assert_eq!(record["messageId"], sent.message_id().unwrap());
    assert_eq!(record["body"], "hello");
    assert_eq!(record["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(record["awsRegion"], "us-east-1");
    assert_eq!(record["messageAttributes"], json!({}));
    assert_eq!(attributes["MessageGroupId"], "ep_1");
    assert_eq!(attributes["ApproximateReceiveCount"], "1");
    let arn = record["eventSourceARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:sqs:us-east-1:000000000000:local-Work-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_have_failed_comes_again_and_then_goes_to_the_dead_letters() {
    let seen = keep("poison", |records| {
        let failed = records.iter().filter(|record| record["body"] == "poison");
        let failed: Vec<_> = failed
            .map(|record| json!({ "itemIdentifier": record["messageId"] }))
            .collect();
        Ok(json!({ "batchItemFailures": failed }))
    });
    let desk = Desk::with(&of_work("poison", "")).await;
    for body in ["good", "poison", "good"] {
        desk.send("Work", body).await;
    }
    for attempt in 1..=2 {
        until("hidden after a failure", async || {
            let poison = seen.lock().unwrap();
            poison.iter().filter(|one| one["body"] == "poison").count() == attempt
        })
        .await;
        until("only the poison is left", async || {
            desk.counts("Work").await == (0, 0, 1)
        })
        .await;
        desk.pass(31).await;
    }
    until("dead", async || desk.counts("Dead").await.0 == 1).await;
    assert_eq!(seen.lock().unwrap().len(), 4);
    assert_eq!(desk.stack.queue("Dead").await.unwrap()[0].receives, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_and_an_answer_that_nobody_understands_fail_the_whole_batch() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let seen = keep("errors", move |_| match counted.fetch_add(1, SeqCst) {
        0 => Err("it broke".to_owned()),
        _ => Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "nobody" }] })),
    });
    let desk = Desk::with(&of_work("errors", "")).await;
    desk.send("Work", "x").await;
    for attempt in 1..=2 {
        until("failed", async || {
            seen.lock().unwrap().len() == attempt && desk.counts("Work").await == (0, 0, 1)
        })
        .await;
        desk.pass(31).await;
    }
    until("dead", async || desk.counts("Dead").await.0 == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_batches_run_at_once_than_the_template_lets() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let (running, highest, wait) = (now.clone(), most.clone(), gate.clone());
    leave("bounded", move |_| {
        let (running, highest, wait) = (running.clone(), highest.clone(), wait.clone());
        async move {
            highest.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            let _one = wait.acquire().await;
            running.fetch_sub(1, SeqCst);
            Ok(json!({}))
        }
    });
    let more = "            BatchSize: 1\n            ScalingConfig: {MaximumConcurrency: 8}\n";
    let desk = Desk::with(&of_work("bounded", more)).await;
    for _ in 0..30 {
        desk.send("Work", "x").await;
    }
    until("all places are taken", async || now.load(SeqCst) == 8).await;
    gate.add_permits(30);
    until("done", async || desk.counts("Work").await == (0, 0, 0)).await;
    assert_eq!(most.load(SeqCst), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_a_call_ends_the_invocation_and_the_messages_come_again() {
    let client: Arc<Mutex<Option<(aws_sdk_sqs::Client, String)>>> = Arc::default();
    let theirs = client.clone();
    leave("crash", move |payload: Value| {
        let client = theirs.lock().unwrap().clone();
        async move {
            let (client, url) = client.ok_or("no client")?;
            let body = payload["Records"][0]["attributes"]["ApproximateReceiveCount"].clone();
            let body = format!("receipt {body}");
            let send = client.send_message().queue_url(url).message_body(body);
            send.send().await.map_err(|error| error.to_string())?;
            Ok(json!({}))
        }
    });
    let desk = Desk::with(&of_work("crash", "")).await;
    let reader = client_of(&desk.stack, "Reader");
    *client.lock().unwrap() = Some((reader, desk.url("Dead")));
    let faults = desk.stack.faults();
    faults.plan_call("Reader", "SendMessage", 0, CallFault::CrashAfter);
    desk.send("Work", "x").await;
    until("crashed", async || faults.planned_calls() == 0).await;
    until("hidden", async || desk.counts("Work").await == (0, 0, 1)).await;
    desk.pass(31).await;
    until("done", async || desk.counts("Work").await == (0, 0, 0)).await;
    let sent = desk.stack.queue("Dead").await.unwrap();
    let sent: Vec<_> = sent.iter().map(|one| one.content.body.as_str()).collect();
    assert_eq!(sent, ["receipt \"1\"", "receipt \"2\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_once_however_much_time_has_passed_and_repeats_what_failed_twice() {
    let calls: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = calls.clone();
    leave("schedule", move |payload| {
        kept.lock().unwrap().push(payload);
        std::future::ready(Err("not today".to_owned()))
    });
    let event = "          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 hour)}\n";
    let desk = Desk::with(&with_function("schedule", event)).await;
    let count = |expected: usize| {
        let calls = calls.clone();
        async move { until("invoked", async || calls.lock().unwrap().len() == expected).await }
    };
    desk.pass(5 * 3_600).await;
    count(1).await;
    desk.pass(60).await;
    count(2).await;
    desk.pass(120).await;
    count(3).await;
    desk.pass(600).await;
    desk.pass(3_600).await;
    count(4).await;
    let calls = calls.lock().unwrap();
    assert_eq!(calls[0]["source"], "aws.scheduler");
    assert_eq!(calls[0], calls[2]);
    assert_ne!(calls[0]["id"], calls[3]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_scale_shortens_schedules() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    leave("scaled", move |_| {
        counted.fetch_add(1, SeqCst);
        std::future::ready(Ok(Value::Null))
    });
    let event = "          Type: Schedule
          Properties: {Schedule: rate(1 hour)}\n";
    let desk = Desk::with_options(|options| {
        options.template = with_function("scaled", event);
        options.time_scale = 60;
    })
    .await;
    desk.pass(61).await;
    until("invoked", async || calls.load(SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_come_twice_though_it_was_deleted() {
    let seen = keep("twice", |_| Ok(Value::Null));
    let desk = Desk::with(&of_work("twice", "")).await;
    desk.stack.faults().sqs().duplicate_next(1);
    desk.send("Work", "x").await;
    until("delivered twice", async || {
        seen.lock().unwrap().len() == 2 && desk.counts("Work").await == (0, 0, 0)
    })
    .await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0]["messageId"], seen[1]["messageId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_gathers_more_than_one_receive_brings() {
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let kept = sizes.clone();
    leave("window", move |payload: Value| {
        let records = payload["Records"].as_array().map_or(0, Vec::len);
        kept.lock().unwrap().push(records);
        std::future::ready(Ok(Value::Null))
    });
    let more = "            BatchSize: 25\n            MaximumBatchingWindowInSeconds: 60\n";
    let desk = Desk::with(&of_work("window", more)).await;
    for _ in 0..25 {
        desk.send("Work", "x").await;
    }
    until("invoked", async || *sizes.lock().unwrap() == [25]).await;
}
