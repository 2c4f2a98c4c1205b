//! The functions as Lambda runs them, under `cargo lambda watch`, against a running local stack.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flows::{DEADLINE, TestStack, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::fixtures::{self, CONNECTION, RECEIVED_MS, TOKEN, fixture};

/// How long building the six functions may take on a slow machine that has built nothing yet.
const BUILD: Duration = Duration::from_secs(1_500);

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// cargo-lambda, from where `make setup` installs it, or from the path.
fn cargo_lambda() -> PathBuf {
    let path = platform::config::process("PATH").unwrap_or_default();
    let directories = std::iter::once(root().join(".venv/bin")).chain(std::env::split_paths(&path));
    directories
        .map(|directory| directory.join("cargo-lambda"))
        .find(|file| file.is_file())
        .expect("cargo-lambda is missing: run `make setup`, or `pip install cargo-lambda==1.9.2`")
}

/// `cargo lambda watch`, which builds a function when it is invoked first.
struct Watch {
    child: Child,
    port: String,
    said: Arc<Mutex<String>>,
}

impl Watch {
    fn start(stack: &TestStack) -> Watch {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let env_file = stack.data_dir().join("functions.env");
        let mut child = Command::new(cargo_lambda())
            .args(["lambda", "watch", "--ignore-changes", "--env-file"])
            .arg(env_file)
            .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port])
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), said.clone());
        collect(child.stderr.take().unwrap(), said.clone());
        Watch { child, port, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// `cargo lambda invoke`; it waits for ever for a function that does not build.
    async fn invoke(&self, function: &str, data: [&str; 2]) -> Value {
        let output = Command::new(cargo_lambda())
            .args(["lambda", "invoke", function])
            .args(["-A", "127.0.0.1", "-P", &self.port])
            .args(data)
            .current_dir(root())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::select! {
            output = output => output.unwrap(),
            () = self.build_failed() => panic!("{function} does not build:\n{}", self.said()),
            () = tokio::time::sleep(BUILD) => panic!("{function} does not answer:\n{}", self.said()),
        };
        let (out, err) = (&output.stdout, &output.stderr);
        let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
        assert!(
            output.status.success(),
            "{function}: {out}{err}\n{}",
            self.said()
        );
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }

    async fn build_failed(&self) {
        eventually(BUILD, async || {
            let failed = self.said().contains("command exited code=");
            failed.then_some(()).ok_or_else(String::new)
        })
        .await;
    }
}

/// Killed outright it would leave the functions behind; interrupted, it stops them first.
impl Drop for Watch {
    fn drop(&mut self) {
        let Some(process) = self.child.id() else {
            return;
        };
        let interrupt = ["-INT".to_owned(), process.to_string()];
        let _ = std::process::Command::new("kill").args(interrupt).status();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn collect(stream: impl AsyncRead + Send + Unpin + 'static, said: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stream).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            *said.lock().unwrap() += &(line + "\n");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_cargo_lambda_work_on_a_running_local_stack() {
    let stack = TestStack::start_with(fixtures::behind_another_name).await;
    let watch = Watch::start(&stack);
    eventually(DEADLINE, async || {
        tokio::net::TcpStream::connect(format!("127.0.0.1:{}", watch.port))
            .await
            .map_err(|error| format!("{error}: {}", watch.said()))
    })
    .await;
    let token = stack.urls().token.clone();
    let here = |path: &str, put: &[(&str, &str)]| {
        let sample = fixture(path);
        put.iter()
            .fold(sample, |text, (from, to)| text.replace(from, to))
    };

    // What `webhook` stores is on the sockets of the running stack, and in its history.
    let mut socket = stack.connect().await;
    let stored = watch
        .invoke("webhook", ["--data-file", "events/webhook/click.json"])
        .await;
    assert_eq!(stored["statusCode"], 200, "{stored}");
    let events = socket.hear_events(1).await;
    assert_eq!(events[0]["type"], "click");
    assert_eq!(stack.history().await[0]["id"], events[0]["id"]);

    let list = here("api/list.json", &[(TOKEN, &token)]);
    let list = watch.invoke("api", ["--data-ascii", &list]).await;
    let page: Value = serde_json::from_str(list["body"].as_str().unwrap()).unwrap();
    assert_eq!(page["events"][0]["id"], events[0]["id"], "{list}");

    let connect = here("connect/ticket.json", &[(TOKEN, &stack.ticket())]);
    let connected = watch.invoke("connect", ["--data-ascii", &connect]).await;
    assert_eq!(connected["statusCode"], 200, "{connected}");
    assert_eq!(stack.items("ConnectionsTable").await.len(), 2);
    let file = "events/disconnect/1001-going-away.json";
    let left = watch.invoke("disconnect", ["--data-file", file]).await;
    assert_eq!(left["statusCode"], 200, "{left}");
    assert_eq!(stack.items("ConnectionsTable").await.len(), 1);

    let resume = here("message/resume-last.json", &[(CONNECTION, socket.id())]);
    watch.invoke("message", ["--data-ascii", &resume]).await;
    let replayed = socket.hear_events(1).await;
    assert_eq!(replayed[0]["id"], events[0]["id"]);
    socket.hear_kind("live").await;

    let now = platform::clock::now().0.to_string();
    let insert = here("push/insert.json", &[(RECEIVED_MS, &now)]);
    let pushed = watch.invoke("push", ["--data-ascii", &insert]).await;
    assert_eq!(pushed, json!({ "batchItemFailures": [] }));
    assert_eq!(socket.hear_events(5).await.len(), 5);

    every_sample_is_answered_as_by_the_stack(&stack, &watch).await;
}

/// `cargo lambda invoke FUNCTION --data-file events/FUNCTION/….json`, for every file there is.
async fn every_sample_is_answered_as_by_the_stack(stack: &TestStack, watch: &Watch) {
    let mut samples = 0;
    // An answer that is streamed is no JSON text: `fixtures.rs` has those.
    let functions = &stack.template().functions;
    for function in functions.iter().filter(|function| function.url.is_none()) {
        for path in fixtures::files(&function.binary) {
            if !path.ends_with(".json") {
                continue;
            }
            let file = format!("events/{path}");
            let invoked = watch.invoke(&function.binary, ["--data-file", &file]);
            let invoked = invoked.await;
            let expected = stack.invoke(&function.logical_id, fixture(&path)).await;
            let expected: Value = serde_json::from_str(&expected.unwrap()).unwrap();
            // Bodies tell ids of requests, and what was stored in between.
            assert_eq!(
                invoked["statusCode"], expected["statusCode"],
                "{path}: {invoked}"
            );
            assert_eq!(
                invoked["batchItemFailures"], expected["batchItemFailures"],
                "{path}"
            );
            samples += 1;
        }
    }
    assert!(samples >= 60, "{samples}");
}
