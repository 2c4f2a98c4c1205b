//! The sample events in `events/`: each is what AWS sends, and has its expected answer.

mod expected;
mod generate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flows::{Socket, TestStack};
use posthorn::Options;
use serde_json::{Value, json};

use expected::{
    API, CONNECT, DELIVER, DISCONNECT, DISPATCH, MESSAGE, PUSH, TAIL, WEBHOOK,
    WEBHOOK_WITH_URL_SECRET,
};

/// The published key that the samples are signed with.
pub(crate) const KEY: &str = "kT3_sample-webhook-key";
/// A URL that API Gateway does not know of.
pub(crate) const OTHER_URL: &str = "https://hooks.example.com/mandrill";
pub(crate) const URL_SECRET: &str = "canary-url-secret";
/// What stands in the samples for what is different in every stack.
pub(crate) const TOKEN: &str = "canary-token";
pub(crate) const CURSOR: &str = "canary-cursor";
pub(crate) const CONNECTION: &str = "d3Zg8fXnIAMCJ1A=";
pub(crate) const RECEIVED_MS: &str = "1790812800123";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

/// The text of a file in `events/`.
pub(crate) fn fixture(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder of `events/`, sorted, as paths from there.
pub(crate) fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in root().join(folder).read_dir().unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() {
            name
        } else {
            format!("{folder}/{name}")
        };
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// The events of `mandrill/`: each file's name without its end, and its path.
pub(crate) fn mandrill_events() -> Vec<(String, String)> {
    files("mandrill")
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_suffix(".json")?.rsplit('/').next()?;
            Some((name.to_owned(), path))
        })
        .collect()
}

/// As `events/README.md` starts a stack.
pub(crate) fn behind_another_name(options: &mut Options) {
    options.webhook_keys = vec![("main".to_owned(), KEY.to_owned())];
    options.webhook_urls = vec![OTHER_URL.to_owned()];
}

pub(crate) fn with_url_secret(options: &mut Options) {
    options.webhook_keys = vec![("main".to_owned(), KEY.to_owned())];
    options.url_secret = Some(("secret".to_owned(), URL_SECRET.to_owned()));
}

/// Invokes the function that a folder is named after.
async fn invoke(stack: &TestStack, folder: &str, payload: String) -> Value {
    let function = stack
        .template()
        .functions
        .iter()
        .find(|f| f.binary == folder)
        .unwrap_or_else(|| panic!("no function {folder}"));
    let answer = stack.invoke(&function.logical_id, payload).await;
    let answer = answer.unwrap_or_else(|error| panic!("{folder}: {error}"));
    serde_json::from_str(&answer).unwrap()
}

async fn invoke_file(stack: &TestStack, folder: &str, name: &str) -> Value {
    invoke(stack, folder, fixture(&format!("{folder}/{name}.json"))).await
}

fn sorted_kinds<'v>(events: impl IntoIterator<Item = &'v Value>) -> Vec<String> {
    let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
    let mut kinds: Vec<_> = events.into_iter().map(kind).collect();
    kinds.sort();
    kinds
}

#[test]
fn every_file_has_an_expected_answer_and_every_folder_a_readme() {
    let of = |folder: &str, names: Vec<&str>| -> Vec<String> {
        let path = |name| format!("{folder}/{name}.json");
        names.into_iter().map(path).collect()
    };
    let webhook = WEBHOOK.iter().chain(WEBHOOK_WITH_URL_SECRET);
    let events = mandrill_events();
    let mut read: BTreeSet<String> = [
        of("webhook", webhook.map(|row| row.0).collect()),
        of("webhook", events.iter().map(|e| e.0.as_str()).collect()),
        events.iter().map(|event| event.1.clone()).collect(),
        of("api", API.iter().map(|row| row.0).collect()),
        of("tail", TAIL.iter().map(|row| row.0).collect()),
        of("connect", CONNECT.iter().map(|row| row.0).collect()),
        of("message", MESSAGE.iter().map(|row| row.0).collect()),
        of("disconnect", DISCONNECT.to_vec()),
        of("push", PUSH.iter().map(|row| row.0).collect()),
        of("dispatch", DISPATCH.iter().map(|row| row.0).collect()),
        of("deliver", DELIVER.iter().map(|row| row.0).collect()),
        of("requeue", vec!["schedule"]),
        // What `posthorn seed` loads: `process/tools.rs`.
        vec!["seed.json".to_owned()],
    ]
    .concat()
    .into_iter()
    .collect();
    let folders: BTreeSet<String> = read
        .iter()
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .map(|folder| folder.join("README.md").to_str().unwrap().to_owned())
        .collect();
    read.extend(folders);
    let there = files("");
    let (unread, missing) = (&there - &read, &read - &there);
    assert!(unread.is_empty(), "no test reads {unread:?}");
    assert!(missing.is_empty(), "there is no {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_generated_is_current() {
    let generated = generate::all().await;
    if platform::config::process("UPDATE_EVENTS").is_some() {
        for (path, value) in &generated {
            let text = serde_json::to_string_pretty(value).unwrap() + "\n";
            std::fs::write(root().join(path), text).unwrap();
        }
    }
    for (path, value) in generated {
        let there: Value = serde_json::from_str(&fixture(&path)).unwrap();
        assert!(
            there == value,
            "events/{path} is not what its source gives: run \
             `UPDATE_EVENTS=1 cargo test -p flows --test it fixtures::` and look at what differs"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_mandrill_is_stored_as_it_was_received() {
    let stack = TestStack::start_with(behind_another_name).await;
    for (name, _) in mandrill_events() {
        let answer = invoke_file(&stack, "webhook", &name).await;
        assert_eq!(answer["statusCode"], 200, "{name}: {answer}");
    }
    let stored = stack.history().await;
    assert_eq!(stored.len(), mandrill_events().len());
    for (name, source) in mandrill_events() {
        let received: Value = serde_json::from_str(&fixture(&source)).unwrap();
        let event = stored.iter().find(|event| event["data"] == received);
        let event = event.unwrap_or_else(|| panic!("{name} is not stored as it was received"));
        // The file's name up to the first dash.
        assert_eq!(event["type"], name.split('-').next().unwrap(), "{name}");
        assert_eq!(event["webhook"], "main", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_webhook_are_answered_as_expected() {
    for (name, status, kinds) in WEBHOOK {
        assert_webhook(
            &TestStack::start_with(behind_another_name).await,
            name,
            *status,
            kinds,
        )
        .await;
    }
    for (name, status, kinds) in WEBHOOK_WITH_URL_SECRET {
        assert_webhook(
            &TestStack::start_with(with_url_secret).await,
            name,
            *status,
            kinds,
        )
        .await;
    }
}

async fn assert_webhook(stack: &TestStack, name: &str, status: u16, kinds: &[&str]) {
    let answer = invoke_file(stack, "webhook", name).await;
    assert_eq!(answer["statusCode"], status, "{name}: {answer}");
    assert_eq!(
        sorted_kinds(&stack.history().await),
        sorted(kinds),
        "{name}"
    );
    // As Mandrill does when the answer was lost.
    invoke_file(stack, "webhook", name).await;
    assert_eq!(stack.history().await.len(), kinds.len(), "{name}, twice");
}

fn sorted(kinds: &[&str]) -> Vec<String> {
    let mut kinds: Vec<_> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    kinds.sort();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_api_are_answered_as_expected() {
    let stack = TestStack::start_with(behind_another_name).await;
    invoke_file(&stack, "webhook", "batch-duplicate-clicks").await;
    let page = stack.page("limit=1").await;
    let next = page["next"].as_str().unwrap();
    for (name, status, expected) in API {
        let sample = fixture(&format!("api/{name}.json"));
        let payload = sample
            .replace(TOKEN, &stack.urls().token)
            .replace(CURSOR, next);
        let answer = invoke(&stack, "api", payload).await;
        assert_eq!(answer["statusCode"], *status, "{name}: {answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        match body["events"].as_array() {
            Some(events) => assert_eq!(events.len().to_string(), *expected, "{name}"),
            None => assert_eq!(
                body["error"]["code"].as_str().unwrap_or(""),
                *expected,
                "{name}"
            ),
        }
        // Whether there is such a path, anybody may know.
        if sample.contains(TOKEN) && !name.starts_with("other-") {
            let answer = invoke(&stack, "api", sample).await;
            assert_eq!(answer["statusCode"], 401, "{name} as it is");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_as_expected() {
    let stack = TestStack::start_with(|options| {
        behind_another_name(options);
        crate::tail::short(6)(options);
    });
    let stack = stack.await;
    let reader = crate::tail::Reader::of(&stack);
    invoke_file(&stack, "webhook", "batch-duplicate-clicks").await;
    let page = stack.page("limit=1").await;
    let next = page["next"].as_str().unwrap();
    for (name, status, expected) in TAIL {
        let sample = fixture(&format!("tail/{name}.json"));
        let payload = sample.replace(TOKEN, &reader.token).replace(CURSOR, next);
        let (prelude, body) = streamed(&stack, payload).await;
        assert_eq!(prelude["statusCode"], *status, "{name}: {prelude} {body}");
        assert!(body.contains(expected), "{name}: {body}");
        if sample.contains(TOKEN) && *status != 404 {
            let (prelude, _) = streamed(&stack, sample).await;
            assert_eq!(prelude["statusCode"], 401, "{name} as it is");
        }
    }
}

/// Status and headers of an answer that is streamed, and its body.
/// Status and headers of an answer that is streamed, and its body.
pub(crate) async fn streamed(stack: &TestStack, payload: String) -> (Value, String) {
    let answer = stack.invoke("TailFunction", payload).await.unwrap();
    let (prelude, body) = answer.split_once("\0\0\0\0\0\0\0\0").unwrap();
    (serde_json::from_str(prelude).unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_let_in_or_refused_as_expected() {
    let stack = TestStack::start_with(behind_another_name).await;
    for (name, status) in CONNECT {
        let sample = fixture(&format!("connect/{name}.json"));
        let payload = sample.replace(TOKEN, &stack.ticket());
        let answer = invoke(&stack, "connect", payload).await;
        assert_eq!(answer["statusCode"], *status, "{name}: {answer}");
        let rows = stack.items("ConnectionsTable").await;
        assert_eq!(rows.len(), usize::from(*status == 200), "{name}");
        if *name == "filter-and-subprotocol" {
            let headers = &answer["headers"];
            assert_eq!(headers["sec-websocket-protocol"], "posthorn.v1", "{answer}");
        }
        forget(&stack).await;
        let answer = invoke(&stack, "connect", sample).await;
        assert_eq!(answer["statusCode"], 401, "{name} as it is");
        assert!(stack.items("ConnectionsTable").await.is_empty(), "{name}");
    }
}

async fn forget(stack: &TestStack) {
    invoke_file(stack, "disconnect", DISCONNECT[0]).await;
    assert!(stack.items("ConnectionsTable").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_is_forgotten_however_it_was_closed() {
    let stack = TestStack::start_with(behind_another_name).await;
    for name in DISCONNECT {
        let connect = fixture("connect/ticket.json").replace(TOKEN, &stack.ticket());
        invoke(&stack, "connect", connect).await;
        assert_eq!(stack.items("ConnectionsTable").await.len(), 1, "{name}");
        // The event may come twice.
        for _ in 0..2 {
            let answer = invoke_file(&stack, "disconnect", name).await;
            assert_eq!(answer["statusCode"], 200, "{name}");
            assert!(stack.items("ConnectionsTable").await.is_empty(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_answered_as_expected() {
    let stack = TestStack::start_with(behind_another_name).await;
    let mut socket = stack.connect().await;
    let cursor = socket.ask(json!({ "action": "subscribe" })).await.cursor();
    for (name, kind, code) in MESSAGE {
        let sample = fixture(&format!("message/{name}.json")).replace(CONNECTION, socket.id());
        let payload = sample.replace(CURSOR, &cursor);
        assert_eq!(
            said(&stack, &mut socket, payload).await,
            (*kind, *code),
            "{name}"
        );
        if sample.contains(CURSOR) {
            let said = said(&stack, &mut socket, sample).await;
            assert_eq!(said, ("error", "bad_cursor"), "{name} as it is");
        }
        // As it is, there is no such connection: nobody can be told, and nothing fails.
        let answer = invoke_file(&stack, "message", name).await;
        assert_eq!(answer["statusCode"], 200, "{name} as it is");
    }
    assert!(socket.drain().await.is_empty());
}

/// The type and the code that a connection hears.
async fn said(
    stack: &TestStack,
    socket: &mut Socket,
    payload: String,
) -> (&'static str, &'static str) {
    let answer = invoke(stack, "message", payload).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let message = socket.hear().await;
    let word = |word: &Value| word.as_str().unwrap_or_default().to_owned().leak();
    (word(&message.json["type"]), word(&message.json["code"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn new_records_are_pushed_and_all_others_are_not() {
    let stack = TestStack::start_with(behind_another_name).await;
    let mut socket = stack.connect().await;
    for (name, kinds) in PUSH {
        let sample = fixture(&format!("push/{name}.json"));
        let now = platform::clock::now().0.to_string();
        let answer = invoke(&stack, "push", sample.replace(RECEIVED_MS, &now)).await;
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{name}");
        let told = socket.drain().await;
        let events = told.iter().flat_map(|message| message.events());
        assert_eq!(sorted_kinds(events), sorted(kinds), "{name}");

        // As it is, it was received too long ago to be news.
        let answer = invoke(&stack, "push", sample).await;
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{name}");
        assert!(socket.drain().await.is_empty(), "{name} as it is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_records_become_deliveries_or_are_parked() {
    for (name, deliveries, parked) in DISPATCH {
        let stack = TestStack::start_with(behind_another_name).await;
        let body = json!({ "url": "https://example.com/" });
        crate::endpoints::created(&stack, &body).await;
        let sample = fixture(&format!("dispatch/{name}.json"));
        let now = platform::clock::now().0.to_string();
        let answer = invoke(&stack, "dispatch", sample.replace(RECEIVED_MS, &now)).await;
        assert_eq!(answer, json!({ "batchItemFailures": [] }), "{name}");
        let rows = stack.items("DeliveriesTable").await;
        let is_parked = |row: &&Value| row["pk"]["S"] == "parked";
        let is_delivery = |row: &&Value| row["sk"]["S"].as_str().unwrap().starts_with("d#");
        assert_eq!(rows.iter().filter(is_parked).count(), *parked, "{name}");
        assert_eq!(
            rows.iter().filter(is_delivery).count(),
            *deliveries,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_nobody_are_done_and_those_of_nobody_come_again() {
    let stack = TestStack::start().await;
    for (name, again) in DELIVER {
        let answer = invoke_file(&stack, "deliver", name).await;
        let failures: Vec<_> = again
            .iter()
            .map(|id| json!({ "itemIdentifier": id }))
            .collect();
        assert_eq!(answer, json!({ "batchItemFailures": failures }), "{name}");
    }
    let answer = invoke_file(&stack, "requeue", "schedule").await;
    assert_eq!(answer, json!({ "requeued": 0 }));
}
