//! What must never stand in a log line.

use std::collections::BTreeSet;

use flows::{DEADLINE, TestStack, eventually};
use platform::metrics;
use posthorn::Options;
use serde_json::Value;

use crate::captured;
use crate::fixtures::{
    self, CONNECTION, CURSOR, KEY, RECEIVED_MS, TOKEN, URL_SECRET, files, fixture,
};

/// What each function says when it has done its work, or has refused to.
const KNOWN_LINES: &[(&str, &str)] = &[
    ("webhook", "A batch was stored."),
    ("webhook", "A webhook request was refused."),
    ("api", "A request was answered."),
    ("api::endpoints", "An endpoint was made."),
    ("connect", "A connection was accepted."),
    ("connect", "A connection was refused."),
    ("disconnect", "A connection was closed and forgotten."),
    ("message", "A message was served."),
    ("push", "A batch was pushed."),
    ("dispatch", "A batch was dispatched."),
    (
        "dispatch::batch",
        "A stream record holds no event that can be read, and is parked.",
    ),
    ("deliver", "Deliveries were attempted."),
    ("deliver::inbox", "A message in the queue cannot be read."),
    ("requeue", "Deliveries that are due were queued."),
    ("tail::poll", "A reader was answered."),
    ("tail::stream", "A reader's stream has ended."),
    (
        "push::batch",
        "A stream record holds no event that can be read, and is left out.",
    ),
];

/// What each function that counts has counted then.
const COUNTED: &[metrics::Metric] = &[
    metrics::EVENTS_RECEIVED,
    metrics::REQUESTS_REFUSED,
    metrics::CONNECTIONS_ACCEPTED,
    metrics::CONNECTIONS_REFUSED,
    metrics::RESUMES,
    metrics::DISCARDED_RECORDS,
    metrics::RECORDS_PARKED,
    metrics::ATTEMPTS_DROPPED,
];

#[tokio::test(flavor = "multi_thread")]
async fn no_line_has_personal_data_or_secrets_even_at_trace() {
    // Of all threads: what others log while this test runs must not tell anything either.
    let lines = captured::lines();
    let mut forbidden = always_forbidden();
    let mut stacks = Vec::new();
    for configure in [fixtures::behind_another_name, fixtures::with_url_secret] {
        let stack = TestStack::start_with(|options| {
            configure(options);
            at_trace(options);
            // A stream goes on for as long as it may.
            crate::tail::short(6)(options);
        });
        let stack = stack.await;
        let urls = stack.urls();
        forbidden.extend([urls.token.clone(), urls.token_key.clone()]);
        run_everything(&stack, &mut forbidden).await;
        stacks.push(stack);
    }
    // A built function's lines take a moment.
    let text = eventually(DEADLINE, async || {
        let printed: String = stacks.iter().map(captured::printed).collect();
        let text = printed + &lines.text();
        let missing = missing(&text);
        if missing.is_empty() {
            Ok(text)
        } else {
            Err(missing.join("\n"))
        }
    })
    .await;
    assert_eq!(leaks(&text, &forbidden), Vec::<String>::new());
}

/// What was not said or counted, of what each function says and counts.
fn missing(text: &str) -> Vec<String> {
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let has = |is_it: &dyn Fn(&Value) -> bool| lines.iter().any(is_it);
    let said = KNOWN_LINES.iter().filter(|(target, message)| {
        !has(&|line| line["target"] == *target && line["message"] == *message)
    });
    let counted = COUNTED
        .iter()
        .filter(|metric| !has(&|line| line["_aws"].is_object() && line[metric.name].is_number()));
    said.map(|(target, message)| format!("{target} did not say {message:?}"))
        .chain(counted.map(|metric| format!("{} was not counted", metric.name)))
        .collect()
}

/// No operator can choose the level `TRACE`; built functions get it from the template all the same.
fn at_trace(options: &mut Options) {
    let levels = "AllowedValues: [ERROR, WARN, INFO, DEBUG]";
    assert!(options.local.template.contains(levels));
    options.local.template = options.local.template.replace(levels, "");
    options
        .local
        .parameters
        .insert("LogLevel".to_owned(), "TRACE".to_owned());
}

/// What is forbidden whatever a sample says.
fn always_forbidden() -> BTreeSet<String> {
    ["canary", "203.0.113.77", "2001:db8::77", KEY, URL_SECRET]
        .map(str::to_owned)
        .into()
}

/// The lines that have any of it, in any case.
fn leaks(text: &str, forbidden: &BTreeSet<String>) -> Vec<String> {
    let forbidden: Vec<String> = forbidden.iter().map(|word| word.to_lowercase()).collect();
    let has_any = |line: &&str| {
        let line = line.to_lowercase();
        forbidden.iter().any(|word| line.contains(word))
    };
    text.lines().filter(has_any).map(str::to_owned).collect()
}

/// Every sample through its function: as it is, and as it would be in this stack.
async fn run_everything(stack: &TestStack, forbidden: &mut BTreeSet<String>) {
    let mut socket = stack.connect().await;
    let subscribed = socket
        .ask(serde_json::json!({ "action": "subscribe" }))
        .await;
    let cursor = subscribed.cursor();
    let mut functions = stack.template().functions.clone();
    // What the others read has to be there.
    functions.sort_by_key(|function| function.binary != "webhook");
    for function in &functions {
        for path in files(&function.binary) {
            if !path.ends_with(".json") {
                continue;
            }
            let sample = fixture(&path);
            forbidden.extend(parts(&sample));
            let now = platform::clock::now().0.to_string();
            let token = match function.binary.as_str() {
                "connect" => stack.ticket(),
                _ => stack.urls().token.clone(),
            };
            forbidden.insert(token.clone());
            let here = sample
                .replace(TOKEN, &token)
                .replace(CURSOR, &cursor)
                .replace(RECEIVED_MS, &now);
            // The open connection has to last: only messages are about it.
            let here = if function.binary == "message" {
                here.replace(CONNECTION, socket.id())
            } else {
                here
            };
            for payload in [sample, here] {
                let answer = stack.invoke(&function.logical_id, payload).await;
                let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
                forbidden.extend(secrets(&answer));
            }
        }
    }
}

/// The secrets that an endpoint's owner is shown once.
fn secrets(answer: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let body = answer["body"].as_str().unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let secrets = ["secret", "ingest_secret"].into_iter();
    secrets
        .filter_map(|name| body[name].as_str().map(str::to_owned))
        .collect()
}

/// What of a payload tells its content without a canary: its signature, and the start of its body
/// and of the bodies of its items.
fn parts(sample: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(sample).unwrap();
    let bodies = value["Records"].as_array().into_iter().flatten();
    bodies
        .map(|record| &record["dynamodb"]["NewImage"]["body"]["B"])
        .chain([&value["headers"]["x-mandrill-signature"], &value["body"]])
        .filter_map(Value::as_str)
        .filter(|text| text.len() >= 20)
        .map(|text| text.chars().take(40).collect())
        .collect()
}

#[test]
fn a_leak_is_found() {
    let forbidden = always_forbidden();
    let line = r#"{"target":"webhook","message":"m","recipient":"Canary.Recipient@example.com"}"#;
    assert_eq!(leaks(&format!("{{}}\n{line}\n"), &forbidden), [line]);
    assert!(leaks("{}\n{\"ip\":\"203.0.113.7\"}", &forbidden).is_empty());
}
