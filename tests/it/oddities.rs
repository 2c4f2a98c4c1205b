//! One odd event never fails its batch, and every event is given back as it was received.

use std::collections::HashMap;

use flows::{Message, TestStack, batch, noise, send, sends};
use serde_json::value::RawValue;
use serde_json::{Value, json};

type RawEvent = HashMap<String, Box<RawValue>>;

/// All events as they stand in the answer, unparsed: some are beyond what a parser takes.
async fn raw_history(stack: &TestStack) -> Vec<RawEvent> {
    let answer = stack
        .http()
        .get("/v1/events?limit=1000", &stack.urls().token)
        .await;
    assert_eq!(answer.status, 200);
    let page: HashMap<String, Box<RawValue>> = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(page["next"].get(), "null");
    serde_json::from_str(page["events"].get()).unwrap()
}

fn with_data<'e>(events: &'e [RawEvent], data: &str) -> &'e RawEvent {
    let found = events.iter().find(|event| event["data"].get() == data);
    found.unwrap_or_else(|| panic!("there is no event with {data:.200}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_event_is_stored_as_what_it_is_and_disturbs_nobody() {
    let stack = TestStack::start().await;
    let deep = format!(
        r#"{{"event":"open","msg":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let long = format!(r#"{{"event":"{}"}}"#, "k".repeat(5_000));
    let odd = [
        ("null", "unknown"),
        ("7", "unknown"),
        ("true", "unknown"),
        (r#""text""#, "unknown"),
        ("[[1],2]", "unknown"),
        ("{}", "unknown"),
        (r#"{"event":null}"#, "unknown"),
        (r#"{"event":{"event":"send"}}"#, "unknown"),
        (r#"{"event":"not one word"}"#, "unknown"),
        (r#"{"event":"brand_new_kind","new":1}"#, "brand_new_kind"),
        (
            r#"{"event":"open","ts":1e999,"_id":7,"msg":"text"}"#,
            "open",
        ),
        (r#"{"event":"open","ts":-1,"msg":[]}"#, "open"),
        (
            r#"{"event":"click","msg":{"subject":"\ud800 alone","email":"\udfff"}}"#,
            "click",
        ),
        (
            r#"{"event":"send","event":"spam","_id":"a","_id":"b"}"#,
            "send",
        ),
        (
            r#"{"event":"open","msg":{"email":"a\u0000b@example.net","tags":[null,{}]}}"#,
            "open",
        ),
        (&long, "unknown"),
        (&deep, "open"),
    ];
    let mut events = vec![send(0)];
    for (n, (text, _)) in odd.iter().enumerate() {
        events.extend([(*text).to_owned(), send(n + 1)]);
    }
    stack.mandrill().deliver(batch(&events)).await;

    let stored = raw_history(&stack).await;
    assert_eq!(stored.len(), events.len());
    for n in 0..=odd.len() {
        let subject = &with_data(&stored, &send(n))["subject"];
        assert_eq!(subject.get(), format!("\"Test {n}\""));
    }
    for (text, kind) in odd {
        let found = with_data(&stored, text)["type"].get();
        let is_first_or_last = matches!((found, text), ("\"spam\"", text) if text.contains("spam"));
        assert!(
            found == format!("\"{kind}\"") || is_first_or_last,
            "{found} for {text:.200}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_no_json_is_kept_as_text() {
    let stack = TestStack::start().await;
    let broken: [&[u8]; 3] = [
        br#"{"event":send}"#,
        b"{\"event\":\"open\",\"msg\":{\"subject\":\"a raw\nnewline\"}}",
        br#"{"event":"click","_id":"x" "ts":1}"#,
    ];
    let latin = b"{\"event\":\"bounced\",\"msg\":{\"subject\":\"gr\xfc\xdfe\"}}";
    let mut events = b"[".to_vec();
    for (n, text) in broken.iter().copied().chain([&latin[..]]).enumerate() {
        events.extend_from_slice(send(n).as_bytes());
        events.push(b',');
        events.extend_from_slice(text);
        events.push(b',');
    }
    events.extend_from_slice(send(4).as_bytes());
    events.push(b']');
    stack.mandrill().deliver(&events).await;

    let stored = raw_history(&stack).await;
    assert_eq!(stored.len(), 9);
    for n in 0..5 {
        assert_eq!(with_data(&stored, &send(n))["type"].get(), "\"send\"");
    }
    for text in broken {
        let text = Value::from(std::str::from_utf8(text).unwrap()).to_string();
        assert_eq!(with_data(&stored, &text)["type"].get(), "\"unknown\"");
    }
    // The rest of it is JSON, with the usual sign in the place of what is no UTF-8.
    let repaired = String::from_utf8_lossy(latin);
    assert_eq!(with_data(&stored, &repaired)["type"].get(), "\"bounced\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_ends_in_the_middle_is_stored_as_far_as_it_goes() {
    let stack = TestStack::start().await;
    let whole = sends(0..3);
    stack.mandrill().deliver(&whole[..whole.len() - 10]).await;
    let stored = raw_history(&stack).await;
    assert_eq!(stored.len(), 3);
    assert_eq!(with_data(&stored, &send(1))["type"].get(), "\"send\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_is_given_back_byte_for_byte() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let answer = socket
        .ask(json!({ "action": "subscribe", "data": true }))
        .await;
    assert_eq!(answer.kind(), "subscribed");
    let exact = [
        r#"{"z":1,"a":2,"event":"open","ts":1795300000.0,"_id":"one","msg":{ "b" : [ 1.50 , 1E+2,-0 ] }}"#,
        r#"{"event":"click","_id":"two","url":"https:\/\/example.com\/\u00fc?a=1&b=<>","n":123456789012345678901234567890}"#,
        "{\"event\":\"send\",\n\t\"_id\":\"three\",\r\n \"msg\":{\"subject\":\"Grüße 📦\\ud83d\\udce6\",\"a\":1,\"a\":2}}",
    ];
    stack.mandrill().deliver(batch(exact)).await;
    let stored = raw_history(&stack).await;
    for text in exact {
        with_data(&stored, text);
    }
    let mut left = exact.len();
    let heard = socket
        .hear_until("three events", |message: &Message| {
            left -= message.events().len();
            left == 0
        })
        .await;
    for text in exact {
        let is_in =
            |message: &Message| message.text.contains(&format!(r#""data":{text},"cursor""#));
        assert!(heard.iter().any(is_in), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_a_message_is_pushed_without_what_makes_it_so() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    socket
        .ask(json!({ "action": "subscribe", "data": true }))
        .await;
    let inbound = |id: &str, subject: &str, bytes: usize| {
        let raw = noise(bytes);
        format!(
            r#"{{"event":"{id}","_id":"{id}","msg":{{"subject":"{subject}","raw_msg":"{raw}"}}}}"#
        )
    };
    let (fits, large) = (inbound("fits", "s", 60_000), inbound("large", "s", 200_000));
    let long = inbound("long", &"y".repeat(200_000), 10);
    stack
        .mandrill()
        .deliver(batch([&fits, &large, &long]))
        .await;

    let mut left = 3;
    let heard = socket
        .hear_until("three events", |message| {
            left -= message.events().len();
            left == 0
        })
        .await;
    let mut pushed = HashMap::new();
    for message in &heard {
        assert!(message.text.len() <= 128 * 1024, "{}", message.text.len());
        for event in message.events() {
            pushed.insert(event["type"].as_str().unwrap(), event);
        }
    }
    assert!(pushed["fits"]["data"].is_object() && pushed["fits"]["truncated"].is_null());
    assert_eq!(
        (&pushed["large"]["data"], &pushed["large"]["truncated"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(pushed["large"]["subject"], "s");
    let cut = "y".repeat(domain::event::FIELD_BYTES);
    assert_eq!(
        (&pushed["long"]["subject"], &pushed["long"]["truncated"]),
        (&json!(cut), &json!(true))
    );
    // What was received is kept whole.
    let stored = stack.history().await;
    assert!(stored.iter().all(|event| event["data"].is_object()));
    let cut: Vec<_> = stored
        .iter()
        .filter(|event| event["truncated"] == true)
        .collect();
    assert_eq!((cut.len(), &cut[0]["type"]), (1, &json!("long")));
}
