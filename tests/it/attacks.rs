//! What the holder of a filtered or a masked token tries, to see more than they may: over every
//! route and with every message that there is. Whatever comes back is searched for what is hidden.

use std::collections::BTreeSet;

use domain::Scope;
use flows::{Socket, TestStack, batch, ids};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::tokens::{ask_for_ticket, rights, socket_url};

/// Only the holder of another token may find this word.
const HIDDEN: &str = "canary";
/// Filters that ask for more than a token for `type:open` lets be seen.
const WIDER: [&str; 12] = [
    "",
    "type:*",
    "type:click",
    "type:open,click,send",
    "-type:open",
    "source:mandrill",
    "recipient:*",
    "subject:a",
    "a",
    "meta.who:*",
    "tag:* url:*",
    "-message:x",
];
/// Filters that would tell a masked holder what is masked.
const PRIVATE: [&str; 10] = [
    "recipient:*@example.net",
    "-recipient:x*",
    "sender:*",
    "subject:hello",
    "url:*",
    "meta.who:*",
    "hello",
    "type:open recipient:*",
    "message:mixed",
    "-message:*canary*",
];

/// An event about this message with everything in it that an event can have.
fn event(kind: &str, message: &str, word: &str) -> String {
    json!({
        "event": kind, "ts": 1_795_300_000, "_id": message, "ip": "203.0.113.77",
        "url": format!("https://{word}:{word}@shop.example/u/{word}%40example.net?q={word}#{word}"),
        "user_agent": format!("agent {word}@example.net 2001:db8::77"),
        "location": { "country_short": "DE", "city": word },
        "msg": {
            "_id": message, "email": format!("{word}@example.net"), "sender": format!("{word}@example.com"),
            "subject": format!("hello {word}@example.net"), "tags": [format!("{word}@example.org")],
            "metadata": { "who": word }, "template": "t", "subaccount": "s", "diag": word,
            "bounce_description": "general",
        },
    })
    .to_string()
}

/// Three events that a token for `type:open` may see, and four that it may not.
async fn stack_with_both() -> TestStack {
    // Every attempt walks through all days that are kept.
    let short = ("RetentionDays".to_owned(), "1".to_owned());
    let stack = TestStack::start_with(|options| options.local.parameters.extend([short])).await;
    let seen = (0..3).map(|n| event("open", &format!("seen-{n}"), "visible"));
    let hidden = ["send", "click", "hard_bounce", "canary_kind"];
    let hidden = hidden.map(|kind| event(kind, &format!("hidden-{HIDDEN}"), HIDDEN));
    // One message has some of both.
    let mixed = event("open", "mixed", "visible");
    let mixed = [mixed, event("click", "mixed", HIDDEN)];
    let all = seen.chain(hidden).chain(mixed);
    stack.mandrill().deliver(batch(all)).await;
    stack
}

/// What was tried, and what came back.
struct Tried {
    what: String,
    status: u16,
    text: String,
}

impl Tried {
    fn over_socket(what: String, text: String) -> Tried {
        let status = 101;
        Tried { what, status, text }
    }
}

/// Everything that can be asked over HTTP about these events.
async fn over_http(
    stack: &TestStack,
    token: &str,
    events: &[Value],
    filters: &[&str],
) -> Vec<Tried> {
    let mut paths: Vec<String> = ["/v1/event-types", "/v1/messages/mixed/events"]
        .map(str::to_owned)
        .into();
    for filter in filters {
        let filter = encoded(filter);
        paths.push(format!("/v1/events?limit=1000&filter={filter}"));
        paths.push(format!("/v1/events?limit=1&filter={filter}&filter="));
    }
    paths.extend(["/v1/endpoints", "/v1/deliveries"].map(str::to_owned));
    for event in events {
        let text = |name: &str| encoded(event[name].as_str().unwrap());
        let (id, message, cursor) = (text("id"), text("message_id"), text("cursor"));
        paths.push(format!("/v1/events/{id}"));
        paths.push(format!("/v1/events/{id}/deliveries"));
        paths.push(format!("/v1/messages/{message}/events"));
        for query in [
            format!("before={cursor}"),
            format!("after={cursor}"),
            format!("after={cursor}&wait=0"),
            format!("from={}", text("received_at")),
            format!("to={}", text("received_at")),
            format!("limit=1&before={cursor}"),
        ] {
            paths.push(format!("/v1/events?{query}"));
        }
    }
    let mut tried = Vec::new();
    for path in paths {
        let answer = stack.http().get(&path, token).await;
        tried.push(Tried {
            what: path,
            status: answer.status.as_u16(),
            text: answer.body,
        });
    }
    tried
}

fn encoded(text: &str) -> String {
    let all = percent_encoding::NON_ALPHANUMERIC;
    percent_encoding::utf8_percent_encode(text, all).to_string()
}

/// Everything that connections can ask: one that changes its filter again and again, and one for
/// each ticket and address that asks for more.
async fn over_sockets(
    stack: &TestStack,
    token: &str,
    events: &[Value],
    filters: &[&str],
) -> Vec<Tried> {
    let beginning = domain::Position::start_of(domain::Millis(0));
    let hidden = events.iter().find(|event| event["type"] != "open").unwrap();
    let resumes = [
        json!({ "action": "resume", "cursor": stack.cursors().cursor_at(beginning) }),
        json!({ "action": "resume", "cursor": hidden["cursor"] }),
        json!({ "action": "resume", "last": 1000 }),
    ];
    let plain = socket_url(stack, token, &json!({})).await;
    let mut socket = Socket::open(&plain).await.unwrap();
    let mut tried = Vec::new();
    for (number, filter) in filters.iter().enumerate() {
        let subscribe = json!({ "action": "subscribe", "filter": filter, "data": true });
        let mut text = said(&mut socket, &[&[subscribe], &resumes[1..]].concat()).await;
        // And what is pushed from now on.
        let (seen, hidden) = (
            format!("seen-live-{number}"),
            format!("hidden-live-{number}"),
        );
        let more = [
            event("click", &hidden, HIDDEN),
            event("open", &seen, "visible"),
        ];
        stack.mandrill().deliver(batch(more)).await;
        stack.wait_until_pushed().await;
        text.extend(socket.drain().await.into_iter().map(|message| message.text));
        tried.push(Tried::over_socket(
            format!("subscribing to {filter:?}"),
            text,
        ));

        let ticket = ask_for_ticket(stack.http(), token, &json!({ "filter": filter })).await;
        let ticket = ticket.json()["url"].as_str().map(str::to_owned);
        let addresses = [ticket, Some(format!("{plain}&filter={}", encoded(filter)))];
        for address in addresses.into_iter().flatten() {
            let Ok(mut socket) = Socket::open(&address).await else {
                continue;
            };
            let text = said(&mut socket, &resumes[2..]).await;
            tried.push(Tried::over_socket(
                format!("an address for {filter:?}"),
                text,
            ));
        }
    }
    tried.push(Tried::over_socket(
        "from the beginning".to_owned(),
        said(&mut socket, &resumes).await,
    ));
    tried
}

/// What a connection hears until each of these messages has its answer.
async fn said(socket: &mut Socket, messages: &[Value]) -> String {
    let mut text = String::new();
    for message in messages {
        socket.send(Message::text(message.to_string())).await;
        let heard = socket.hear_until("an answer", |message| message.kind() != "events");
        text.extend(heard.await.into_iter().map(|message| message.text));
    }
    text
}

/// Nothing that came back has any of these words in it.
fn assert_hidden(tried: &[Tried], words: &BTreeSet<String>) {
    for Tried { what, status, text } in tried {
        assert!(*status < 500, "{what}: {status} {text}");
        let text = text.to_lowercase();
        for word in words {
            assert!(
                !text.contains(&word.to_lowercase()),
                "{what} tells {word}: {text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_token_sees_nothing_else_by_any_way() {
    let stack = stack_with_both().await;
    let events = stack.history().await;
    assert_eq!(events.len(), 9);
    let (seen, hidden): (Vec<_>, Vec<_>) = events
        .iter()
        .cloned()
        .partition(|event| event["type"] == "open");
    let token = stack.token(&rights(&[Scope::Read, Scope::Write], "type:open", false));
    let mut words = ids(&hidden);
    words.insert(HIDDEN.to_owned());

    // The paths have the hidden message's name in them, which an answer may repeat.
    let mut tried = over_http(&stack, &token, &events, &WIDER).await;
    tried.extend(over_sockets(&stack, &token, &events, &WIDER).await);
    assert_hidden(&tried, &words);
    for event in &hidden {
        let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
        let answer = stack.http().get(&path, &token).await;
        let unknown = stack
            .http()
            .get(
                "/v1/events/evt_000000000000000000000000000000000000000",
                &token,
            )
            .await;
        assert_eq!(
            (answer.status, &answer.body),
            (unknown.status, &unknown.body)
        );
        assert_eq!(answer.status, 404);
    }
    // It sees its own, or the test would find nothing anywhere.
    let page = stack.http().get("/v1/events", &token).await.json();
    assert!(ids(page["events"].as_array().unwrap()).is_superset(&ids(&seen)));
    let sockets = tried.iter().filter(|tried| tried.status == 101);
    let sees = sockets
        .filter(|tried| tried.text.contains("visible"))
        .count();
    assert!(sees >= WIDER.len(), "{sees} sockets got their own events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_token_cannot_publish_past_its_filter() {
    let stack = TestStack::start().await;
    let token = stack.token(&rights(&[Scope::Read, Scope::Write], "type:open", false));
    let body = json!({ "type": "order.created", "data": HIDDEN }).to_string();
    let published = stack.http().post("/v1/events", &token, &[], body).await;
    assert_eq!(published.error(), (403, "forbidden".to_owned()));
    assert!(stack.history().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_token_sees_no_person_by_any_way() {
    let stack = stack_with_both().await;
    let events = stack.history().await;
    let token = stack.token(&rights(&[Scope::Read], "", true));
    let words = [
        "canary@",
        "visible@",
        "canary%40",
        "203.0.113.77",
        "2001:db8::77",
        "?q=",
        "\"who\"",
        // Message ids.
        "seen-",
        "mixed",
    ];
    let words: BTreeSet<String> = words.map(str::to_owned).into();
    let filters: Vec<&str> = ["", "type:*", "tag:*"].into_iter().chain(PRIVATE).collect();
    let mut tried = over_http(&stack, &token, &events, &filters).await;
    tried.extend(over_sockets(&stack, &token, &events, &filters).await);
    assert_hidden(&tried, &words);
    // It sees events all the same.
    let page = stack
        .http()
        .get("/v1/events?limit=1000", &token)
        .await
        .json();
    let shown = page["events"].as_array().unwrap();
    assert!(ids(shown).is_superset(&ids(&events)));
    assert!(
        shown
            .iter()
            .all(|event| event["recipient"] == "***@example.net" && event["data"].is_null())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_token_learns_of_no_message_whether_it_exists() {
    let stack = stack_with_both().await;
    // The events of a deny-list change are kept under the address.
    let listing = r#"{"type":"blacklist","action":"add","ts":1795300000,"reject":{"email":"anna@example.net","reason":"unsub"}}"#;
    stack.mandrill().deliver(batch([listing])).await;
    let token = stack.token(&rights(&[Scope::Read], "", true));
    let published = json!({ "type": "order.created", "message_id": "anna@example.net" });
    let writer = &stack.urls().token;
    let answer = stack
        .http()
        .post("/v1/events", writer, &[], published.to_string());
    assert_eq!(answer.await.status, 202);
    let mut answers = BTreeSet::new();
    for message in [
        "mixed",
        "seen-0",
        "nobody",
        "anna@example.net",
        "berta@example.net",
    ] {
        for query in ["", "?limit=1", "?after=nonsense", "?limit=0"] {
            let path = format!("/v1/messages/{}/events{query}", encoded(message));
            let answer = stack.http().get(&path, &token).await;
            answers.insert((answer.status.as_u16(), answer.body));
        }
        for filter in [format!("message:{message}"), format!("-message:*{message}")] {
            let path = format!("/v1/events?filter={}", encoded(&filter));
            let answer = stack.http().get(&path, &token).await;
            assert_eq!(answer.error(), (403, "forbidden".into()), "{filter}");
        }
    }
    let answers: Vec<_> = answers.into_iter().collect();
    assert_eq!((answers.len(), answers[0].0), (1, 403), "{answers:?}");
    // Nor does any event say it.
    let page = stack.http().get("/v1/events?limit=1000", &token).await;
    assert!(!page.body.contains("anna@") && page.body.contains("order.created"));
    let unmasked = stack.http().get("/v1/messages/mixed/events", writer).await;
    assert_eq!(unmasked.json()["events"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_token_may_not_ask_by_what_is_hidden() {
    let stack = TestStack::start().await;
    let token = stack.token(&rights(&[Scope::Read], "", true));
    let plain_url = socket_url(&stack, &token, &json!({})).await;
    for filter in PRIVATE {
        let path = format!("/v1/events?filter={}", encoded(filter));
        let answer = stack.http().get(&path, &token).await;
        assert_eq!(answer.status, 403, "{filter}: {}", answer.body);
        let answer = ask_for_ticket(stack.http(), &token, &json!({ "filter": filter })).await;
        assert_eq!(answer.status, 403, "{filter}: {}", answer.body);
        let url = format!("{plain_url}&filter={}", encoded(filter));
        assert_eq!(Socket::open(&url).await.err(), Some(403), "{filter}");
        let mut socket = Socket::open(&plain_url).await.unwrap();
        let subscribe = json!({ "action": "subscribe", "filter": filter });
        let answer = socket.ask(subscribe).await;
        assert_eq!(
            answer.json["code"], "forbidden",
            "{filter}: {}",
            answer.text
        );
    }
    // What it may filter by, it filters by what it sees: no letter of an address is told.
    let stack = stack_with_both().await;
    let token = stack.token(&rights(&[Scope::Read], "", true));
    for (filter, finds) in [
        ("tag:vis*", 0),
        ("tag:visible@example.org", 0),
        ("tag:*@example.org", 9),
    ] {
        let path = format!("/v1/events?filter={}", encoded(filter));
        let page = stack.http().get(&path, &token).await.json();
        assert_eq!(page["events"].as_array().unwrap().len(), finds, "{filter}");
        let url = socket_url(&stack, &token, &json!({ "filter": filter })).await;
        let heard = said(
            &mut Socket::open(&url).await.unwrap(),
            &[json!({ "action": "resume", "last": 100 })],
        )
        .await;
        assert_eq!(heard.matches("evt_").count(), finds, "{filter}");
    }
    // Its own filter may well be by what is hidden: others chose it.
    let filtered = stack.token(&rights(&[Scope::Read], "recipient:*@example.net", true));
    assert_eq!(
        stack
            .http()
            .get("/v1/events?filter=type:open", &filtered)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_without_the_scope_writes_nothing() {
    let stack = TestStack::start().await;
    let reader = stack.token(&rights(&[Scope::Read], "", false));
    let body = json!({ "type": "order.created" }).to_string();
    let answer = stack
        .http()
        .post("/v1/events", &reader, &[], body.clone())
        .await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    let ticket = stack.ticket();
    let answer = stack.http().post("/v1/events", &ticket, &[], body).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(stack.history().await.is_empty());
}
