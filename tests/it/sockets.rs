//! The WebSocket API as a client meets it.

use std::collections::BTreeSet;

use flows::{DEADLINE, Socket, TestStack, eventually, sends};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_valid_ticket() {
    let stack = TestStack::start().await;
    let ws = &stack.urls().ws;
    for query in ["", "?ticket=", "?ticket=wrong", "?token=x"] {
        let refused = Socket::open(&format!("{ws}{query}")).await;
        assert_eq!(refused.err(), Some(401), "{query}");
    }
    assert!(stack.connection_ids().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_filter_in_the_address_is_refused() {
    let stack = TestStack::start().await;
    for filter in ["colour:red", "type:", "type:(open)", "-"] {
        let refused = Socket::open(&format!("{}&filter={filter}", stack.socket_url())).await;
        assert_eq!(refused.err(), Some(400), "{filter}");
    }
    assert!(stack.connection_ids().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_is_forgotten_and_the_others_stay() {
    let stack = TestStack::start().await;
    let (first, second) = (stack.connect().await, stack.connect().await);
    let id = second.id().to_owned();
    first.close().await;
    eventually(DEADLINE, async || {
        let rows = stack.connection_ids().await;
        let is_alone = rows == BTreeSet::from([id.clone()]);
        is_alone.then_some(()).ok_or(format!("{rows:?}"))
    })
    .await;
    drop(second);
    eventually(DEADLINE, async || {
        let rows = stack.connection_ids().await;
        rows.is_empty().then_some(()).ok_or(format!("{rows:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_answered_and_the_connection_stays() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let cases = [
        ("nonsense", "bad_json"),
        ("[]", "bad_json"),
        ("7", "bad_json"),
        (r#"{"action":"#, "bad_json"),
        ("{}", "unknown_action"),
        (r#"{"action":"dance"}"#, "unknown_action"),
        (r#"{"action":null}"#, "unknown_action"),
        (
            r#"{"action":"subscribe","filter":"colour:red"}"#,
            "bad_filter",
        ),
        (
            r#"{"action":"subscribe","filter":"type:\"open"}"#,
            "bad_filter",
        ),
        (
            r#"{"action":"subscribe","fliter":"type:open"}"#,
            "bad_request",
        ),
        (r#"{"action":"subscribe","filter":7}"#, "bad_request"),
        (r#"{"action":"ping","extra":1}"#, "bad_request"),
        (r#"{"action":"resume"}"#, "bad_request"),
        (r#"{"action":"resume","last":0}"#, "bad_request"),
        (r#"{"action":"resume","last":1001}"#, "bad_request"),
        (
            r#"{"action":"resume","last":1,"cursor":"x"}"#,
            "bad_request",
        ),
        (r#"{"action":"resume","cursor":"x"}"#, "bad_cursor"),
    ];
    for (text, code) in cases {
        socket.send(Message::text(text)).await;
        let answer = socket.hear().await;
        assert_eq!(
            (answer.kind(), &answer.json["code"]),
            ("error", &json!(code)),
            "{text}"
        );
        assert!(answer.json["message"].is_string(), "{}", answer.text);
    }
    socket
        .send(Message::text(r#"{"action":"subscribe","fliter":""}"#))
        .await;
    assert!(socket.hear().await.text.contains("fliter"));
    assert_eq!(
        socket.ask(json!({ "action": "ping" })).await.text,
        r#"{"type":"pong"}"#
    );
    stack.mandrill().deliver(sends(0..1)).await;
    assert_eq!(socket.hear_events(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_row_is_closed_when_it_speaks() {
    let stack = TestStack::start().await;
    for message in [
        json!({ "action": "ping" }),
        json!({ "action": "resume", "last": 1 }),
        json!(1),
    ] {
        let mut socket = stack.connect().await;
        let rows = stack.items("ConnectionsTable").await;
        let row = rows
            .iter()
            .find(|row| row["sk"]["S"] == socket.id())
            .unwrap();
        let key = json!({ "pk": row["pk"], "sk": row["sk"] });
        let request = json!({ "TableName": stack.table("ConnectionsTable"), "Key": key });
        stack.dynamo("DeleteItem", request).await;
        socket.say(message).await;
        assert_eq!(socket.closed().await, 1000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_frame_closes_the_connection() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    socket.send(Message::binary(r#"{"action":"ping"}"#)).await;
    assert_eq!(socket.closed().await, 1003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_over_32_kb_closes_the_connection() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    socket.send(Message::text("x".repeat(32 * 1024))).await;
    assert_eq!(socket.hear().await.json["code"], "bad_json");
    socket.send(Message::text("x".repeat(32 * 1024 + 1))).await;
    assert_eq!(socket.closed().await, 1009);
}

/// Sends a message in this many frames of 32 KB; false when the server has closed before its end.
async fn send_in_frames(socket: &mut Socket, frames: usize) -> bool {
    for frame in 0..frames {
        let opcode = if frame == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let is_last = frame + 1 == frames;
        let frame = Frame::message(vec![b'x'; 32 * 1024], OpCode::Data(opcode), is_last);
        if socket.try_send(Message::Frame(frame)).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_128_kb_closes_the_connection() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    assert!(send_in_frames(&mut socket, 4).await);
    assert_eq!(socket.hear().await.json["code"], "bad_json");
    send_in_frames(&mut socket, 5).await;
    assert_eq!(socket.closed().await, 1009);
}
