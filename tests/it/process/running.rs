//! Running the program, and a local stack that it is.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use flows::{DEADLINE, Http, Mandrill, Socket};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The program, as `cargo run` starts it.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_program");

pub(super) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(super) async fn run(args: &[&str]) -> Output {
    finish(&mut command(args)).await
}

/// Runs a line of a shell to its end.
pub(super) async fn shell(line: &str) -> Output {
    finish(Command::new("sh").args(["-c", line]).kill_on_drop(true)).await
}

async fn finish(command: &mut Command) -> Output {
    let output = timeout(DEADLINE, command.output()).await;
    let output = output.expect("the program ends").unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(super) fn assert_code(output: &Output, code: i32) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
}

/// One line that says what is wrong.
pub(super) async fn assert_refused(args: &[&str], code: i32, says: &str) {
    let output = run(args).await;
    assert_code(&output, code);
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    assert!(
        said.starts_with("posthorn: ") && said.contains(says),
        "{args:?}: {said}"
    );
    assert_eq!(stdout(&output), "", "{args:?}");
}

/// A local stack that runs as a process.
pub(super) struct Running {
    pub(super) child: Child,
    /// What it printed when it was ready.
    pub(super) announcement: String,
    /// What it has written to stderr so far.
    pub(super) notes: Arc<Mutex<String>>,
    /// `stack.json`.
    pub(super) json: Value,
}

impl Running {
    pub(super) async fn start(directory: &Path, port: u16, args: &[&str]) -> Running {
        let (directory, port) = (directory.to_str().unwrap(), port.to_string());
        let mut all = vec!["up", "--port", &port, "--data-dir", directory];
        all.extend(args);
        Running::begin(command(&all), Path::new(directory)).await
    }

    /// Waits until a command that starts a stack in this data directory says that it is ready.
    pub(super) async fn begin(mut command: Command, directory: &Path) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let notes = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = notes.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                *written.lock().unwrap() += &(line + "\n");
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut announcement = String::new();
        while !announcement.contains("Ctrl-C") {
            let line = timeout(DEADLINE, lines.next_line()).await;
            let line = line.expect("an announcement").unwrap();
            let ended = || panic!("it ended: {}", notes.lock().unwrap());
            announcement += &(line.unwrap_or_else(ended) + "\n");
        }
        let text = std::fs::read_to_string(directory.join("stack.json")).unwrap();
        Running {
            child,
            announcement,
            notes,
            json: serde_json::from_str(&text).unwrap(),
        }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap()
    }

    /// All that it has told, but for the token, which is new with each start.
    pub(super) fn told_without_token(&self) -> String {
        let told = format!("{}{}", self.json, self.announcement);
        told.replace(self.text("token"), "token")
    }

    pub(super) fn port(&self) -> u16 {
        self.text("http")
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(super) fn mandrill(&self) -> Mandrill {
        let url = self.text("webhook_url");
        Mandrill::new(url, url, self.json["webhook_keys"][0].as_str().unwrap())
    }

    pub(super) async fn connect(&self) -> Socket {
        let http = Http::new(self.text("http"));
        let token = format!("Bearer {}", self.text("token"));
        let headers = [("authorization", token.as_str())];
        let ticket = http.request(Method::POST, "/v1/tickets", &headers, "");
        let ticket = ticket.await.json();
        Socket::open(ticket["url"].as_str().unwrap()).await.unwrap()
    }

    pub(super) async fn history(&self) -> Vec<Value> {
        let http = Http::new(self.text("http"));
        let answer = http.get("/v1/events?limit=1000", self.text("token")).await;
        let page = answer.json();
        assert!(page["next"].is_null(), "the test reads one page only");
        page["events"].as_array().unwrap().clone()
    }

    pub(super) async fn signal(&self, name: &str) {
        let process = self.child.id().unwrap();
        assert_code(&shell(&format!("kill -{name} {process}")).await, 0);
    }

    pub(super) async fn exit_code(&mut self) -> Option<i32> {
        let status = timeout(DEADLINE, self.child.wait()).await;
        status.expect("it ends").unwrap().code()
    }

    pub(super) fn assert_no_panic(&self) {
        let notes = self.notes.lock().unwrap();
        assert!(!notes.contains("panicked"), "{notes}");
    }
}
