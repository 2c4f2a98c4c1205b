//! The program itself: `posthorn`, as a process of its own.

mod deliveries;
mod mistakes;
mod options;
mod running;
mod tools;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use flows::{DEADLINE, Http, Mandrill, batch, eventually, numbers, of_message, sends};
use serde_json::{Value, json};
use tokio::time::timeout;

use running::{BINARY, Running, assert_code, assert_refused, command, run, shell, stderr, stdout};

/// Events in a batch of the posters below.
const BATCH: usize = 5;

/// Posts one batch after the other, every fourth beginning with `poster`, until one is refused.
/// Notes the first number of each batch that was accepted, and answers that of the refused one.
async fn post_until_refused(
    mandrill: Mandrill,
    poster: usize,
    accepted: Arc<Mutex<Vec<usize>>>,
) -> usize {
    for batch in 0.. {
        let first = (batch * 4 + poster) * BATCH;
        match mandrill.try_post(sends(first..first + BATCH)).await {
            Ok(answer) if answer.status == 200 => accepted.lock().unwrap().push(first),
            _ => return first,
        }
    }
    unreachable!("it posts until it is refused")
}

/// Kills the stack while batches are being stored; answers which were accepted, and which were not.
async fn kill_while_posting(stack: &mut Running) -> (Vec<usize>, Vec<usize>) {
    let accepted = Arc::new(Mutex::new(Vec::new()));
    // Several at a time, so that the kill meets some of them half done.
    let posters: Vec<_> = (0..4)
        .map(|poster| {
            let posting = post_until_refused(stack.mandrill(), poster, accepted.clone());
            tokio::spawn(posting)
        })
        .collect();
    eventually(DEADLINE, async || match accepted.lock().unwrap().len() {
        0..20 => Err("too few batches were accepted".to_owned()),
        _ => Ok(()),
    })
    .await;
    stack.child.kill().await.unwrap();
    let mut refused = Vec::new();
    for poster in posters {
        refused.push(poster.await.unwrap());
    }
    let accepted = accepted.lock().unwrap().clone();
    (accepted, refused)
}

/// The numbers of the events in batches.
fn events_of(batches: &[usize]) -> Vec<usize> {
    let numbers = batches.iter().flat_map(|first| *first..first + BATCH);
    sorted(numbers.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_200_survives_a_kill_in_the_middle() {
    let directory = tempfile::tempdir().unwrap();
    let mut stack = Running::start(directory.path(), 0, &[]).await;
    let mut client = stack.connect().await;
    let cursor = client.ask(json!({ "action": "subscribe" })).await.cursor();
    let (accepted, refused) = kill_while_posting(&mut stack).await;

    let before = stack.told_without_token();
    let stack = Running::start(directory.path(), stack.port(), &[]).await;
    assert_eq!(before, stack.told_without_token());
    let stored = sorted(numbers(&stack.history().await));
    let mut lost = events_of(&accepted);
    lost.retain(|number| stored.binary_search(number).is_err());
    assert!(lost.is_empty(), "answered with 200 and lost: {lost:?}");
    assert!(
        stored.is_sorted_by(|one, other| one < other),
        "stored twice"
    );

    // Mandrill posts again what got no answer: all of it is stored, each event once.
    for first in &refused {
        stack.mandrill().deliver(sends(*first..first + BATCH)).await;
    }
    let all = events_of(&[accepted, refused].concat());
    assert_eq!(sorted(numbers(&stack.history().await)), all);

    // And who was connected before gets all of it by resuming.
    let mut client = stack.connect().await;
    let heard = client.resume(&cursor).await;
    let events = heard.iter().flat_map(|message| message.events().to_vec());
    let mut told = sorted(numbers(&events.collect::<Vec<_>>()));
    told.dedup();
    assert_eq!(told, all);
    assert_eq!(heard.last().unwrap().json["recovered"], true);
    stack.assert_no_panic();
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_goodbye_and_exits_with_0_when_it_is_told_to_stop() {
    for signal in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let mut stack = Running::start(directory.path(), 0, &[]).await;
        let mut clients = [stack.connect().await, stack.connect().await];
        // An answer shows that the connection is open on the other side, too.
        for client in &mut clients {
            client.ask(json!({ "action": "ping" })).await;
        }
        stack.signal(signal).await;
        for client in &mut clients {
            assert_eq!(client.closed().await, 1001, "{signal}");
        }
        assert_eq!(stack.exit_code().await, Some(0), "{signal}");
        stack.assert_no_panic();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let fresh = path("fresh");
    let up = ["up", "--port", "0", "--data-dir", &fresh];

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["up", "--port", &port, "--data-dir", &fresh];
    assert_refused(&args, 1, &port).await;

    // Not even root can make a directory in a file.
    let file = path("file");
    std::fs::write(&file, "").unwrap();
    let inside = format!("{file}/data");
    let args = ["up", "--port", "0", "--data-dir", &inside];
    assert_refused(&args, 1, &inside).await;

    let with = |name: &'static str, value: String| {
        let mut args: Vec<String> = up.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend([name.to_owned(), value]);
        args
    };
    let template = path("template.yaml");
    std::fs::write(&template, "Resources: [").unwrap();
    let none = path("none.yaml");
    for (args, says) in [
        (with("--template", template), "template"),
        (with("--template", none), "none.yaml"),
        (with("--parameter", "Nonsense=1".to_owned()), "Nonsense"),
        (with("--parameter", "FeedShards=0".to_owned()), "FeedShards"),
        (
            with("--parameter", "FeedShards=many".to_owned()),
            "FeedShards",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        assert_refused(&args, 2, says).await;
    }

    let first = Running::start(Path::new(&fresh), 0, &[]).await;
    assert_refused(&up, 1, "another local stack").await;
    first.assert_no_panic();
}

/// A command of the announcement, with the program in place of `cargo run --`, and more options.
async fn printed(stack: &Running, start: &str, more: &str) -> Output {
    let line = stack
        .announcement
        .lines()
        .find(|line| line.trim().starts_with(start))
        .unwrap_or_else(|| panic!("{start} is not in {}", stack.announcement));
    let line = line.split('#').next().unwrap().trim();
    // Paths are those of who types it at the top of the repository.
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let line = line.replace("cargo run --", BINARY);
    shell(&format!("cd '{top}' && {line} {more}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints_to_try_works_as_printed() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("anna's $HOME \"data\"; a b");
    let stack = Running::start(&data_dir, 0, &[]).await;
    for name in ["webhook_url", "token"] {
        assert!(stack.announcement.contains(stack.text(name)), "{name}");
    }
    let page = format!("{}/#token={}", stack.text("http"), stack.text("token"));
    assert!(stack.announcement.contains(&page), "{}", stack.announcement);

    let simulated = printed(&stack, "cargo run -- simulate", "--count 4 --rate 0").await;
    assert_code(&simulated, 0);
    let listened = printed(&stack, "cargo run -- listen", "--count 4 --json").await;
    let seeded = printed(&stack, "cargo run -- seed", "").await;
    assert_code(&seeded, 0);
    assert_code(&listened, 0);
    assert_eq!(stdout(&listened).lines().count(), 4);
    let lines = stack.announcement.lines();
    let mut answers = Vec::new();
    for line in lines.filter(|line| line.contains("curl")) {
        let answer = shell(line).await;
        assert_code(&answer, 0);
        answers.push(serde_json::from_str::<Value>(&stdout(&answer)).unwrap());
    }
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["events"].as_array().unwrap().len(), 3);
    assert!(answers[1]["total_usd"].is_number(), "{}", answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_in_the_readme_is_answered_with_200_and_both_events_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &["--url-secret", "secret=try-me"]).await;
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let line = readme.lines().find(|line| line.starts_with("curl -X POST"));
    let line = line.expect("the README has a request to try");
    let line = line.replace("http://localhost:8080", stack.text("http"));
    assert!(line.contains(stack.text("http")), "{line}");
    for _ in 0..2 {
        let answer = shell(&format!("{line} -s -w '%{{http_code}}'")).await;
        assert_eq!(stdout(&answer), "200", "{line}");
        let events = stack.history().await;
        let mut ids: Vec<_> = events
            .iter()
            .map(|e| e["message_id"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, ["12345", "67890"]);
    }
    // Nothing of it is printed where others may read it.
    eventually(DEADLINE, async || {
        let notes = stack.notes.lock().unwrap().clone();
        let is_there = notes.contains("A batch was stored");
        is_there.then_some(()).ok_or(notes)
    })
    .await;
    let notes = stack.notes.lock().unwrap().clone();
    assert!(
        !notes.contains("try-me") && !notes.contains("test@example.com"),
        "{notes}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_json_says_where_everything_is_and_only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let args = ["--webhook-key", "main=first", "--webhook-key", "eu=second"];
    let stack = Running::start(directory.path(), 0, &args).await;
    let port = stack.port();
    let token = stack.text("token");
    let expected = json!({
        "http": format!("http://localhost:{port}"),
        "ws": format!("ws://localhost:{port}/live"),
        "webhook_url": format!("http://localhost:{port}/mandrill"),
        "webhook_keys": ["first", "second"],
        "token": token,
        "token_key": stack.text("token_key"),
        "stack_token": stack.text("stack_token"),
        "data_dir": directory.path(),
    });
    assert_eq!(stack.json, expected);
    let key = stack.text("token_key");
    assert_eq!(key.len(), 43);
    // What runs outside of the stack calls AWS on the port that stays the same.
    let variables = std::fs::read_to_string(directory.path().join("functions.env")).unwrap();
    let endpoint = format!("AWS_ENDPOINT_URL=http://127.0.0.1:{port}\n");
    assert!(variables.contains(&endpoint), "{endpoint}");
    for name in ["stack.json", "functions.env", "identity.json"] {
        let metadata = directory.path().join(name).metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simulate_posts_as_many_events_as_it_is_told_and_fails_when_they_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();

    let args = [
        "simulate",
        "--data-dir",
        data_dir,
        "--count",
        "30",
        "--rate",
        "0",
    ];
    let output = run(&[&args[..], &["--duplicates", "1", "--seed", "7"]].concat()).await;
    assert_code(&output, 0);
    assert!(stderr(&output).contains("seed 7"), "{}", stderr(&output));
    assert!(stdout(&output).contains("30"), "{}", stdout(&output));
    assert_eq!(stack.history().await.len(), 30);
    let output = run(&[&args[..], &["--key", "wrong", "--retries", "0"]].concat()).await;
    assert_code(&output, 1);
    assert!(stderr(&output).contains("403"), "{}", stderr(&output));
}

const CLICK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../events/mandrill/message/click.json"
);

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_and_listened_to() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();
    stack.mandrill().deliver(sends(0..5)).await;
    let output = run(&["send", CLICK, "--data-dir", data_dir]).await;
    assert_code(&output, 0);
    assert_eq!(stdout(&output).trim(), "200");
    assert_eq!(stderr(&output).trim(), "1 event was accepted: click 1");
    let stored = stack.history().await;
    assert_eq!((stored.len(), &stored[0]["type"]), (6, &json!("click")));

    let args = [
        "listen",
        "--data-dir",
        data_dir,
        "--json",
        "--last",
        "5",
        "--count",
        "5",
    ];
    let output = run(&args).await;
    assert_code(&output, 0);
    let lines = stdout(&output);
    let events = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut told: Vec<_> = events.map(|event| event["id"].clone()).collect();
    told.reverse();
    let newest: Vec<_> = stored[..5]
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    assert_eq!(told, newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_by_hand_verifies_with_the_same_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();
    let signature = run(&["sign", "--json", CLICK, "--data-dir", data_dir]).await;
    assert_code(&signature, 0);
    let signature = stdout(&signature);
    let verify = ["verify", "--json", CLICK, "--signature", signature.trim()];
    let here = run(&[&verify[..], &["--data-dir", data_dir]].concat()).await;
    assert_code(&here, 0);
    let elsewhere = ["--key", "another", "--url", stack.text("webhook_url")];
    let elsewhere = run(&[&verify[..], &elsewhere].concat()).await;
    assert_code(&elsewhere, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_follows_what_comes_and_ends_when_it_has_enough() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();
    let args = ["listen", "--data-dir", data_dir, "--json", "--count", "2"];
    let listener = command(&args).stdout(Stdio::piped()).spawn().unwrap();
    stack.mandrill().deliver(sends(0..2)).await;
    let output = timeout(DEADLINE, listener.wait_with_output()).await;
    let output = output.expect("the listener ends").unwrap();
    assert_code(&output, 0);
    assert_eq!(stdout(&output).lines().count(), 2);
    // Quiet before there were enough: a script has to see that.
    let args = [&args[..], &["--last", "0", "--until-idle", "1"]].concat();
    assert_code(&run(&args).await, 1);
}

/// The type of each event in the history that this token opens.
async fn types(stack: &Running, token: &str) -> BTreeSet<String> {
    let answer = Http::new(stack.text("http")).get("/v1/events", token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page = answer.json();
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_printed_alone_and_opens_what_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let events = batch(["send", "open"].map(|kind| of_message(kind, 0, 0)));
    stack.mandrill().deliver(events).await;

    let minted = run(&["token", "--data-dir", data_dir]).await;
    assert_code(&minted, 0);
    let token = stdout(&minted);
    assert_eq!((token.lines().count(), stderr(&minted).as_str()), (1, ""));
    let all = ["open", "send"].map(str::to_owned);
    assert_eq!(types(&stack, token.trim()).await, all.into());

    let args = [
        "token",
        "--data-dir",
        data_dir,
        "--filter",
        "type:open",
        "--ttl",
        "30d",
    ];
    let filtered = run(&args).await;
    let filtered = stdout(&filtered);
    let open = ["open".to_owned()];
    assert_eq!(types(&stack, filtered.trim()).await, open.clone().into());

    // As an operator does, who has the secret of a deployed stack and no data directory.
    let secret = directory.path().join("secret.json");
    let text = json!({ "token_key": stack.text("token_key"), "webhook_keys": [] });
    std::fs::write(&secret, text.to_string()).unwrap();
    let piped = format!(
        "{BINARY} token --secret - --scope read,write --filter type:open < {}",
        secret.display()
    );
    let piped = stdout(&shell(&piped).await);
    assert_eq!(types(&stack, piped.trim()).await, open.into());

    let endpoints = [
        "token",
        "--data-dir",
        data_dir,
        "--scope",
        "endpoints",
        "--mask",
    ];
    assert_refused(&endpoints, 2, "cannot have scope `endpoints`").await;
    std::fs::write(&secret, r#"{"token_key":"very-short"}"#).unwrap();
    let secret = secret.to_str().unwrap();
    let refused = run(&["token", "--secret", secret]).await;
    assert_code(&refused, 2);
    assert!(!stderr(&refused).contains("very-short"));
}
