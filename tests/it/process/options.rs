//! Options of `posthorn up`: what they open, what they keep private, and which are refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flows::{Http, sends};
use reqwest::Method;
use tokio::process::Command;

use super::running::{BINARY, Running, assert_code, run, shell, stderr, stdout};

/// The URL that it prints to enter in Mandrill.
fn printed_webhook(stack: &Running) -> String {
    let mut words = stack.announcement.split_whitespace();
    words.find(|word| *word == "Webhook").unwrap();
    words.next().unwrap().to_owned()
}

async fn post_json(url: &str) -> String {
    let body = sends(0..1);
    let line = format!(
        "curl -s -o /dev/null -w '%{{http_code}}' -H 'content-type: application/json' -d '{body}' '{url}'"
    );
    stdout(&shell(&line).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_secret_of_any_characters_works_as_it_is_printed() {
    for secret in ["q+Zx/8kT==", "a&b c#%25=ü", "{}[]"] {
        let directory = tempfile::tempdir().unwrap();
        let option = format!("s+cret={secret}");
        let stack = Running::start(directory.path(), 0, &["--url-secret", &option]).await;
        let url = printed_webhook(&stack);
        assert_eq!(url, stack.text("webhook_url"));
        assert_eq!(post_json(&url).await, "200", "{url}");
        let (bare, _) = url.split_once('?').unwrap();
        assert_eq!(post_json(bare).await, "403");
        // Signed for the URL as it is printed, as Mandrill does.
        stack.mandrill().deliver(sends(1..2)).await;
        assert_eq!(stack.history().await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_webhook_key_the_secret_in_the_url_decides() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--url-secret", "s=try-me", "--no-webhook-key"];
    let stack = Running::start(directory.path(), 0, &options).await;
    assert_eq!(stack.json["webhook_keys"], serde_json::json!([]));
    let data_dir = directory.path().to_str().unwrap();
    let simulated = run(&[
        "simulate",
        "--data-dir",
        data_dir,
        "--count",
        "3",
        "--rate",
        "0",
    ])
    .await;
    assert_code(&simulated, 0);
    let bare = format!("{}/mandrill", stack.text("http"));
    let refused = run(&[
        "simulate",
        "--data-dir",
        data_dir,
        "--count",
        "1",
        "--url",
        &bare,
    ])
    .await;
    assert_code(&refused, 1);
    assert!(stderr(&refused).contains("403"), "{}", stderr(&refused));
    assert_eq!(stack.history().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_up_cannot_be_told_is_refused_with_a_sentence() {
    for (args, says) in [
        (
            &["--webhook-url", "notaurl"][..],
            "a URL begins with https:// or http://",
        ),
        (&["--webhook-url", ""], "a URL begins with"),
        (
            &["--webhook-url", "ftp://name.example/"],
            "https:// and http:// only",
        ),
        (&["--webhook-url", "https://name.example/#a"], "fragment"),
        (&["--webhook-key", ""], "a webhook key is empty"),
        (&["--webhook-key", "eu= "], "white space"),
        (&["--webhook-key", "test-webhook"], "never accepted"),
        (&["--url-secret", "try-me"], "write NAME=VALUE"),
        (&["--no-webhook-key"], "--url-secret"),
        (
            &["--parameter", "WebhookPath=/v1/x"],
            "write a path such as /mandrill",
        ),
        (
            &["--parameter", "WebhookPath=/docs"],
            "write a path such as",
        ),
        (
            &["--parameter", "WebhookPath=in?x=1"],
            "write a path such as",
        ),
        (
            &["--parameter", "WebhookPath=/live"],
            "the WebSocket API answers there",
        ),
        (
            &["--parameter", "WebhookPath=/_stack/x"],
            "the local stack itself answers there",
        ),
        (
            &["--parameter", "WebhookPath=/app.js"],
            "the page answers there",
        ),
        (&["--parameter", "Webhookpath=/x"], "no such parameter"),
        (&["--port", "70000"], "0..=65535"),
        (&["--port", "-1"], "invalid value"),
        (&["--host", "name.example"], "write an address"),
        (
            &["--allow-host", "https://name.example"],
            "write a name alone",
        ),
        (&["--socket-limit", "0"], "invalid value"),
        (&["--time-scale", "-1"], "1..=3600"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().to_str().unwrap();
        let up = ["up", "--data-dir", data_dir];
        // What is refused later than by a look at the arguments needs a port.
        let port: &[&str] = if args[0] == "--port" {
            &[]
        } else {
            &["--port", "0"]
        };
        let output = run(&[&up[..], port, args].concat()).await;
        assert_code(&output, 2);
        assert!(
            stderr(&output).contains(says),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(!directory.path().join("stack.json").exists(), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_printed_works_on_another_address_than_the_usual_one() {
    for host in ["::1", "127.0.0.2"] {
        if std::net::TcpListener::bind((host, 0)).is_err() {
            continue; // A machine without IPv6.
        }
        let directory = tempfile::tempdir().unwrap();
        let stack = Running::start(directory.path(), 0, &["--host", host]).await;
        assert!(stack.text("http").contains(host), "{}", stack.text("http"));
        stack.mandrill().deliver(sends(0..2)).await;
        let mut socket = stack.connect().await;
        socket.ask(serde_json::json!({ "action": "ping" })).await;
        let lines = stack.announcement.lines();
        let line = lines.clone().find(|line| line.contains("/v1/events"));
        let answer = shell(line.unwrap()).await;
        assert!(
            stdout(&answer).contains("\"events\""),
            "{}",
            stdout(&answer)
        );
        let data_dir = directory.path().to_str().unwrap();
        let listened = run(&["listen", "--data-dir", data_dir, "--count", "2"]).await;
        assert_code(&listened, 0);
    }
}

/// The rights of a file, and of everything below a directory.
fn modes(path: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        found.push((path.display().to_string(), mode));
        if path.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_its_owners_alone_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    for (umask, name) in [("000", "made"), ("000", "there"), ("077", "strict")] {
        let data_dir = directory.path().join(name);
        if name == "there" {
            std::fs::create_dir(&data_dir).unwrap();
            std::fs::write(data_dir.join("queues.sqlite"), "").unwrap();
        }
        let mut command = Command::new("sh");
        command.kill_on_drop(true);
        let line = format!("umask {umask}; exec \"$0\" up --port 0 --data-dir \"$1\"");
        command.args(["-c", &line]).arg(BINARY).arg(&data_dir);
        let stack = Running::begin(command, &data_dir).await;
        stack.mandrill().deliver(sends(0..5)).await;
        assert_eq!(stack.history().await.len(), 5);
        let modes = modes(&data_dir);
        assert!(
            modes.iter().any(|(file, _)| file.ends_with("-wal")),
            "{modes:?}"
        );
        let others: Vec<_> = modes.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
        assert!(others.is_empty(), "umask {umask}: {others:?}");
        if name == "made" {
            let mode = data_dir.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_json_is_there_as_long_as_the_stack_answers() {
    for options in [&[][..], &["--memory"]] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stack.json");
        let data_dir = directory.path().to_str().unwrap();
        let listen = ["listen", "--data-dir", data_dir, "--until-idle", "1"];

        let mut stack = Running::start(directory.path(), 0, options).await;
        assert_code(&run(&listen).await, 0);
        stack.signal("TERM").await;
        assert_eq!(stack.exit_code().await, Some(0));
        assert!(!file.exists(), "{options:?}");

        let mut stack = Running::start(directory.path(), 0, options).await;
        stack.child.kill().await.unwrap();
        assert!(file.exists(), "{options:?}");
        for tool in [
            &listen[..],
            &["token", "--data-dir", data_dir],
            &["simulate", "--data-dir", data_dir],
        ] {
            let output = run(tool).await;
            assert_code(&output, 2);
            assert!(
                stderr(&output).contains("no local stack runs with"),
                "{}",
                stderr(&output)
            );
        }
        let _again = Running::start(directory.path(), 0, options).await;
        assert_code(&run(&listen).await, 0);
    }
    // One that does not come to answering leaves no file.
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let up = [
        "up",
        "--port",
        "0",
        "--data-dir",
        data_dir,
        "--functions",
        "/nowhere",
    ];
    assert_code(&run(&up).await, 1);
    assert!(!directory.path().join("stack.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnels_name_is_answered_when_the_stack_was_told_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = [
        "--webhook-url",
        "https://Name.Example/mandrill",
        "--allow-host",
        "other.example",
    ];
    let stack = Running::start(directory.path(), 0, &options).await;
    let http = Http::new(stack.text("http"));
    for (host, status) in [
        ("name.example", 200),
        ("other.example:443", 200),
        ("evil.example", 421),
    ] {
        let headers = [("host", host)];
        let answer = http
            .request(Method::GET, "/config.json", &headers, "")
            .await;
        assert_eq!(answer.status, status, "{host}: {}", answer.body);
    }
}
