//! The tools of outbound webhooks: `receive`, `seed`, `simulate --custom`, and what README.md says of them.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use flows::{Answer, DEADLINE, Http, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::running::{BINARY, Running, assert_code, command, run, shell, stderr, stdout};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/seed.json");

/// `posthorn receive`, as a process.
struct Receiving {
    _child: Child,
    http: Http,
    url: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Receiving {
    async fn start(args: &[&str]) -> Receiving {
        let mut child = command(&[&["receive"], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = timeout(DEADLINE, notes.next_line()).await;
        let first = first.expect("it starts").unwrap().unwrap_or_default();
        let url = first.split_whitespace().find(|word| word.contains("://"));
        let url = url
            .unwrap_or_else(|| panic!("{first}"))
            .trim_end_matches('/');
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let printed = lines.clone();
        tokio::spawn(async move {
            // Whatever else it notes has to go somewhere.
            let noted = async { while let Ok(Some(_)) = notes.next_line().await {} };
            let printed = async {
                while let Ok(Some(line)) = output.next_line().await {
                    printed.lock().unwrap().push(line);
                }
            };
            futures::future::join(noted, printed).await;
        });
        Receiving {
            _child: child,
            http: Http::new(url),
            url: url.to_owned(),
            lines,
        }
    }

    /// Posts a body, signed with this secret so many seconds ago.
    async fn post(&self, body: &str, signed: Option<(&str, i64)>) -> Answer {
        let mut headers = vec![("webhook-id", "evt_1".to_owned())];
        if let Some((secret, ago)) = signed {
            let at = i64::try_from(platform::clock::now().as_secs()).unwrap() - ago;
            let signature = Webhook::new(secret).unwrap();
            let signature = signature.sign("evt_1", at, body.as_bytes()).unwrap();
            headers.push(("webhook-timestamp", at.to_string()));
            headers.push(("webhook-signature", signature));
        }
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = headers.collect();
        self.http
            .request(Method::POST, "/hooks/a", &headers, body.to_owned())
            .await
    }

    /// The lines that it printed, when there are so many.
    async fn lines(&self, count: usize) -> Vec<String> {
        eventually(DEADLINE, async || {
            let lines = self.lines.lock().unwrap().clone();
            if lines.len() >= count {
                return Ok(lines);
            }
            Err(format!("{lines:?}"))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_tells_what_is_signed_and_refuses_the_rest() {
    let receiver = Receiving::start(&["--port", "0", "--json", "--secret", SECRET]).await;
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let body = r#"{"type":"order.created","data":{"b":1.0,"a":2}}"#;
    for (signed, status) in [
        (Some((SECRET, 0)), 200),
        (Some((SECRET, 0)), 200),
        (Some((SECRET, 600)), 401),
        (Some((other, 0)), 401),
        (None, 401),
    ] {
        assert_eq!(
            receiver.post(body, signed).await.status,
            status,
            "{signed:?}"
        );
    }
    let lines = receiver.lines(5).await;
    assert!(
        lines[0].ends_with(&format!("\"body\":{body}}}")),
        "{}",
        lines[0]
    );
    let seen: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |name: &str| -> Vec<_> { seen.iter().map(|line| line[name].clone()).collect() };
    assert_eq!(told("answer"), [200, 200, 401, 401, 401]);
    assert_eq!(told("attempt"), [1, 2, 3, 4, 5]);
    assert_eq!(told("verified"), [true, true, false, false, false]);
    assert!(told("why")[2].as_str().unwrap().contains("stale"));
    assert_eq!(seen[0]["path"], "/hooks/a");
    assert_eq!(seen[0]["type"], "order.created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_fails_as_it_is_told() {
    for (args, status) in [
        (&["--gone"][..], 410),
        (&["--status", "503"], 503),
        (&["--fail-rate", "1", "--slow", "20ms"], 500),
        (&["--fail-rate", "0", "--gone"], 200),
    ] {
        let receiver = Receiving::start(&[&["--port", "0"], args].concat()).await;
        assert_eq!(receiver.post("{}", None).await.status, status, "{args:?}");
        let lines = receiver.lines(1).await;
        assert!(lines[0].contains(&status.to_string()), "{lines:?}");
    }
    let receiver = Receiving::start(&["--port", "0", "--hang"]).await;
    tokio::select! {
        answer = receiver.post("{}", None) => panic!("it answered {}", answer.status),
        _ = receiver.lines(1) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_cannot_be_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, code) in [
        (&["receive", "--port", &port][..], 1),
        (&["receive", "--gone", "--hang"], 2),
        (&["receive", "--fail-rate", "2"], 2),
        (&["receive", "--slow", "soon"], 2),
        (&["receive", "--secret", "whsec_?"], 2),
        (&["simulate", "--custom", "a.b", "--kinds", "open"], 2),
        (&["simulate", "--every", "5s"], 2),
        (&["seed", "/nowhere.json"], 2),
    ] {
        let output = run(args).await;
        assert_code(&output, code);
        assert!(!stderr(&output).contains("whsec_?"), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_events_are_published_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let types = "order.created,user.signup";
    let args = ["simulate", "--custom", types, "--every", "1ms", "--count"];
    let data_dir = ["--data-dir", directory.path().to_str().unwrap()];
    let output = run(&[&args[..], &["12", "--seed", "7"], &data_dir].concat()).await;
    assert_code(&output, 0);
    assert_eq!(stdout(&output).lines().count(), 12);
    let events = stack.history().await;
    assert_eq!(events.len(), 12);
    for event in &events {
        let kind = event["type"].as_str().unwrap();
        assert!(types.contains(kind), "{kind}");
        assert_eq!(event["source"], "api");
        assert!(event["data"].is_object() && event["recipient"].is_string());
    }
    let output = run(&[&args[..], &["1", "--token", "wrong"], &data_dir].concat()).await;
    assert_code(&output, 2);
    assert!(stderr(&output).contains("--token"), "{}", stderr(&output));
    let reserved = ["simulate", "--custom", "endpoint.x", "--count", "1"];
    let output = run(&[&reserved[..], &data_dir].concat()).await;
    assert_code(&output, 2);
    assert!(
        stderr(&output).contains("reserved_type"),
        "{}",
        stderr(&output)
    );
}

/// All endpoints that there are.
async fn endpoints(stack: &Running) -> Vec<Value> {
    let http = Http::new(stack.text("http"));
    let page = http.get("/v1/endpoints", stack.text("token")).await;
    page.json()["endpoints"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_seeds_makes_its_endpoints_and_events_once() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let data_dir = ["--data-dir", directory.path().to_str().unwrap()];
    let first = run(&[&["seed", SEEDS][..], &data_dir].concat()).await;
    assert_code(&first, 0);
    assert_eq!(stdout(&first).matches("whsec_").count(), 4);
    assert_eq!(stdout(&first).matches("whin_").count(), 4);
    let again = run(&[&["seed", SEEDS][..], &data_dir].concat()).await;
    assert_code(&again, 0);
    let said = format!("{}{}", stdout(&again), stderr(&again));
    assert!(
        !said.contains("whsec_") && !said.contains("whin_"),
        "{said}"
    );
    assert_eq!(endpoints(&stack).await.len(), 4);
    assert_eq!(stack.history().await.len(), 4);

    let file = directory.path().join("seeds.json");
    let text = json!({ "endpoints": [{ "url": "http://127.0.0.1:1/" }, { "target_url": "x" }] });
    std::fs::write(&file, text.to_string()).unwrap();
    let refused = run(&[&["seed", file.to_str().unwrap()][..], &data_dir].concat()).await;
    assert_code(&refused, 2);
    assert!(
        stderr(&refused).contains("`target_url`"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(
        endpoints(&stack).await.len(),
        4,
        "nothing of it was created"
    );
}

/// The commands of the README about outbound webhooks, for this stack and this receiver.
struct Readme {
    commands: Vec<String>,
    token: String,
}

impl Readme {
    async fn read(stack: &Running, data_dir: &Path, receiver: &str) -> Readme {
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let text = std::fs::read_to_string(text).unwrap();
        let (_, section) = text.split_once("## Webhooks for other systems").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let program = format!("{BINARY} token");
        let options = format!("{program} --data-dir {}", data_dir.display());
        let section = section
            .replace("cargo run -- token", &options)
            .replace("http://localhost:8080", stack.text("http"))
            .replace("http://127.0.0.1:8888", receiver);
        let commands: Vec<_> = section.lines().map(str::to_owned).collect();
        let mut readme = Readme {
            commands,
            token: String::new(),
        };
        readme.token = readme.command("TOKEN=");
        readme
    }

    /// The line that begins so.
    fn command(&self, start: &str) -> String {
        let mut lines = self.commands.iter().filter(|line| line.starts_with(start));
        let line = lines.next().unwrap_or_else(|| panic!("no {start}"));
        line.clone()
    }

    /// Runs the request that contains this, with these variables; answers what it prints.
    async fn curl(&self, part: &str, variables: &str) -> Value {
        let mut lines = self.commands.iter();
        let line = lines.find(|line| line.starts_with("curl") && line.contains(part));
        let line = line.unwrap_or_else(|| panic!("no request with {part}"));
        let output = shell(&format!("{}\n{variables}\n{line}", self.token)).await;
        assert_code(&output, 0);
        let answer = stdout(&output);
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{line}: {answer}"))
    }
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_bring_events_to_a_receiver() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Running::start(directory.path(), 0, &[]).await;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let readme = Readme::read(&stack, directory.path(), &url).await;
    let endpoint = readme.curl("/v1/endpoints", "").await;
    let secret = endpoint["secret"].as_str().unwrap();
    assert!(readme.command("cargo run -- receive").contains("--secret"));
    let receiver = Receiving::start(&["--port", &port, "--secret", secret]).await;
    assert_eq!(receiver.url, url);

    let published = readme.curl("order.created", "").await;
    let line = &receiver.lines(1).await[0];
    for part in [
        "200 /hooks",
        "order.created",
        "verified",
        published["id"].as_str().unwrap(),
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    let failed = readme.curl("status=failed", "").await;
    assert_eq!(failed["deliveries"], json!([]));

    let id = endpoint["id"].as_str().unwrap();
    let ingest_secret = endpoint["ingest_secret"].as_str().unwrap();
    let variables = format!("ENDPOINT={id} INGEST_SECRET={ingest_secret}");
    readme
        .curl("Bearer $TOKEN\" -d '{\"parcel\"", &variables)
        .await;
    let signature = readme.command("SIGNATURE=");
    let variables = format!("{variables}\n{signature}");
    readme.curl("X-Hub-Signature-256", &variables).await;
    let lines = receiver.lines(3).await;
    for line in &lines[1..] {
        assert!(
            line.contains("parcel.sent") && line.contains("verified"),
            "{line}"
        );
    }
}
