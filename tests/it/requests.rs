//! How requests are written by those who know other services, other libraries and other editors.

use flows::{Answer, Sse, TestStack, sends};
use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ingest::{endpoint as new_endpoint, signature};

const FORM: &str = "application/x-www-form-urlencoded";
/// A path of each kind, with its method and what it is answered when it is understood.
const PATHS: &[(&str, &str, &[u16])] = &[
    ("GET", "/v1/events", &[200]),
    ("HEAD", "/v1/events", &[200]),
    ("POST", "/v1/events", &[202]),
    ("GET", "/v1/events?wait=0", &[200]),
    ("GET", "/v1/event-types", &[200]),
    ("GET", "/v1/events/evt_x", &[400]),
    ("GET", "/v1/messages/m/events", &[200]),
    ("POST", "/v1/tickets", &[201]),
    ("GET", "/v1/endpoints", &[200]),
    ("GET", "/v1/deliveries", &[200]),
    ("OPTIONS", "/v1/events", &[204]),
    ("OPTIONS", "/v1/stream", &[204]),
    ("GET", "/healthz", &[200]),
    ("GET", "/openapi.json", &[200]),
    ("GET", "/docs", &[200]),
    ("GET", "/docs/swagger-ui.css", &[200]),
];

async fn ask(
    stack: &TestStack,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
    body: &str,
) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let bearer = format!("Bearer {}", stack.urls().token);
    let headers = [&[("authorization", bearer.as_str())], more].concat();
    stack
        .http()
        .request(method, path, &headers, body.to_owned())
        .await
}

/// The id of a new endpoint, and its ingest secret.
async fn made(stack: &TestStack) -> (String, Value) {
    let endpoint = new_endpoint(stack).await;
    let id = endpoint["id"].as_str().unwrap().to_owned();
    (id, endpoint["ingest_secret"].clone())
}

fn body_of(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("POST", "/v1/events") => r#"{"type":"a"}"#,
        ("POST", _) => "{}",
        _ => "",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_of_a_path_makes_no_difference() {
    let stack = TestStack::start().await;
    for (method, path, expected) in PATHS {
        let (plain, query) = path.split_once('?').unwrap_or((path, ""));
        let slashed = format!("{plain}/?{query}");
        for path in [*path, slashed.trim_end_matches('?')] {
            let answer = ask(&stack, method, path, &[], body_of(method, plain)).await;
            // A client follows, as a browser does.
            let location = answer.header("location").to_owned();
            let answer = match answer.status {
                StatusCode::PERMANENT_REDIRECT => ask(&stack, method, &location, &[], "").await,
                _ => answer,
            };
            let status = answer.status.as_u16();
            assert!(
                expected.contains(&status),
                "{method} {path}: {}",
                answer.body
            );
            assert_ne!(
                answer.header("content-type"),
                "text/plain",
                "{method} {path}"
            );
        }
    }
    let bearer = format!("Bearer {}", stack.urls().token);
    let headers = [("authorization", bearer.as_str())];
    let mut stream = Sse::open(stack.http(), "/v1/stream/", &headers)
        .await
        .unwrap();
    stream.next_named("live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_skipped_and_a_form_is_told_to_be_json() {
    let stack = TestStack::start().await;
    let (endpoint, secret) = made(&stack).await;
    let ingest = format!("/v1/ingest/{endpoint}");
    for (path, body) in [
        ("/v1/events", r#"{"type":"a","data":1}"#),
        ("/v1/tickets", r#"{"filter":"type:open"}"#),
        ("/v1/endpoints", r#"{"url":"http://127.0.0.1:9/"}"#),
        (&ingest, r#"{"a":1}"#),
    ] {
        let marked = format!("\u{feff}{body}");
        let answer = ask(&stack, "POST", path, &[], &marked).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        // curl says so of JSON as well.
        let form = [("content-type", FORM)];
        let answer = ask(&stack, "POST", path, &form, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        for (media_type, body) in [
            (FORM, "type=a&url=https%3A%2F%2Fa.example"),
            ("multipart/form-data; boundary=x", "--x\r\n\r\n1\r\n--x--"),
        ] {
            let answer = ask(&stack, "POST", path, &[("content-type", media_type)], body).await;
            assert_eq!(
                answer.error(),
                (415, "unsupported_media_type".into()),
                "{path}"
            );
            assert!(answer.body.contains("application/json"), "{}", answer.body);
        }
        let wide = "{\0}\0";
        let answer = ask(
            &stack,
            "POST",
            path,
            &[("content-type", "application/json")],
            wide,
        )
        .await;
        assert_eq!(answer.error(), (400, "bad_json".into()), "{path}");
        assert!(answer.body.contains("UTF-8"), "{}", answer.body);
    }
    // The mark is signed with the rest.
    let body = "\u{feff}{}";
    let signed = signature(&secret, body);
    let headers = [("x-hub-signature-256", signed.as_str())];
    let answer = stack
        .http()
        .request(Method::POST, &ingest, &headers, body)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let mut socket = stack.connect().await;
    socket
        .send(tokio_tungstenite::tungstenite::Message::text(
            "\u{feff}{\"action\":\"ping\"}",
        ))
        .await;
    assert_eq!(socket.hear().await.kind(), "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_posts_for_an_endpoint_without_a_token_is_told_of_the_signature() {
    let stack = TestStack::start().await;
    let (endpoint, _) = made(&stack).await;
    let path = format!("/v1/ingest/{endpoint}");
    for headers in [&[][..], &[("authorization", "Bearer nonsense")]] {
        let answer = stack
            .http()
            .request(Method::POST, &path, headers, "{}")
            .await;
        assert_eq!(answer.error(), (401, "unauthorized".into()));
        for told in ["X-Hub-Signature-256", "sha256=", "ingest_secret"] {
            assert!(answer.body.contains(told), "{}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_another_service_is_said_in_ours() {
    let stack = TestStack::start().await;
    let (endpoint, _) = made(&stack).await;
    let of_one = |action: &str| format!("/v1/endpoints/{endpoint}{action}");
    for (method, path, field, hint) in [
        (
            "POST",
            "/v1/endpoints".to_owned(),
            "target_url",
            "did you mean `url`?",
        ),
        (
            "PATCH",
            of_one(""),
            "enabled_events",
            "did you mean `event_types`?",
        ),
        (
            "POST",
            "/v1/endpoints".to_owned(),
            "secret",
            "rotate-secret",
        ),
        ("PATCH", of_one(""), "disabled", "/disable`"),
        (
            "POST",
            "/v1/events".to_owned(),
            "event",
            "did you mean `type`?",
        ),
        (
            "POST",
            "/v1/events".to_owned(),
            "recipeint",
            "did you mean `recipient`?",
        ),
        (
            "POST",
            "/v1/tickets".to_owned(),
            "filters",
            "did you mean `filter`?",
        ),
        (
            "POST",
            of_one("/rotate-secret"),
            "overlapHours",
            "did you mean `overlap_hours`?",
        ),
        (
            "POST",
            of_one("/disable"),
            "comment",
            "did you mean `reason`?",
        ),
        ("POST", of_one("/recover"), "from", "did you mean `since`?"),
        (
            "POST",
            of_one("/replay-missing"),
            "cursor",
            "did you mean `after`?",
        ),
    ] {
        let body = json!({ field: "x" }).to_string();
        let answer = ask(&stack, method, &path, &[], &body).await;
        assert_eq!(answer.error(), (400, "unknown_field".into()), "{path}");
        let message = answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            message.starts_with(&format!("unknown field `{field}`; ")),
            "{message}"
        );
        assert!(message.contains(hint), "{message}");
    }
    let answer = ask(&stack, "GET", "/v1/events?per_page=1", &[], "").await;
    assert_eq!(answer.error(), (400, "unknown_parameter".into()));
    assert!(answer.body.contains("`limit`"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_repeated_is_refused_on_every_way() {
    let stack = TestStack::start().await;
    let (endpoint, _) = made(&stack).await;
    for (method, path) in [
        ("GET", "/v1/events?filter=a&filter=b".to_owned()),
        ("GET", "/v1/events?limit=1&limit=1".to_owned()),
        ("GET", "/v1/events?wait=0&wait=0".to_owned()),
        ("GET", "/v1/events?wait=0&filter=a&filter=a".to_owned()),
        ("GET", "/v1/stream?filter=a&filter=b".to_owned()),
        ("GET", "/v1/stream?last=1&last=2".to_owned()),
        ("GET", "/v1/messages/m/events?limit=1&limit=2".to_owned()),
        ("GET", "/v1/endpoints?limit=1&limit=2".to_owned()),
        ("GET", "/v1/deliveries?limit=1&limit=2".to_owned()),
        (
            "GET",
            format!("/v1/endpoints/{endpoint}/attempts?limit=1&limit=2"),
        ),
        ("POST", format!("/v1/ingest/{endpoint}?type=a&type=b")),
    ] {
        let answer = ask(&stack, method, &path, &[], "{}").await;
        assert_eq!(answer.error(), (400, "repeated_parameter".into()), "{path}");
    }
    let ticket = stack.ticket();
    let url = |query: &str| format!("{}?ticket={ticket}{query}", stack.urls().ws);
    for query in ["&filter=type:open&filter=type:click", "&filter=a&filter=a"] {
        let refused = flows::Socket::open(&url(query)).await.err();
        assert_eq!(refused, Some(400), "{query}");
    }
    let twice = url(&format!("&ticket={ticket}"));
    assert_eq!(flows::Socket::open(&twice).await.err(), Some(400));
    let mut socket = flows::Socket::open(&url("&filter=type:open"))
        .await
        .unwrap();
    let message = r#"{"action":"subscribe","filter":"type:open","filter":"type:click"}"#;
    socket
        .send(tokio_tungstenite::tungstenite::Message::text(message))
        .await;
    assert_eq!(socket.hear().await.json["code"], "repeated_field");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_the_query_says_and_the_header_says_it_better() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..1)).await;
    stack.mandrill().deliver(sends(1..2)).await;
    let history = stack.history().await;
    let cursor = |n: usize| history[n]["cursor"].as_str().unwrap().to_owned();
    let (newest, oldest) = (cursor(0), cursor(1));
    let bearer = format!("Bearer {}", stack.urls().token);
    let bearer = ("authorization", bearer.as_str());
    let refused = async |query: String, headers: &[(&str, &str)]| {
        let path = format!("/v1/stream?{query}");
        let headers = [&[bearer], headers].concat();
        stack
            .http()
            .request(Method::GET, &path, &headers, "")
            .await
            .error()
    };
    let bad = (400, "bad_cursor".to_owned());
    for name in [
        "lastEventId",
        "Last-Event-ID",
        "last-event-id",
        "lastEventID",
    ] {
        assert_eq!(refused(format!("{name}=x"), &[]).await, bad, "{name}");
        // As the header does, it stands above what the URL says.
        let path = format!("/v1/stream?after={newest}&{name}={oldest}");
        let mut stream = Sse::open(stack.http(), &path, &[bearer]).await.unwrap();
        assert!(!stream.next_events(1).await.is_empty());
        // The library's own word is the newest.
        let header = [("last-event-id", "x")];
        assert_eq!(refused(format!("{name}={newest}"), &header).await, bad);
        // None is none.
        let path = format!("/v1/stream?{name}=");
        let mut stream = Sse::open(stack.http(), &path, &[bearer]).await.unwrap();
        stream.next_named("live").await;
    }
    let twice = refused(format!("lastEventId={newest}&Last-Event-ID={newest}"), &[]).await;
    assert_eq!(twice, (400, "repeated_parameter".to_owned()));
}

/// What the gateway answers to these lines before a socket opens: the head of the answer.
async fn handshake(stack: &TestStack, change: &str, to: &str) -> String {
    let url = stack.urls().ws.replace("ws://", "");
    let (host, path) = url.split_once('/').unwrap();
    let request = format!(
        "GET /{path}?ticket={} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        stack.ticket()
    );
    assert!(request.contains(change), "{change}");
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = request.replacen(change, to, 1);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.contains("\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        head.push(char::from(byte));
    }
    head.to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_of_another_version_is_told_which_one_there_is() {
    let stack = TestStack::start().await;
    let accepted = handshake(&stack, "13", "13").await;
    assert!(accepted.starts_with("http/1.1 101 "), "{accepted}");
    for (change, to) in [
        ("Version: 13", "Version: 8"),
        ("Version: 13", "Version: 25"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
    ] {
        let refused = handshake(&stack, change, to).await;
        assert!(refused.starts_with("http/1.1 426 "), "{to}: {refused}");
        assert!(
            refused.contains("sec-websocket-version: 13\r\n"),
            "{refused}"
        );
    }
    for to in ["", "Sec-WebSocket-Key: short\r\n"] {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let refused = handshake(&stack, key, to).await;
        assert!(refused.starts_with("http/1.1 400 "), "{to}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_media_type_is_as_good_as_one_with() {
    let stack = TestStack::start().await;
    for (method, path, expected) in PATHS {
        for headers in [
            &[][..],
            &[("content-type", "")],
            &[("content-type", "application/json")],
        ] {
            let answer = ask(&stack, method, path, headers, body_of(method, path)).await;
            assert!(
                expected.contains(&answer.status.as_u16()),
                "{method} {path} {headers:?}"
            );
            let has_body = !answer.body.is_empty();
            let is_named = !answer.header("content-type").is_empty();
            assert!(is_named || !has_body, "{method} {path}");
            assert!(
                has_body || answer.status != 204 || !is_named,
                "{method} {path}"
            );
        }
    }
}
