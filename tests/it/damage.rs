//! Batches that are damaged, endless or deep: everything is stored, and nobody is in the way.

use std::collections::HashMap;

use domain::event::{FIELD_BYTES, METADATA_LEVELS};
use flows::{TestStack, batch, noise, send};
use serde_json::json;
use serde_json::value::RawValue;

fn nested(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_number_of_elements_is_stored() {
    let stack = TestStack::start().await;
    let elements = format!("[{}{}]", "7,".repeat(50_000), send(0));
    stack.mandrill().deliver(&elements).await;
    let stored = stack.history().await;
    assert_eq!(stored.len(), mandrill::MAX_EVENTS + 1);
    let rest = stored
        .iter()
        .find_map(|event| event["data"].as_str())
        .unwrap();
    assert!(rest.starts_with("7,7,") && rest.ends_with(&send(0)));
    let elements = rest.matches("7,").count() + mandrill::MAX_EVENTS;
    assert_eq!(elements, 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_damaged_everywhere_is_stored_with_what_is_whole_in_it() {
    let stack = TestStack::start().await;
    let long = noise(3_000);
    let damaged = format!(r#"{{"event":["open","{long}"#);
    let events = (0..300).map(|n| format!("{},{damaged}", send(n)));
    let text = batch(events);
    stack.mandrill().deliver(&text).await;
    let stored = stack.history().await;
    let whole = stored
        .iter()
        .filter(|event| event["type"] == "send")
        .count();
    assert_eq!((whole, stored.len()), (300, 600));
    let bytes: usize = stored
        .iter()
        .filter_map(|event| event["data"].as_str())
        .map(str::len)
        .sum();
    assert!(bytes >= 300 * damaged.len(), "{bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_any_depth_is_stored_whole_with_its_metadata_bounded() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    for levels in [1_000, 3_000, 100_000] {
        let deep = format!(
            r#"{{"event":"open","_id":"m{levels}","ts":1795300000,"deep":{0},"msg":{{"email":"a@example.net","metadata":{0},"tags":["t"]}}}}"#,
            nested(levels)
        );
        stack
            .mandrill()
            .deliver(batch([&send(levels), &deep, &send(levels + 1)]))
            .await;
        let heard = socket.hear_events(3).await;
        let event = heard.iter().find(|event| event["type"] == "open").unwrap();
        assert_eq!(
            (&event["recipient"], &event["truncated"]),
            (&json!("a@example.net"), &json!(true))
        );
        // What is longer than metadata may be is left out.
        let path = "/a".repeat(METADATA_LEVELS);
        let text = event["metadata"]
            .pointer(&path)
            .map(|value| value.as_str().unwrap().to_owned());
        let fits = levels < 3_000;
        assert_eq!(
            text,
            fits.then(|| nested(levels - METADATA_LEVELS)),
            "{levels}"
        );

        let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
        let answer = stack.http().get(&path, &stack.urls().token).await;
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(fields["data"].get(), deep);
    }
    let page = stack.http().get("/v1/events", &stack.urls().token).await;
    let page: HashMap<String, Box<RawValue>> = serde_json::from_str(&page.body).unwrap();
    let events: Vec<&RawValue> = serde_json::from_str(page["events"].get()).unwrap();
    assert_eq!(events.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_fields_are_cut_and_their_event_says_so() {
    let stack = TestStack::start().await;
    let long = "ü".repeat(FIELD_BYTES);
    let event = json!({
        "event": "click", "_id": "m", "ts": 1_795_300_000, "url": long, "user_agent": long,
        "msg": {
            "email": long, "subject": long, "diag": long, "tags": vec!["ü".repeat(300); 150],
            "metadata": { "k": long.repeat(10) }, "template": "short",
        },
    });
    stack.mandrill().deliver(batch([event.to_string()])).await;
    let stored = stack.history().await.remove(0);
    let cut = "ü".repeat(FIELD_BYTES / 2);
    for field in [
        "/subject",
        "/recipient",
        "/detail/url",
        "/detail/user_agent",
        "/detail/diag",
    ] {
        assert_eq!(stored.pointer(field).unwrap(), &json!(cut), "{field}");
    }
    assert_eq!(
        (&stored["template"], &stored["metadata"]),
        (&json!("short"), &json!({}))
    );
    assert_eq!(
        stored["tags"].as_array().unwrap().len(),
        domain::event::TAGS
    );
    assert_eq!(
        (&stored["truncated"], &stored["data"]),
        (&json!(true), &event)
    );
}

/// The status of what is sent as it stands.
async fn raw(stack: &TestStack, request: &[u8]) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let url = stack.webhook();
    let address = url
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_request_is_answered_with_a_failure_of_ours() {
    let stack = TestStack::start().await;
    let hosts =
        ["<>", "a b", "[::1", "%", "ü", "a:b:c", "\"", "\u{1}"].map(|s| s.as_bytes().to_vec());
    let bytes = (0..=255_u8).map(|byte| vec![b'a', byte, b'b']);
    for odd in bytes.chain(hosts) {
        let odd = odd.as_slice();
        let named = |name: &str| [name.as_bytes(), b": ", odd, b"\r\n"].concat();
        for (path, host, header) in [
            (&b"/mandrill"[..], odd, Vec::new()),
            (b"/mandrill", b"localhost", named("X-Forwarded-Proto")),
            (b"/mandrill", b"localhost", named("X-Forwarded-Port")),
            (&[b"/mandrill?q=", odd].concat(), b"localhost", Vec::new()),
            (&[b"/mandrill", odd].concat(), b"localhost", Vec::new()),
        ] {
            let request = [
                b"POST ", path, b" HTTP/1.1\r\nHost: ", host, b"\r\n", &header[..],
                b"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1\r\n\r\nx",
            ]
            .concat();
            let status = raw(&stack, &request).await;
            assert!(
                status < 500,
                "{status} for {:?}",
                String::from_utf8_lossy(&request)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_over_an_odd_query_is_verified_as_the_query_came() {
    let stack = TestStack::start_with(|options| {
        options.local.allow_hosts = vec!["hooks.example.com".to_owned()];
    })
    .await;
    let mut key = String::new();
    stack.change_secret(|secret| {
        key = secret["webhook_keys"][0]["key"]
            .as_str()
            .unwrap()
            .to_owned();
    });
    let query = "a=%3c&b=%zz&c=^`{|}'[]\\&&%";
    let body = "mandrill_events=%5B7%5D";
    let form = mandrill::Form::parse(body.as_bytes());
    let url = format!("https://hooks.example.com/mandrill?{query}");
    let signature = mandrill::sign(key.as_bytes(), &url, &form);
    let request = format!(
        "POST /mandrill?{query} HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: close\r\n\
         X-Mandrill-Signature: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(raw(&stack, request.as_bytes()).await, 200);
    assert_eq!(stack.history().await.len(), 1);
}
