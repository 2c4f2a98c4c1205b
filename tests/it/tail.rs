//! Waiting for events over plain HTTP: who may, and what it takes.

mod poll;
mod sse;

use domain::{Cursor, CursorKind, Millis, Position, Rights, Scope, Scopes};
use flows::{Answer, DEADLINE, Http, Sse, TestStack, eventually, sends};
use platform::tokens::{Audience, TokenKeys};
use posthorn::Options;
use posthorn::TEMPLATE;
use reqwest::Method;
use serde_json::{Value, json};

/// Somebody who may read.
pub(crate) struct Reader<'s> {
    stack: &'s TestStack,
    pub(crate) token: String,
}

impl Reader<'_> {
    /// May read everything, for an hour.
    pub(crate) fn of(stack: &TestStack) -> Reader<'_> {
        Reader::with(stack, "", |_| {})
    }

    /// May read what this filter lets through.
    fn with<'s>(
        stack: &'s TestStack,
        filter: &str,
        change: impl FnOnce(&mut Rights),
    ) -> Reader<'s> {
        let mut rights = Rights {
            scopes: Scopes::of(&[Scope::Read]),
            filter: filter.parse().unwrap(),
            asked: domain::Filter::default(),
            mask: false,
            until: platform::clock::now().plus(3_600_000),
        };
        change(&mut rights);
        let token = stack.token(&rights);
        Reader { stack, token }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// A ticket made with the token, as if that were so long ago.
    fn ticket(&self, ago_ms: u64) -> String {
        let keys = keys(self.stack);
        let now = platform::clock::now();
        let holder = keys.verify(&self.token, Audience::Api, now).unwrap();
        let ticket = keys.ticket(&holder, &domain::View::default(), now.minus(ago_ms));
        ticket.unwrap().text.0.clone()
    }

    async fn get(&self, path: &str) -> Answer {
        self.stack.http().get(path, &self.token).await
    }

    /// A page of a long poll.
    pub(crate) async fn page(&self, query: &str) -> Value {
        let answer = self.get(&format!("/v1/events?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.json()
    }

    async fn open(&self, query: &str) -> Sse {
        self.open_with(query, &[]).await
    }

    async fn open_with(&self, query: &str, headers: &[(&str, &str)]) -> Sse {
        let bearer = self.bearer();
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        let opened = Sse::open(self.stack.http(), &format!("/v1/stream?{query}"), &headers).await;
        opened.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.body))
    }
}

/// The keys that sign the stack's tokens.
fn keys(stack: &TestStack) -> TokenKeys {
    serde_json::from_value(json!({ "token_key": stack.urls().token_key })).unwrap()
}

/// A cursor of an event that was stored a while ago.
pub(crate) fn long_ago(stack: &TestStack) -> String {
    let at = platform::clock::now().minus(600_000);
    cursor(stack, at, CursorKind::Seen)
}

fn cursor(stack: &TestStack, at: Millis, kind: CursorKind) -> String {
    let position = Position::start_of(at);
    stack.cursors().encode(Cursor { position, kind })
}

/// An item of the events table as if it had been stored at `at`.
fn stored_at(mut item: Value, at: Millis) -> Value {
    for (name, text) in [
        ("feed_at", at.0.to_string()),
        ("feed_shard", at.day().to_string()),
    ] {
        let before = item[name]["S"].as_str().unwrap();
        let (_, rest) = before.split_once('#').unwrap();
        item[name] = json!({ "S": format!("{text}#{rest}") });
    }
    item
}

async fn put(stack: &TestStack, table: &str, item: Value) {
    let put = json!({ "TableName": stack.table(table), "Item": item });
    stack.dynamo("PutItem", put).await;
}

/// Takes the one event away that is stored; answers its item.
async fn take_away(stack: &TestStack) -> Value {
    let item = stack.items("EventsTable").await.remove(0);
    let key = json!({ "pk": item["pk"], "sk": item["sk"] });
    let delete = json!({ "TableName": stack.table("EventsTable"), "Key": key });
    stack.dynamo("DeleteItem", delete).await;
    item
}

/// Events in the order of their numbers: those of one batch are stored at the same time.
async fn one_by_one(stack: &TestStack, numbers: std::ops::Range<usize>) {
    for n in numbers {
        stack.mandrill().deliver(sends(n..n + 1)).await;
        let stored = platform::clock::now();
        eventually(DEADLINE, async || {
            let is_later = platform::clock::now() > stored;
            is_later
                .then_some(())
                .ok_or("the same millisecond".to_owned())
        })
        .await;
    }
}

/// A stack that gives a reader this many seconds and hears a heartbeat each second.
pub(crate) fn short(seconds: u32) -> impl FnOnce(&mut Options) {
    move |options| {
        let times = [
            ("Timeout: !Ref TailSeconds", format!("Timeout: {seconds}")),
            (
                "HEARTBEAT_SECONDS: \"15\"",
                "HEARTBEAT_SECONDS: \"1\"".to_owned(),
            ),
        ];
        for (long, short) in times {
            assert!(TEMPLATE.contains(long), "the template has no {long}");
            options.local.template = options.local.template.replace(long, &short);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_neither_token_nor_ticket_gets_nothing() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let refused = async |path: &str, token: &str| stack.http().get(path, token).await.error();
    for path in ["/v1/stream?last=1", "/v1/events?wait=0"] {
        assert_eq!(refused(path, "").await, (401, "unauthorized".to_owned()));
        assert_eq!(refused(path, "nonsense").await.0, 401);
        // A ticket is no token, and a token no ticket.
        assert_eq!(refused(path, &reader.ticket(0)).await.0, 401);
        let with = |ticket: &str| format!("{path}&ticket={ticket}");
        assert_eq!(refused(&with(&reader.token), "").await.0, 401);
        let old = refused(&with(&reader.ticket(120_000)), "").await;
        assert_eq!(old, (401, "expired".to_owned()));
        // A ticket that is not good is not helped by a token that is.
        assert_eq!(refused(&with("nonsense"), &reader.token).await.0, 401);
    }
    let writer = Reader::with(&stack, "", |rights| {
        rights.scopes = Scopes::of(&[Scope::Write])
    });
    assert_eq!(
        writer.get("/v1/stream").await.error(),
        (403, "forbidden".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_refused_by_name() {
    let stack = TestStack::start().await;
    let reader = Reader::of(&stack);
    let other = domain::Feed::new("another").cursor_at(Position::start_of(Millis(1)));
    let future = cursor(
        &stack,
        platform::clock::now().plus(120_000),
        CursorKind::Seen,
    );
    for (query, code, named) in [
        ("fliter=type:open", "unknown_parameter", "fliter"),
        ("filter=colour:red", "bad_filter", "filter"),
        ("after=nonsense", "bad_cursor", "after"),
        (&format!("after={other}"), "bad_cursor", "after"),
        (&format!("after={future}"), "bad_cursor", "after"),
    ] {
        for path in ["/v1/stream?", "/v1/events?wait=0&"] {
            let answer = reader.get(&format!("{path}{query}")).await;
            assert_eq!(answer.error(), (400, code.to_owned()), "{path}{query}");
            assert!(answer.body.contains(named), "{}", answer.body);
        }
    }
    let after = long_ago(&stack);
    for (path, code) in [
        ("/v1/stream?wait=1", "unknown_parameter"),
        ("/v1/stream?before=x", "unknown_parameter"),
        ("/v1/stream?last=1001", "bad_last"),
        (&format!("/v1/stream?last=1&after={after}"), "bad_last"),
        ("/v1/stream?data=yes", "bad_data"),
        ("/v1/events?wait=21", "bad_wait"),
        ("/v1/events?wait=-1", "bad_wait"),
        ("/v1/events?wait=0&limit=0", "bad_limit"),
        ("/v1/events?wait=0&last=3", "unknown_parameter"),
        ("/v1/events?wait=%2B5", "bad_wait"),
        ("/v1/events?wait=0&limit=%2B5", "bad_limit"),
        ("/v1/events?wait=0&wait=0", "repeated_parameter"),
        ("/v1/stream?last=%2B5", "bad_last"),
        ("/v1/stream?last=1&last=2", "repeated_parameter"),
    ] {
        assert_eq!(
            reader.get(path).await.error(),
            (400, code.to_owned()),
            "{path}"
        );
    }
    let posted = stack
        .http()
        .request(Method::POST, "/v1/stream", &[], "")
        .await;
    assert_eq!(posted.error(), (405, "method_not_allowed".to_owned()));
    assert_eq!(posted.header("allow"), "GET, OPTIONS");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_takes_a_place_and_nobody_elses() {
    let stack = TestStack::start_with(|options| {
        short(60)(options);
        options
            .local
            .parameters
            .insert("TailConcurrency".to_owned(), "1".to_owned());
    });
    let stack = stack.await;
    let reader = Reader::of(&stack);
    let mut stream = reader.open("").await;
    stream.next_named("live").await;
    for path in ["/v1/stream", "/v1/events?wait=20"] {
        let answer = reader.get(path).await;
        assert_eq!(answer.status, 429, "{}", answer.body);
        assert_eq!(answer.json()["Type"], "User");
        assert_eq!(
            answer.headers["x-amzn-errortype"],
            "TooManyRequestsException"
        );
    }
    // Everything else has places of its own.
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(sends(0..1)).await;
    assert_eq!(socket.hear_events(1).await.len(), 1);
    assert_eq!(stream.next_events(1).await.len(), 1);
    assert_eq!(stack.history().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_without_a_word_keeps_the_place_until_the_time_is_over() {
    let stack = TestStack::start_with(|options| {
        short(6)(options);
        options
            .local
            .parameters
            .insert("TailConcurrency".to_owned(), "1".to_owned());
    });
    let stack = stack.await;
    let reader = Reader::of(&stack);
    reader.open("").await.next_named("live").await;
    assert_eq!(reader.get("/v1/events?wait=0").await.status, 429);
    eventually(DEADLINE, async || {
        let answer = reader.get("/v1/events?wait=0").await;
        (answer.status == 200).then_some(()).ok_or(answer.body)
    })
    .await;
    // What it took is billed to its end: four seconds at least, of the six that it had.
    let bill = stack.bill().await;
    let billed = bill["functions"]["TailFunction"]["billed_ms"].as_u64();
    assert!(billed.unwrap() >= 3_500, "{billed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_read_if_they_may() {
    let origins = "https://app.example";
    let stack = TestStack::start_with(|options| {
        options
            .local
            .parameters
            .insert("CorsOrigins".to_owned(), origins.to_owned());
    });
    let stack = stack.await;
    let reader = Reader::of(&stack);
    let http: &Http = stack.http();
    let ask = async |method: Method, origin: &str, path: &str| {
        let headers = [
            ("origin", origin),
            ("authorization", &reader.bearer()),
            ("access-control-request-method", "GET"),
        ];
        http.request(method, path, &headers, "").await
    };
    let path = "/v1/events?wait=0";
    let asked = ask(Method::OPTIONS, origins, path).await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.headers["access-control-allow-origin"], origins);
    let allowed = asked.headers["access-control-allow-headers"]
        .to_str()
        .unwrap()
        .to_lowercase();
    assert!(allowed.contains("authorization") && allowed.contains("last-event-id"));
    let read = ask(Method::GET, origins, path).await;
    assert_eq!(read.headers["access-control-allow-origin"], origins);
    assert_eq!(read.headers["vary"], "Origin");
    let other = ask(Method::GET, "https://other.example", path).await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));
    // A page learns, too, why it was refused.
    let refused = http
        .request(Method::GET, path, &[("origin", origins)], "")
        .await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["access-control-allow-origin"], origins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_says_where_it_opens_a_stream_and_a_poll() {
    let stack = TestStack::start().await;
    let token = &stack.urls().token;
    stack.mandrill().deliver(sends(0..1)).await;
    let ticket = stack
        .http()
        .post("/v1/tickets", token, &[], "{}")
        .await
        .json();
    let with_ticket = |url: &str| {
        let path = ticket[url]
            .as_str()
            .unwrap()
            .strip_prefix(&stack.urls().http);
        format!(
            "{}?ticket={}",
            path.unwrap(),
            ticket["ticket"].as_str().unwrap()
        )
    };
    let stream = format!("{}&last=1", with_ticket("stream_url"));
    let mut stream = Sse::open(stack.http(), &stream, &[]).await.unwrap();
    assert_eq!(stream.next_events(1).await.len(), 1);
    let poll = format!(
        "{}&wait=0&after={}",
        with_ticket("poll_url"),
        long_ago(&stack)
    );
    let page = stack.http().get(&poll, "").await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tail_nothing_waits_and_nothing_else_changes() {
    let stack = TestStack::start_with(|options| {
        options
            .local
            .parameters
            .insert("Tail".to_owned(), "off".to_owned());
    });
    let stack = stack.await;
    assert!(stack.template().function("TailFunction").is_none());
    assert!(!stack.template().outputs.contains_key("TailUrl"));
    assert_eq!(stack.http().get("/v1/stream", "").await.status, 404);
    let token = &stack.urls().token;
    let refused = stack.http().get("/v1/events?wait=20", token).await;
    assert_eq!(refused.error(), (400, "unknown_parameter".to_owned()));
    assert!(refused.body.contains("long poll"), "{}", refused.body);
    let ticket = stack
        .http()
        .post("/v1/tickets", token, &[], "{}")
        .await
        .json();
    assert!(
        ticket["stream_url"].is_null() && ticket["poll_url"].is_null(),
        "{ticket}"
    );
    stack.mandrill().deliver(sends(0..1)).await;
    assert_eq!(stack.history().await.len(), 1);
}
