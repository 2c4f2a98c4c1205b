//! What other programs, web pages and machines get of a local stack.

use flows::{DEADLINE, Socket, TestStack, eventually, sends};
use reqwest::Method;
use serde_json::Value;
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

fn status(answer: &str) -> u16 {
    let status = answer
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("{answer:?}"));
    status.parse().unwrap()
}

/// A request to each service behind the port, with what comes after its target.
fn surfaces() -> [(&'static str, &'static str, &'static str); 9] {
    let call = "authorization: AWS4-HMAC-SHA256 Credential=AKIA/x\r\n";
    let socket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    [
        ("GET", "/", ""),
        ("GET", "/config.json", ""),
        ("GET", "/v1/events", ""),
        ("GET", "/v1/stream", ""),
        ("GET", "/docs", ""),
        ("HEAD", "/mandrill", ""),
        ("GET", "/live?ticket=t", socket),
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

const CONFIG: &str = "GET /config.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_refused_until_another_one_ends() {
    const CONNECTIONS: usize = 6;
    let stack = TestStack::start_with(|options| {
        // The functions' own calls come over the port as well.
        options.connections = CONNECTIONS + 20;
    })
    .await;
    let ticket = stack.socket_url();
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS / 2 {
        sockets.push(Socket::open(&ticket).await.unwrap());
    }
    // Those that say nothing at all, or never finish what they say.
    let mut silent = Vec::new();
    let refused = eventually(DEADLINE, async || {
        let mut stream = open(&stack).await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: local")
            .await
            .unwrap();
        let mut answer = [0; 512];
        match timeout(
            std::time::Duration::from_millis(50),
            stream.read(&mut answer),
        )
        .await
        {
            // It was let in, and waits for the rest.
            Err(_) => {
                silent.push(stream);
                Err(format!("{} connections are open", silent.len()))
            }
            Ok(read) => Ok(String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()),
        }
    })
    .await;
    assert!(refused.is_empty() || status(&refused) == 503, "{refused}");
    assert!(
        silent.len() <= CONNECTIONS + 20 - sockets.len(),
        "{}",
        silent.len()
    );
    // Sockets that were open go on, and count until they close.
    for socket in &mut sockets {
        socket.ask(serde_json::json!({ "action": "ping" })).await;
    }
    drop(silent);
    eventually(DEADLINE, async || {
        let answer = raw(&stack, CONFIG).await;
        answer
            .starts_with("HTTP/1.1 200")
            .then_some(())
            .ok_or(answer)
    })
    .await;
    stack.mandrill().deliver(sends(0..2)).await;
    for socket in &mut sockets {
        socket.hear_events(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_socket_makes_room_for_another() {
    let stack = TestStack::start_with(|options| options.connections = 12).await;
    // More than there is room for, one after the other.
    for _ in 0..15 {
        let url = stack.socket_url();
        eventually(DEADLINE, async || match Socket::open(&url).await {
            Ok(mut socket) => {
                socket.ask(serde_json::json!({ "action": "ping" })).await;
                Ok(())
            }
            Err(error) => Err(format!("{error:?}")),
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_where_the_apis_are_by_the_name_it_was_asked_by() {
    let stack = TestStack::start_with(|options| {
        options.allow_hosts = vec!["name.example".to_owned()];
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
