//! What other programs, web pages and machines get of a local stack.

use std::io;

use flows::{DEADLINE, Socket, TestStack, eventually, sends};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn open(stack: &TestStack) -> TcpStream {
    let address = stack.urls().http.replace("http://localhost", "127.0.0.1");
    TcpStream::connect(address).await.unwrap()
}

/// Everything that is answered to these bytes; empty if the connection is cut.
async fn raw(stack: &TestStack, request: &str) -> String {
    let mut stream = open(stack).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    // A connection that was cut has still said what it has said.
    let _ = read.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The bytes up to the empty line at the end of a head.
async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(DEADLINE, stream.read_u8()).await??);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A request and its answer on a connection that stays open.
async fn exchange(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let head = read_head(stream).await?;
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    timeout(DEADLINE, stream.read_exact(&mut body)).await??;
    Ok(head + &String::from_utf8_lossy(&body))
}

/// An open connection that the stack has let in.
async fn let_in(stack: &TestStack) -> TcpStream {
    eventually(DEADLINE, async || {
        let mut stream = open(stack).await;
        let request = "GET /config.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
        match exchange(&mut stream, request).await {
            Ok(answer) if status(&answer) == 200 => Ok(stream),
            refused => Err(format!("{refused:?}")),
        }
    })
    .await
}

/// Posts events as Mandrill does, on a connection that is open.
async fn deliver(stack: &TestStack, stream: &mut TcpStream, events: String) {
    let batch = stack.mandrill().sign(events);
    let request = format!(
        "POST /mandrill HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/x-www-form-urlencoded\r\n\
         x-mandrill-signature: {}\r\ncontent-length: {}\r\n\r\n{}",
        batch.signature,
        batch.body.len(),
        batch.body
    );
    let answer = exchange(stream, &request).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
}

fn status(answer: &str) -> u16 {
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("{answer:?}"));
    status.parse().unwrap()
}

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request to each service behind the port, with what comes after its target.
fn surfaces() -> [(&'static str, &'static str, &'static str); 9] {
    let call = "authorization: AWS4-HMAC-SHA256 Credential=AKIA/x\r\n";
    [
        ("GET", "/", ""),
        ("GET", "/config.json", ""),
        ("GET", "/v1/events", ""),
        ("GET", "/v1/stream", ""),
        ("GET", "/docs", ""),
        ("HEAD", "/mandrill", ""),
        ("GET", "/live?ticket=t", UPGRADE),
        ("GET", "/_stack/bill", ""),
        ("POST", "/", call),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_service_answers_by_a_name_that_is_not_the_stacks() {
    let stack = TestStack::start().await;
    for (method, target, headers) in surfaces() {
        let ask = async |hosts: &str| {
            let end = "connection: close\r\n\r\n";
            let request = format!("{method} {target} HTTP/1.1\r\n{hosts}{headers}{end}");
            raw(&stack, &request).await
        };
        let refused = ask("host: evil.example:8080\r\n").await;
        assert_eq!(status(&refused), 421, "{method} {target}: {refused}");
        if method != "HEAD" {
            assert!(refused.contains("--allow-host evil.example"), "{refused}");
        }
        for hosts in ["", "host: localhost\r\nhost: localhost\r\n", "host: <>\r\n"] {
            assert_eq!(
                status(&ask(hosts).await),
                400,
                "{method} {target}: {hosts:?}"
            );
        }
        for host in ["localhost:1", "127.0.0.1", "[::1]:65535"] {
            let answer = ask(&format!("host: {host}\r\n")).await;
            let status = status(&answer);
            assert!(
                status != 421 && !answer.contains("Host"),
                "{method} {target}: {answer}"
            );
        }
    }
    let absolute = "GET http://evil.example/config.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&raw(&stack, absolute).await), 421);
    let own =
        "GET http://localhost/config.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&raw(&stack, own).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stack_tells_of_itself_needs_its_own_token() {
    let stack = TestStack::start().await;
    let urls = stack.urls();
    assert_ne!(urls.stack_token, urls.token);
    for path in ["health", "bill", "queues/DeliveriesQueue", "nothing"] {
        let path = format!("/_stack/{path}");
        let bare = stack.http().request(Method::GET, &path, &[], "").await;
        assert_eq!(bare.status, 401, "{path}");
        assert_eq!(bare.header("www-authenticate"), "Bearer");
        assert!(
            bare.json()["message"]
                .as_str()
                .unwrap()
                .contains("stack_token")
        );
        for wrong in [&urls.token, "", "wrong", &urls.stack_token[1..]] {
            assert_eq!(stack.http().get(&path, wrong).await.status, 401, "{path}");
        }
        let expected = if path.ends_with("nothing") { 404 } else { 200 };
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let token = format!("{scheme} {}", urls.stack_token);
            let headers = [("authorization", token.as_str())];
            let answer = stack.http().request(Method::GET, &path, &headers, "").await;
            assert_eq!(answer.status, expected, "{scheme} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stack_tells_of_itself_can_only_be_read() {
    let stack = TestStack::start().await;
    let token = format!("Bearer {}", stack.urls().stack_token);
    let headers = [("authorization", token.as_str())];
    for path in [
        "/_stack/health",
        "/_stack/bill",
        "/_stack/queues/DeliveriesQueue",
    ] {
        let ask = async |method| stack.http().request(method, path, &headers, "").await;
        assert_eq!(ask(Method::HEAD).await.status, 200, "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let refused = ask(method).await;
            assert_eq!(refused.status, 405, "{path}");
            assert_eq!(refused.header("allow"), "GET, HEAD");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_can_be_framed_or_taken_for_another_kind() {
    let stack = TestStack::start().await;
    for path in [
        "/",
        "/app.js",
        "/config.json",
        "/posthorn.svg",
        "/docs",
        "/openapi.json",
        "/v1/events",
        "/v1/stream",
        "/mandrill",
        "/nothing",
        "/live",
        "/_stack/bill",
        "/healthz",
    ] {
        let answer = stack.http().request(Method::GET, path, &[], "").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_refused_until_another_one_ends() {
    const SOCKETS: usize = 3;
    const SILENT: usize = 3;
    let stack = TestStack::start_with(|options| options.local.connections = SOCKETS + SILENT).await;
    let ticket = stack.socket_url();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(Socket::open(&ticket).await.unwrap());
    }
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let mut stream = let_in(&stack).await;
        // It never finishes what it says.
        let half = b"GET / HTTP/1.1\r\nhost: local";
        stream.write_all(half).await.unwrap();
        silent.push(stream);
    }
    let refused = read(&mut open(&stack).await).await;
    assert_eq!(status(&refused), 503, "{refused}");
    // Sockets that were open go on, and count until they close.
    for socket in &mut sockets {
        socket.ask(json!({ "action": "ping" })).await;
    }
    drop(silent);
    let mut stream = let_in(&stack).await;
    deliver(&stack, &mut stream, sends(0..2)).await;
    for socket in &mut sockets {
        socket.hear_events(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_connection_taken_the_functions_still_reach_aws() {
    const CONNECTIONS: usize = 4;
    let stack = TestStack::start_with(|options| options.local.connections = CONNECTIONS).await;
    let mut mandrill = let_in(&stack).await;
    let mut others = Vec::new();
    for _ in 1..CONNECTIONS {
        others.push(let_in(&stack).await);
    }
    let refused = read(&mut open(&stack).await).await;
    assert_eq!(status(&refused), 503, "{refused}");

    deliver(&stack, &mut mandrill, sends(0..2)).await;
    stack.wait_until_pushed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_announced_and_do_not_arrive_delay_no_other() {
    const BODIES: usize = 70;
    let stack = TestStack::start().await;
    let mut waiting = Vec::new();
    for _ in 0..BODIES {
        let mut stream = open(&stack).await;
        let head = "POST /mandrill HTTP/1.1\r\nhost: localhost\r\n\
                    content-length: 10000000\r\nexpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // Said when the body is about to be read.
        let said = read_head(&mut stream).await.unwrap();
        assert_eq!(status(&said), 100, "{said}");
        waiting.push(stream);
    }
    let mandrill = stack.mandrill();
    tokio::select! {
        () = mandrill.deliver(sends(0..1)) => {}
        // The stack gives up a body that does not arrive.
        _ = waiting[0].read_u8() => panic!("the batch had to wait for the bodies"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_socket_makes_room_for_another() {
    let stack = TestStack::start_with(|options| options.local.connections = 1).await;
    for _ in 0..3 {
        let target = format!("/live?ticket={}", stack.ticket());
        let handshake = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}\r\n");
        let _socket = eventually(DEADLINE, async || {
            let mut stream = open(&stack).await;
            match exchange(&mut stream, &handshake).await {
                Ok(answer) if status(&answer) == 101 => Ok(stream),
                refused => Err(format!("{refused:?}")),
            }
        })
        .await;
        let refused = read(&mut open(&stack).await).await;
        assert_eq!(status(&refused), 503, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_where_the_apis_are_by_the_name_it_was_asked_by() {
    let stack = TestStack::start_with(|options| {
        options.local.allow_hosts = vec!["name.example".to_owned()];
    })
    .await;
    let headers = [("host", "name.example"), ("x-forwarded-proto", "https")];
    let answer = stack
        .http()
        .request(Method::GET, "/config.json", &headers, "");
    let config: Value = answer.await.json();
    assert_eq!(config["http"], "https://name.example");
    assert_eq!(config["ws"], "wss://name.example/live");
}
