//! What the tools say when they cannot do what they were asked.

use super::running::{Running, assert_code, assert_refused, run, stderr, stdout};

/// An address where nothing listens: a free port may be another test's a moment later.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_run_ends_every_tool_at_once_with_what_to_check() {
    let webhook = format!("{NOWHERE}/mandrill");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.json");
    std::fs::write(&file, r#"{"events":[{"type":"a.b"}]}"#).unwrap();
    let file = file.to_str().unwrap();
    for args in [
        &["simulate", "--url", &webhook, "--key", "k"][..],
        &[
            "simulate", "--custom", "a.b", "--url", NOWHERE, "--token", "t",
        ],
        &["send", file, "--url", &webhook, "--key", "k"],
        &["seed", file, "--url", NOWHERE, "--token", "t"],
        &["listen", "--url", NOWHERE, "--token", "t"],
    ] {
        let output = run(args).await;
        assert_code(&output, 1);
        let said = stderr(&output);
        for part in ["connection refused", "cargo run", "--url"] {
            assert!(said.contains(part), "{args:?}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_is_explained_and_not_posted_again() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();
    let file = directory.path().join("file.json");
    std::fs::write(&file, "\u{feff}[{\"event\":\"send\"}]").unwrap();
    let file = file.to_str().unwrap();
    let elsewhere = format!("{}/v9/in", stack.text("http"));
    for tool in [
        &["simulate", "--data-dir", data_dir][..],
        &["send", file, "--data-dir", data_dir],
    ] {
        let output = run(&[tool, &["--key", "wrong"]].concat()).await;
        assert_code(&output, 1);
        let said = stderr(&output);
        for part in ["403", "does not match", "--key", stack.text("webhook_url")] {
            assert!(said.contains(part), "{said}");
        }
        let output = run(&[tool, &["--url", &elsewhere]].concat()).await;
        assert_code(&output, 1);
        let said = stderr(&output);
        assert!(said.contains("404") && said.contains("/v9/in"), "{said}");
    }
    assert_code(&run(&["send", file, "--data-dir", data_dir]).await, 0);
    assert_eq!(stack.history().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_none_is_shown_with_the_servers_words_and_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let _stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();
    let long = format!("colour:red {}", "ä".repeat(900));
    for (filter, words, caret) in [
        (
            "type:open OR type:click",
            "commas are OR",
            "\n            ^",
        ),
        ("colour:red", "unknown field at 0", "\n  ^"),
        ("-type:", "a value is missing", "\n        ^"),
        // Too long for the address of a socket with its ticket, so that it is subscribed to.
        (&long, "unknown field at 0", "\n  ^"),
    ] {
        let output = run(&["listen", "--data-dir", data_dir, "--filter", filter]).await;
        assert_code(&output, 2);
        let said = stderr(&output);
        assert!(
            said.contains(words) && said.trim_end().ends_with(caret),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_seen_in_an_event_is_shown_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = directory.path().to_str().unwrap();
    let subject = "a\u{1b}[2Jb\u{200b}c\u{feff}d\u{202e}e\u{2066}f\u{e0041}g\u{fe0f}h";
    let batch = serde_json::json!([{ "event": "send", "ts": 1, "msg": { "_id": "m", "subject": subject } }]);
    stack.mandrill().deliver(batch.to_string()).await;
    let output = run(&["listen", "--data-dir", data_dir, "--count", "1"]).await;
    assert_code(&output, 0);
    let shown = stdout(&output);
    let expected = r"a\u{1b}[2Jb\u{200b}c\u{feff}d\u{202e}e\u{2066}f\u{e0041}g\u{fe0f}h";
    assert!(shown.contains(expected), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_comes_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    for args in [&["up", "--data-dir", data_dir][..], &["receive"]] {
        let output = run(&[args, &["--port", &port]].concat()).await;
        assert_code(&output, 1);
        assert!(
            stderr(&output).contains("`--port 0`"),
            "{}",
            stderr(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_secrets_that_make_no_sense_are_refused() {
    for args in [
        &["simulate", "--rate", "-1"][..],
        &["simulate", "--rate", "1e12"],
        &["listen", "--last", "-1"],
        &["listen", "--count", "0"],
        &["listen", "--until-idle", "18446744073709551615"],
        &["receive", "--port", "-1"],
        &["receive", "--status", "99"],
        &["receive", "--fail-rate", "-0.5"],
        &["receive", "--slow", "-1s"],
        &["receive", "--secret", "nope"],
        &["receive", "--secret", ""],
        &["token", "--ttl", "-1h"],
        &["cost", "--events-per-day", "-1"],
        &["cost", "--events-per-day", "inf"],
        &["cost", "--events-per-day", "1", "--wanted", "NaN"],
    ] {
        let output = run(args).await;
        assert_code(&output, 2);
        let said = stderr(&output);
        assert!(!said.contains("unexpected argument"), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_is_refused_with_2() {
    for args in [
        &["up", "--prot", "8080"][..],
        &["up", "--port", "80800"],
        &["up", "--parameter", "FeedShards"],
        &["up", "--url-secret", "try-me"],
        &["dance"],
        &["listen", "--last", "1001"],
        &["simulate", "--kinds", "postcard"],
        &["token", "--scope", "admin"],
        &["token", "--filter", "colour:red"],
        &["token", "--ttl", "soon"],
        &["token", "--subject", ""],
    ] {
        let output = run(args).await;
        assert_code(&output, 2);
        assert!(
            stderr(&output).starts_with("error: "),
            "{}",
            stderr(&output)
        );
    }
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    for tool in ["simulate", "listen", "token"] {
        assert_refused(&[tool, "--data-dir", empty], 2, "cargo run").await;
    }
    assert_refused(
        &["send", "/nowhere.json", "--data-dir", empty],
        2,
        "/nowhere.json",
    )
    .await;
}
