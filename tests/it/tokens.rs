//! Who is let in with which token, and for how long. What they then cannot see is in `attacks`.

use domain::{Millis, Rights, Scope, Scopes};
use flows::{DEADLINE, Http, Socket, TestStack, eventually, sends};
use platform::clock;
use reqwest::Method;
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

/// Rights for an hour.
pub(crate) fn rights(scopes: &[Scope], filter: &str, mask: bool) -> Rights {
    Rights {
        scopes: Scopes::of(scopes),
        filter: filter.parse().unwrap(),
        asked: domain::Filter::default(),
        mask,
        until: clock::now().plus(HOUR_MS),
    }
}

/// Asks for a ticket.
pub(crate) async fn ask_for_ticket(http: &Http, token: &str, body: &Value) -> flows::Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = body.to_string();
    http.request(Method::POST, "/v1/tickets", &headers, body)
        .await
}

/// The address of a socket, by a ticket for this token.
pub(crate) async fn socket_url(stack: &TestStack, token: &str, body: &Value) -> String {
    let answer = ask_for_ticket(stack.http(), token, body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["url"].as_str().unwrap().to_owned()
}

fn code(answer: &flows::Answer) -> (u16, String) {
    let code = answer.json()["error"]["code"].as_str().unwrap().to_owned();
    (answer.status.as_u16(), code)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why() {
    let stack = TestStack::start().await;
    let now = clock::now();
    let ended = Rights {
        until: now.minus(HOUR_MS),
        ..rights(&[Scope::Read], "", false)
    };
    let own = stack.urls().token.clone();
    let (head, signature) = own.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let cases = [
        (String::new(), 401, "unauthorized"),
        ("nonsense".to_owned(), 401, "unauthorized"),
        (format!("{head}.{flipped}"), 401, "unauthorized"),
        (head.to_owned(), 401, "unauthorized"),
        (stack.urls().token_key.clone(), 401, "unauthorized"),
        (stack.ticket(), 401, "unauthorized"),
        (stack.token(&ended), 401, "expired"),
        (
            stack.token(&rights(&[Scope::Write], "", false)),
            403,
            "forbidden",
        ),
        (
            stack.token(&rights(&[Scope::Endpoints], "", false)),
            403,
            "forbidden",
        ),
    ];
    for (token, status, expected) in cases {
        for path in ["/v1/events", "/v1/events/evt_x"] {
            let answer = stack.http().get(path, &token).await;
            assert_eq!(
                code(&answer),
                (status, expected.to_owned()),
                "{token} at {path}"
            );
            let asks = answer.headers.contains_key("www-authenticate");
            assert_eq!(asks, status == 401, "{token} at {path}");
        }
        let answer = ask_for_ticket(stack.http(), &token, &json!({})).await;
        assert_eq!(
            code(&answer),
            (status, expected.to_owned()),
            "{token} for a ticket"
        );
    }
    let other_schemes = ["", "Basic dTpw", "Bearer", "bearer"];
    for header in other_schemes {
        let headers = [("authorization", header)];
        let answer = stack
            .http()
            .request(Method::GET, "/v1/events", &headers, "")
            .await;
        assert_eq!(code(&answer), (401, "unauthorized".to_owned()), "{header}");
    }
    let bearer = format!("bearer {own}");
    let headers = [("authorization", bearer.as_str())];
    let answer = stack
        .http()
        .request(Method::GET, "/v1/events", &headers, "")
        .await;
    assert_eq!(answer.status, 200, "the scheme's case does not matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_carries_the_rights_of_its_token_onto_the_connection() {
    let stack = TestStack::start().await;
    let given = rights(&[Scope::Read, Scope::Write], "type:open,click", true);
    let token = stack.token(&given);
    let answer = ask_for_ticket(stack.http(), &token, &json!({ "filter": "-type:click" })).await;
    let ticket = answer.json();
    let until: jiff::Timestamp = ticket["expires_at"].as_str().unwrap().parse().unwrap();
    let left_ms = until.as_millisecond() - i64::try_from(clock::now().0).unwrap();
    assert!((0..=60_000).contains(&left_ms), "{left_ms}");
    let text = ticket["ticket"].as_str().unwrap();
    let url = ticket["url"].as_str().unwrap();
    assert_eq!(url, format!("{}?ticket={text}", stack.urls().ws));

    let _socket = Socket::open(url).await.unwrap();
    let rows = stack.items("ConnectionsTable").await;
    let filter = rows[0]["rights_filter"]["S"].as_str().unwrap();
    let until = rows[0]["rights_until"]["N"].as_str().unwrap();
    assert_eq!(filter.parse(), Ok(given.filter));
    // Kept apart, since it looks at events as they are masked.
    assert_eq!(rows[0]["rights_asked"]["S"], "-type:click");
    assert_eq!(rows[0]["rights_mask"]["BOOL"], true);
    // A token counts whole seconds.
    assert_eq!(until.parse(), Ok(given.until.as_secs() * 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_no_ticket() {
    let stack = TestStack::start().await;
    let url = format!("{}?ticket={}", stack.urls().ws, stack.urls().token);
    assert_eq!(Socket::open(&url).await.err(), Some(401));
    assert!(stack.connection_ids().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_ticket_that_cannot_be_read_is_refused_by_name() {
    let stack = TestStack::start().await;
    let token = &stack.urls().token;
    for (body, status, word) in [
        (json!({ "fliter": "" }), 400, "fliter"),
        (json!({ "filter": "colour:red" }), 400, "unknown field"),
        (json!({ "filter": 7 }), 400, "`filter` must be a string"),
        (json!([]), 400, ""),
        (json!("type:open"), 400, ""),
    ] {
        let answer = ask_for_ticket(stack.http(), token, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(answer.body.contains(word), "{body}: {}", answer.body);
    }
    // Alone each is short enough.
    let many = |field: &str| {
        let words = (0..40).map(|n| format!("-type:{field}{n}"));
        words.collect::<Vec<_>>().join(" ")
    };
    let filtered = stack.token(&rights(&[Scope::Read], &many("a"), false));
    let answer = ask_for_ticket(stack.http(), &filtered, &json!({ "filter": many("b") })).await;
    assert_eq!(code(&answer), (400, "bad_filter".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_a_ticket_is_one_that_a_socket_can_be_opened_with() {
    let stack = TestStack::start().await;
    let token = &stack.urls().token;
    // As long as a filter may be: plain, and so that nearly every sign has to be escaped.
    let plain = format!("type:{}", "x".repeat(2_043));
    let quotes = format!(r#"subject:"{}""#, r#"\""#.repeat(1_015));
    let url = socket_url(&stack, token, &json!({ "filter": plain })).await;
    assert!((2_700..=4_096).contains(&url.len()), "{}", url.len());
    Socket::open(&url).await.unwrap();
    let answer = ask_for_ticket(stack.http(), token, &json!({ "filter": quotes })).await;
    assert_eq!(code(&answer), (400, "bad_filter".to_owned()));
    assert!(answer.body.contains("4096"), "{}", answer.body);
    // Also when it is the token's.
    let filtered = stack.token(&rights(&[Scope::Read], &quotes, false));
    let answer = ask_for_ticket(stack.http(), &filtered, &json!({})).await;
    assert_eq!(code(&answer), (400, "bad_filter".to_owned()));

    let padded = |characters: usize| {
        let start = format!("{}&pad=", stack.socket_url());
        format!("{start}{}", "x".repeat(characters - start.len()))
    };
    Socket::open(&padded(4_096)).await.unwrap();
    assert_eq!(Socket::open(&padded(4_097)).await.err(), Some(414));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_retired_still_verifies_and_one_that_is_gone_does_not() {
    let stack = TestStack::start().await;
    let made_before = stack.token(&rights(&[Scope::Read], "", false));
    let old_key = stack.urls().token_key.clone();
    stack.change_secret(|secret| {
        secret["token_key"] = json!("a-new-key-of-more-than-thirty-two-bytes");
        secret["retired_token_keys"] = json!([old_key]);
    });
    let answer = stack.http().get("/v1/events", &made_before).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let other = TestStack::start().await;
    other.change_secret(|secret| {
        secret["token_key"] = json!("a-new-key-of-more-than-thirty-two-bytes");
    });
    let answer = other.http().get("/v1/events", &other.urls().token).await;
    assert_eq!(code(&answer), (401, "unauthorized".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_with_a_short_key_lets_nobody_in_and_says_so() {
    let stack = TestStack::start().await;
    stack.change_secret(|secret| secret["token_key"] = json!("short"));
    let answer = stack.http().get("/v1/events", &stack.urls().token).await;
    assert_eq!(code(&answer), (503, "unavailable".to_owned()));
}

/// Ends the rights of a connection.
pub(crate) async fn end_rights(stack: &TestStack, id: &str) {
    let rows = stack.items("ConnectionsTable").await;
    let mut row = rows.into_iter().find(|row| row["sk"]["S"] == id).unwrap();
    row["rights_until"] = json!({ "N": clock::now().0.to_string() });
    let request = json!({ "TableName": stack.table("ConnectionsTable"), "Item": row });
    stack.dynamo("PutItem", request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_rights_have_ended_is_closed_when_it_speaks() {
    let stack = TestStack::start().await;
    for message in [
        json!({ "action": "ping" }),
        json!({ "action": "resume", "last": 10 }),
        json!({ "action": "subscribe" }),
    ] {
        let mut socket = stack.connect().await;
        end_rights(&stack, socket.id()).await;
        socket.say(message).await;
        assert_eq!(socket.closed().await, 1000);
    }
}

/// Also right of `push`: nothing else would close a client that only listens.
pub(crate) async fn push_closes_who_has_no_rights_any_more(stack: &TestStack) {
    let mut socket = stack.connect().await;
    let id = socket.id().to_owned();
    end_rights(stack, &id).await;
    // The list of connections that `push` has may be a second old.
    let mut number = 9_000;
    eventually(DEADLINE, async || {
        number += 1;
        stack.mandrill().deliver(sends(number..number + 1)).await;
        let is_open = stack.sockets().ids().contains(&id);
        (!is_open).then_some(()).ok_or("it is open".to_owned())
    })
    .await;
    socket.hear_close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_rights_have_ended_is_closed_by_the_next_event() {
    let stack = TestStack::start().await;
    push_closes_who_has_no_rights_any_more(&stack).await;
    eventually(DEADLINE, async || {
        let rows = stack.connection_ids().await;
        rows.is_empty().then_some(()).ok_or(format!("{rows:?}"))
    })
    .await;
}

/// A connection whose rights end soon, and when; with more time, if they ended before it was there.
async fn connected_for_a_while(stack: &TestStack) -> (Millis, Socket) {
    for seconds in [3, 6, 12, 24] {
        let until = Millis((clock::now().as_secs() + seconds) * 1_000);
        let short = Rights {
            until,
            ..rights(&[Scope::Read], "", false)
        };
        let ticket = ask_for_ticket(stack.http(), &stack.token(&short), &json!({})).await;
        let ticket = ticket.json();
        let Some(url) = ticket["url"].as_str() else {
            continue;
        };
        if let Ok(socket) = Socket::open(url).await {
            return (until, socket);
        }
    }
    panic!("connecting takes longer than any of these rights last")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_stored_after_the_rights_end_is_pushed() {
    let stack = TestStack::start().await;
    let (until, mut socket) = connected_for_a_while(&stack).await;
    let mut number = 0;
    eventually(DEADLINE, async || {
        number += 1;
        stack.mandrill().deliver(sends(number..number + 1)).await;
        let is_open = !stack.sockets().ids().is_empty();
        (!is_open)
            .then_some(())
            .ok_or(format!("open after {number}"))
    })
    .await;
    for message in socket.hear_close().await {
        for event in message.events() {
            let at: jiff::Timestamp = event["received_at"].as_str().unwrap().parse().unwrap();
            assert!(
                at.as_millisecond() < i64::try_from(until.0).unwrap(),
                "{event}"
            );
        }
    }
}
