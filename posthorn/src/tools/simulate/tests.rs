use std::sync::Mutex;

use clap::Parser as _;
use mandrill::Form;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// A webhook that answers with `statuses` first and 200 from then on, and keeps what it was sent.
#[derive(Clone)]
struct Receiver {
    url: String,
    bodies: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mandrill", listener.local_addr().unwrap());
        let receiver = Self {
            url,
            bodies: Arc::default(),
        };
        let statuses = Arc::new(Mutex::new(statuses.to_vec()));
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket, Arc::clone(&statuses)));
            }
        });
        receiver
    }

    async fn serve(self, mut socket: TcpStream, statuses: Arc<Mutex<Vec<u16>>>) {
        let mut received = Vec::new();
        while let Some((head, body)) = read_request(&mut socket, &mut received).await {
            let signature = head
                .lines()
                .find_map(|line| line.strip_prefix("x-mandrill-signature: "));
            self.bodies
                .lock()
                .unwrap()
                .push((body, signature.unwrap().to_owned()));
            let status = statuses.lock().unwrap().pop().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} .\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    async fn run(&self, options: &str) -> Result<(), ToolError> {
        let url = ["simulate", "--key", "secret", "--url", &self.url];
        let arguments = url.into_iter().chain(options.split(' '));
        run(Cli::parse_from(arguments).args).await
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies
            .lock()
            .unwrap()
            .iter()
            .map(|(body, _)| body.clone())
            .collect()
    }
}

async fn read_request(socket: &mut TcpStream, received: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let text = String::from_utf8_lossy(received).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap();
            let length: usize = length.parse().unwrap();
            if rest.len() >= length {
                received.drain(..head.len() + 4 + length);
                return Some((head.to_owned(), rest[..length].to_owned()));
            }
        }
        if socket.read_buf(received).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

#[tokio::test]
async fn every_event_arrives_signed() {
    let receiver = Receiver::start(&[]).await;
    receiver
        .run("--rate 0 --count 250 --batch 100 --concurrency 3")
        .await
        .unwrap();
    let mut events = 0;
    for (body, signature) in receiver.bodies.lock().unwrap().iter() {
        let form = Form::parse(body.as_bytes());
        assert_eq!(mandrill::sign(b"secret", &receiver.url, &form), *signature);
        events += form.events().len();
    }
    assert_eq!(events, 250);
}

#[tokio::test]
async fn a_refused_batch_is_posted_again_unchanged_before_the_next() {
    let receiver = Receiver::start(&[500]).await;
    receiver
        .run("--rate 0 --count 20 --batch 10 --kinds send")
        .await
        .unwrap();
    let bodies = receiver.bodies();
    assert_eq!(bodies.len(), 3);
    assert_eq!(bodies[0], bodies[1]);
    assert_ne!(bodies[1], bodies[2]);
}

#[tokio::test]
async fn a_batch_that_is_never_accepted_is_a_failure_and_stops_the_run() {
    let receiver = Receiver::start(&[403, 403, 403]).await;
    let error = receiver
        .run("--rate 0 --count 1000 --retries 0")
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(receiver.bodies().len() < 100);
}

#[tokio::test]
async fn what_no_retry_mends_ends_the_run_at_the_first_batch() {
    for status in [301, 400, 401, 403, 404, 415, 421] {
        let receiver = Receiver::start(&[200, 200, status]).await;
        let error = receiver.run("--rate 0 --count 100").await.unwrap_err();
        assert_eq!(error.exit_code(), 1, "{status}");
        assert_eq!(receiver.bodies().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_asked_again() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mandrill", taken.local_addr().unwrap());
    drop(taken);
    let receiver = Receiver {
        url,
        bodies: Arc::default(),
    };
    let running = receiver.run("--rate 0 --count 100");
    let ended = timeout(FIRST_RETRY, running).await;
    assert_eq!(ended.expect("it ends at once").unwrap_err().exit_code(), 1);
}

#[tokio::test]
async fn a_refusal_after_a_batch_was_accepted_is_retried() {
    let receiver = Receiver::start(&[403, 200]).await;
    receiver
        .run("--rate 0 --count 20 --batch 10 --kinds send")
        .await
        .unwrap();
    assert_eq!(receiver.bodies().len(), 3);
}

#[test]
fn a_refusal_says_what_to_check() {
    let webhook = crate::tools::target::Webhook {
        post_url: "http://localhost:8080/in?secret=hidden".to_owned(),
        sign_url: "https://name.example/in?secret=hidden".to_owned(),
        key: Secret::new("key"),
    };
    let poster = Poster::new(webhook).unwrap();
    let refusal = |status, body: &str| {
        let body = body.to_owned();
        poster.refusal(&crate::tools::post::Answer { status, body })
    };
    let said = refusal(
        403,
        r#"{"error":{"code":"bad_signature","message":"it does not match"}}"#,
    );
    for part in [
        "403 it does not match",
        "--key",
        "https://name.example/in",
        "--url",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = refusal(404, "");
    assert!(
        said.contains("http://localhost:8080/in,") || said.contains("http://localhost:8080/in)"),
        "{said}"
    );
    assert_eq!(
        refusal(500, r#"{"message":"\u202eoops"}"#),
        "500 \\u{202e}oops"
    );
    assert!(
        ![refusal(403, ""), refusal(404, ""), refusal(421, "")]
            .concat()
            .contains("hidden")
    );
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for (option, values) in [
        (
            "--rate",
            &["-1", "NaN", "inf", "-inf", "1e12", "1e-12", "x", ""][..],
        ),
        ("--batch", &["0", "-1", "1001", "1.5"]),
        ("--count", &["0", "-1", "1e3"]),
        ("--duplicates", &["-0.1", "1.1", "NaN"]),
        ("--concurrency", &["0", "-1", "1001"]),
        ("--retries", &["-1", "4294967296"]),
        ("--start", &["-1", "253402300800"]),
        ("--every", &["-1s", "0s", "1", "99999999h"]),
    ] {
        for value in values {
            let args = ["simulate", option, value, "--custom", "a.b"];
            let args = if option == "--every" {
                &args[..]
            } else {
                &args[..3]
            };
            let error = Cli::try_parse_from(args).unwrap_err().to_string();
            assert!(
                error.contains("invalid value") || error.contains("is required"),
                "{error}"
            );
        }
    }
    for rate in ["0", "1e9", "0.001"] {
        assert!(
            Cli::try_parse_from(["simulate", "--rate", rate]).is_ok(),
            "{rate}"
        );
    }
}

#[tokio::test]
async fn duplicates_repeat_the_same_bytes() {
    let receiver = Receiver::start(&[]).await;
    receiver
        .run("--rate 0 --count 30 --batch 10 --kinds open --duplicates 1")
        .await
        .unwrap();
    let bodies = receiver.bodies();
    assert_eq!(bodies.len(), 6);
    assert!(bodies.chunks(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn batches_are_released_in_step_with_the_rate() {
    let args = |options: &str| Cli::parse_from(format!("simulate {options}").split(' ')).args;
    let steady = args("--rate 5 --batch 10");
    assert_eq!(
        [0, 10, 20].map(|before| steady.release(before).as_secs()),
        [0, 2, 4]
    );
    let bursts = args("--rate 5 --batch 10 --bursts");
    assert_eq!(
        [0, 90, 100, 190].map(|before| bursts.release(before).as_secs()),
        [0, 0, 20, 20]
    );
    assert_eq!(args("--rate 0").release(1_000_000), Duration::ZERO);
    assert!(Cli::try_parse_from(["simulate", "--rate", "-1"]).is_err());
    assert!(Cli::try_parse_from(["simulate", "--batch", "1001"]).is_err());
}
