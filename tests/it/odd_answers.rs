//! What endpoints answer beside what the standards allow, and what the API says of it.

use flows::{Receiver, Reply, TestStack};
use serde_json::{Value, json};

use crate::deliver::{disabled, endpoint, publish, settled, wait_until_idle};
use crate::endpoints::{created, get, path};

/// Heads after a status line, as servers and proxies have sent them.
fn odd_heads() -> [(&'static str, String); 10] {
    let text = |text: &str| text.to_owned();
    [
        ("/many", "x-field: 1\r\n".repeat(120) + "\r\n"),
        ("/folded", text("x-a: 1\r\n 2\r\n\r\n")),
        ("/space", text("x-a : 1\r\n\r\n")),
        ("/name", text("x a: 1\r\n\r\n")),
        ("/colon", text("nonsense\r\n\r\n")),
        ("/bytes", text("x-a: \0\u{1}\r\n\r\n")),
        (
            "/lengths",
            text("content-length: 1\r\ncontent-length: 2\r\n\r\n"),
        ),
        ("/length", text("content-length: x\r\n\r\n")),
        ("/coding", text("transfer-encoding: x\r\n\r\n")),
        ("/cut", text("x-a: 1\r\nx")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_2xx_has_taken_the_event_whatever_follows() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let mut endpoints = Vec::new();
    for (at, head) in odd_heads() {
        receiver.reply(at, Reply::raw(format!("HTTP/1.1 200 OK\r\n{head}")));
        endpoints.push((at, endpoint(&stack, &receiver, at, &[1]).await));
    }
    let event = publish(&stack, "a", "1").await;
    for (at, endpoint) in &endpoints {
        let delivery = settled(&stack, &event, endpoint, "delivered").await;
        let attempts = &delivery["attempts"];
        assert_eq!(attempts.as_array().unwrap().len(), 1, "{at}");
        assert_eq!(
            (&attempts[0]["status"], &attempts[0]["error"]),
            (&json!(200), &Value::Null),
            "{at}"
        );
    }
    // The health of an endpoint follows after its delivery.
    wait_until_idle(&stack).await;
    for (at, endpoint) in &endpoints {
        let endpoint = get(&stack, &path(endpoint, "")).await;
        assert_eq!(endpoint["health"]["state"], "ok", "{at}");
    }
    assert_eq!(receiver.received().len(), endpoints.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_says_what_was_there_in_place_of_an_answer() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    receiver.reply("/other", Reply::raw("SSH-2.0-OpenSSH_9.2p1\r\n"));
    receiver.reply("/nothing", Reply::close());
    let other = endpoint(&stack, &receiver, "/other", &[]).await;
    let nothing = endpoint(&stack, &receiver, "/nothing", &[]).await;
    // A server of HTTP answers a TLS greeting with 400.
    let url = format!("{}/", stack.urls().http.replace("http:", "https:"));
    let plain = created(&stack, &json!({ "url": url, "retry_schedule": [] })).await;
    let event = publish(&stack, "a", "1").await;
    for (endpoint, error, tls) in [
        (&other, "not_http", json!([])),
        (&nothing, "reset", json!([])),
        (&plain, "tls", json!(["not_tls"])),
    ] {
        let delivery = settled(&stack, &event, endpoint, "failed").await;
        let attempt = &delivery["attempts"][0];
        assert_eq!((&attempt["error"], &attempt["tls"]), (&json!(error), &tls));
        assert_eq!(attempt["status"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_with_an_odd_head_is_its_status() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let gone = "HTTP/1.1 410 Gone\r\nnonsense\r\ncontent-length: x\r\n\r\n";
    receiver.reply("/gone", Reply::raw(gone));
    let endpoint = endpoint(&stack, &receiver, "/gone", &[60]).await;
    let event = publish(&stack, "a", "1").await;
    let delivery = settled(&stack, &event, &endpoint, "failed").await;
    assert_eq!(delivery["attempts"][0]["status"], 410);
    disabled(&stack, &endpoint, "gone").await;
}
