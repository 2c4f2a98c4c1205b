//! What is owed to endpoints, and what can be done about it by hand.

use std::collections::BTreeSet;

use flows::{DEADLINE, Receiver, Reply, TestStack, batch, eventually, of_message, sends};
use platform::clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoints::{ask, created, get, path, post};

/// When nothing of a test had happened.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

async fn publish(stack: &TestStack, kind: &str) -> String {
    let token = &stack.urls().token;
    let body = json!({ "type": kind, "data": { "b": 1, "a": 2 } }).to_string();
    let answer = stack.http().post("/v1/events", token, &[], body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// An endpoint at a path of the receiver, which is tried once. One that fails and wants every event
/// is sent what is told of that as well.
async fn tried_once(stack: &TestStack, receiver: &Receiver, at: &str, filter: &str) -> Value {
    let body = json!({ "url": receiver.url(at), "filter": filter, "retry_schedule": [] });
    created(stack, &body).await
}

/// The only delivery of an event, as soon as it is so, with so many attempts on record.
async fn delivery(stack: &TestStack, event: &str, status: &str, attempts: usize) -> Value {
    let path = format!("/v1/events/{event}/deliveries");
    eventually(DEADLINE, async || {
        let list = get(stack, &path).await;
        let delivery = list["deliveries"][0].clone();
        // One that is under way is counted, and is not on record.
        let recorded = delivery["attempts"].as_array().map(Vec::len);
        let is_so = delivery["status"] == status && recorded == Some(attempts);
        is_so.then_some(delivery).ok_or_else(|| list.to_string())
    })
    .await
}

fn retry(delivery: &Value) -> String {
    format!("/v1/deliveries/{}/retry", delivery["id"].as_str().unwrap())
}

async fn deliveries(stack: &TestStack, query: &str) -> Vec<Value> {
    let page = get(stack, &format!("/v1/deliveries?{query}")).await;
    page["deliveries"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_who_wants_it_and_every_attempt_is_on_record() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let wants = tried_once(&stack, &receiver, "/wants", "type:order.*").await;
    tried_once(&stack, &receiver, "/other", "type:user.*").await;
    receiver.reply("/wants", Reply::status(202).body("thanks"));
    let event = publish(&stack, "order.created").await;
    let heard = receiver.wait_for("/wants", 1).await;
    assert_eq!(heard[0].webhook_id(), event);
    assert!(heard[0].is_signed_by(wants["secret"].as_str().unwrap()));
    assert!(
        heard[0].text().contains(r#""data":{"a":2,"b":1}"#),
        "{}",
        heard[0].text()
    );

    let delivery = delivery(&stack, &event, "delivered", 1).await;
    assert_eq!(delivery["event_id"], event.as_str());
    assert_eq!(delivery["endpoint_id"], wants["id"]);
    assert_eq!(delivery["event_type"], "order.created");
    assert_eq!(delivery["due_at"], Value::Null);
    assert!(delivery["settled_at"].is_string());
    let log = delivery["attempts"].as_array().unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&log[0]["number"], &log[0]["status"], &log[0]["error"]),
        (&json!(1), &json!(202), &Value::Null)
    );
    assert_eq!(log[0]["body"], "thanks");
    let attempts = get(&stack, &path(&wants, "/attempts")).await;
    assert_eq!(attempts, json!({ "attempts": log, "next": null }));
    let listed = deliveries(&stack, "status=delivered").await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &delivery["id"]));
    for query in ["status=failed", "status=pending", "status=cancelled"] {
        assert!(deliveries(&stack, query).await.is_empty(), "{query}");
    }
    assert!(receiver.received_at("/other").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_failed_gets_one_more_attempt_when_asked_for() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = tried_once(&stack, &receiver, "/a", "type:a").await;
    receiver.reply("/a", Reply::status(500).body("no"));
    let event = publish(&stack, "a").await;
    let failed = delivery(&stack, &event, "failed", 1).await;
    let answer = post(&stack, &retry(&failed), &Value::Null).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["status"]),
        (202, &json!("pending"))
    );
    let failed = delivery(&stack, &event, "failed", 2).await;
    receiver.reply("/a", Reply::status(200));
    assert_eq!(
        post(&stack, &retry(&failed), &Value::Null).await.status,
        202
    );
    let delivered = delivery(&stack, &event, "delivered", 3).await;
    // Even one that was delivered.
    assert_eq!(
        post(&stack, &retry(&delivered), &Value::Null).await.status,
        202
    );
    let delivered = delivery(&stack, &event, "delivered", 4).await;
    let log = delivered["attempts"].as_array().unwrap();
    let numbers: Vec<_> = log
        .iter()
        .map(|attempt| attempt["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    assert_eq!(
        (&log[3]["error"], &log[3]["status"]),
        (&json!("status"), &json!(500))
    );
    let heard = receiver.received_at("/a");
    assert_eq!(heard.len(), 4);
    assert!(
        heard
            .iter()
            .all(|request| request.webhook_id() == event && request.body == heard[0].body)
    );

    post(&stack, &path(&endpoint, "/disable"), &Value::Null).await;
    let answer = post(&stack, &retry(&delivered), &Value::Null).await;
    assert_eq!(answer.error(), (400, "endpoint_disabled".into()));
    ask(&stack, Method::DELETE, &path(&endpoint, ""), &Value::Null).await;
    let answer = post(&stack, &retry(&delivered), &Value::Null).await;
    assert_eq!(answer.error(), (404, "not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_waits_is_brought_forward_and_keeps_its_schedule() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let body =
        json!({ "url": receiver.url("/a"), "filter": "type:a", "retry_schedule": [3_600, 3_600] });
    created(&stack, &body).await;
    receiver.reply("/a", Reply::status(500));
    let event = publish(&stack, "a").await;
    let waiting = delivery(&stack, &event, "pending", 1).await;
    assert!(waiting["due_at"].is_string());
    assert_eq!(
        post(&stack, &retry(&waiting), &Value::Null).await.status,
        202
    );
    let waiting = delivery(&stack, &event, "pending", 2).await;
    assert_eq!(
        post(&stack, &retry(&waiting), &Value::Null).await.status,
        202
    );
    delivery(&stack, &event, "failed", 3).await;
    assert_eq!(receiver.received_at("/a").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_attempt_is_under_way_there_is_no_other() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    tried_once(&stack, &receiver, "/a", "").await;
    receiver.reply("/a", Reply::status(200).held());
    let event = publish(&stack, "a").await;
    receiver.wait_for("/a", 1).await;
    let waiting = delivery(&stack, &event, "pending", 0).await;
    let answer = post(&stack, &retry(&waiting), &Value::Null).await;
    assert_eq!(answer.error(), (409, "attempt_under_way".into()));
    receiver.release();
    delivery(&stack, &event, "delivered", 1).await;
    assert_eq!(receiver.received_at("/a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovering_tries_each_failed_delivery_once_more() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = tried_once(&stack, &receiver, "/a", "type:a").await;
    receiver.reply("/a", Reply::status(500));
    let mut events = BTreeSet::new();
    for _ in 0..4 {
        let event = publish(&stack, "a").await;
        delivery(&stack, &event, "failed", 1).await;
        events.insert(event);
    }
    receiver.reply("/a", Reply::status(200));
    let since = async |since: &str| {
        let body = json!({ "since": since });
        let answer = post(&stack, &path(&endpoint, "/recover"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    assert_eq!(
        since("2099-01-01T00:00:00Z").await,
        json!({ "count": 0, "next": null })
    );
    // The index may lag, so that not all are found at once.
    let found = eventually(DEADLINE, async || {
        since(LONG_AGO).await;
        let done = deliveries(&stack, "status=delivered").await.len();
        (done == 4)
            .then_some(done)
            .ok_or_else(|| format!("{done} were delivered"))
    });
    found.await;
    for event in &events {
        delivery(&stack, event, "delivered", 2).await;
    }
    assert_eq!(since(LONG_AGO).await, json!({ "count": 0, "next": null }));
    assert_eq!(receiver.received_at("/a").len(), 8);
    for (body, named) in [
        (json!({}), "since"),
        (json!({ "since": "yesterday" }), "since"),
        (json!({ "since": LONG_AGO, "after": "x" }), "after"),
        (json!({ "since": LONG_AGO, "filter": "" }), "filter"),
    ] {
        let answer = post(&stack, &path(&endpoint, "/recover"), &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(named), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_endpoint_has_missed_is_replayed_once() {
    let hour_ago = clock::now().minus(3_600_000).to_string();
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    tried_once(&stack, &receiver, "/other", "").await;
    let opens = (0..3).map(|n| of_message("open", n, n));
    let clicks = (3..5).map(|n| of_message("click", n, n));
    stack.mandrill().deliver(batch(opens.chain(clicks))).await;
    stack
        .mandrill()
        .deliver(batch([of_message("send", 9, 9)]))
        .await;
    // So that nothing is dispatched any more to whom it had been missed.
    receiver.wait_for("/other", 6).await;
    let endpoint = tried_once(&stack, &receiver, "/a", "type:open,click").await;
    let replay = async |body: Value| {
        let answer = post(&stack, &path(&endpoint, "/replay-missing"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let clicks = json!({ "since": hour_ago, "filter": "type:click,send" });
    assert_eq!(
        replay(clicks.clone()).await,
        json!({ "count": 2, "next": null })
    );
    receiver.wait_for("/a", 2).await;
    assert_eq!(replay(clicks).await, json!({ "count": 0, "next": null }));
    let all = json!({ "since": hour_ago });
    assert_eq!(replay(all.clone()).await["count"], 3);
    let heard = receiver.wait_for("/a", 5).await;
    let ids: BTreeSet<_> = heard
        .iter()
        .map(|request| request.webhook_id().to_owned())
        .collect();
    assert_eq!(ids.len(), 5);
    assert_eq!(replay(all).await, json!({ "count": 0, "next": null }));
    assert_eq!(
        replay(json!({ "since": "2099-01-01T00:00:00Z" })).await["count"],
        0
    );
    for (body, named) in [
        (json!({}), "since"),
        (json!({ "since": LONG_AGO }), "too early"),
        (
            json!({ "since": hour_ago, "filter": "colour:red" }),
            "unknown field",
        ),
        (json!({ "since": hour_ago, "after": "x" }), "after"),
        (json!({ "since": hour_ago, "until": hour_ago }), "until"),
    ] {
        let answer = post(&stack, &path(&endpoint, "/replay-missing"), &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(named), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn much_that_was_missed_is_replayed_in_pieces() {
    let hour_ago = clock::now().minus(3_600_000).to_string();
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    tried_once(&stack, &receiver, "/other", "").await;
    for first in [0, 600] {
        stack.mandrill().deliver(sends(first..first + 600)).await;
    }
    // So that nothing is dispatched any more to whom it had been missed.
    receiver.wait_for("/other", 1_200).await;
    let endpoint = tried_once(&stack, &receiver, "/a", "").await;
    let (mut counts, mut body) = (Vec::new(), json!({ "since": hour_ago }));
    loop {
        let answer = post(&stack, &path(&endpoint, "/replay-missing"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let piece = answer.json();
        counts.push(piece["count"].as_u64().unwrap());
        if piece["next"].is_null() {
            break;
        }
        body["after"] = piece["next"].clone();
    }
    assert!(counts.len() > 1, "{counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), 1_200, "{counts:?}");
    let heard = receiver.wait_for("/a", 1_200).await;
    let ids: BTreeSet<_> = heard.iter().map(|request| request.webhook_id()).collect();
    assert_eq!(ids.len(), 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_reaches_that_endpoint_alone_past_its_filter() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let tested = tried_once(&stack, &receiver, "/a", "type:nothing").await;
    tried_once(&stack, &receiver, "/b", "").await;
    let answer = post(&stack, &path(&tested, "/test"), &Value::Null).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let event = answer.json()["id"].as_str().unwrap().to_owned();
    let heard = receiver.wait_for("/a", 1).await;
    let sent = heard[0].json();
    assert_eq!(
        (&sent["id"], &sent["type"], &sent["source"]),
        (&json!(event), &json!("endpoint.test"), &json!("posthorn"))
    );
    let list = get(&stack, &format!("/v1/events/{event}/deliveries")).await;
    assert_eq!(list["deliveries"].as_array().unwrap().len(), 1);
    assert!(receiver.received_at("/b").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_for_one_endpoint_reaches_it_alone() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = tried_once(&stack, &receiver, "/a", "type:nothing").await;
    tried_once(&stack, &receiver, "/b", "").await;
    let address = format!("/v1/ingest/{}", endpoint["id"].as_str().unwrap());
    let answer = post(&stack, &address, &json!({ "order": 70_814 })).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let event = answer.json()["id"].as_str().unwrap().to_owned();
    let heard = receiver.wait_for("/a", 1).await;
    assert!(heard[0].text().contains(r#""data":{"order":70814}"#));
    delivery(&stack, &event, "delivered", 1).await;
    assert!(receiver.received_at("/b").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_every_delivery_and_attempt_once_newest_first() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = tried_once(&stack, &receiver, "/a", "").await;
    tried_once(&stack, &receiver, "/b", "").await;
    for n in 0..5 {
        publish(&stack, &format!("a{n}")).await;
    }
    eventually(DEADLINE, async || {
        let done = deliveries(&stack, "status=delivered").await.len();
        (done == 10)
            .then_some(())
            .ok_or_else(|| format!("{done} of 10"))
    })
    .await;
    let pages = async |path: &str, name: &str| {
        let mut found: Vec<Value> = Vec::new();
        let mut before = String::new();
        loop {
            let page = get(&stack, &format!("{path}limit=2{before}")).await;
            let list = page[name].as_array().unwrap();
            assert!(list.len() <= 2, "{page}");
            found.extend(list.iter().cloned());
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return found,
            }
        }
    };
    let id = endpoint["id"].as_str().unwrap();
    for (path, count) in [
        ("/v1/deliveries?".to_owned(), 10),
        ("/v1/deliveries?status=delivered&".to_owned(), 10),
        (format!("/v1/deliveries?endpoint={id}&"), 5),
        (format!("/v1/deliveries?status=delivered&endpoint={id}&"), 5),
    ] {
        let found = pages(&path, "deliveries").await;
        let ids: BTreeSet<_> = found.iter().map(|it| it["id"].to_string()).collect();
        assert_eq!((found.len(), ids.len()), (count, count), "{path}");
        let at = |it: &Value| it["settled_at"].as_str().unwrap().to_owned();
        assert!(
            found.windows(2).all(|pair| at(&pair[0]) >= at(&pair[1])),
            "{path}"
        );
    }
    let found = pages(&crate::endpoints::path(&endpoint, "/attempts?"), "attempts").await;
    let at = |it: &Value| it["at"].as_str().unwrap().to_owned();
    assert_eq!(found.len(), 5);
    assert!(found.windows(2).all(|pair| at(&pair[0]) >= at(&pair[1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_question_is_named() {
    let stack = TestStack::start().await;
    let endpoint = created(&stack, &json!({ "url": "http://localhost:9/" })).await;
    let unknown = "dlv_000000000000000000000000000000000000000_00000000000000000000000000";
    for (method, path, status, code) in [
        (
            Method::GET,
            "/v1/deliveries?status=lost".to_owned(),
            400,
            "bad_status",
        ),
        (
            Method::GET,
            "/v1/deliveries?endpoint=x".to_owned(),
            400,
            "bad_id",
        ),
        (
            Method::GET,
            "/v1/deliveries?before=x".to_owned(),
            400,
            "bad_cursor",
        ),
        (
            Method::GET,
            "/v1/deliveries?limit=1001".to_owned(),
            400,
            "bad_limit",
        ),
        (
            Method::GET,
            "/v1/deliveries?colour=red".to_owned(),
            400,
            "unknown_parameter",
        ),
        (
            Method::GET,
            path(&endpoint, "/attempts?before=x"),
            400,
            "bad_cursor",
        ),
        (
            Method::GET,
            path(&endpoint, "/attempts?status=1"),
            400,
            "unknown_parameter",
        ),
        (Method::GET, "/v1/endpoints/x".to_owned(), 400, "bad_id"),
        (
            Method::GET,
            "/v1/events/x/deliveries".to_owned(),
            400,
            "bad_id",
        ),
        (
            Method::POST,
            "/v1/deliveries/x/retry".to_owned(),
            400,
            "bad_id",
        ),
        (
            Method::POST,
            format!("/v1/deliveries/{unknown}/retry"),
            404,
            "not_found",
        ),
        (
            Method::PUT,
            "/v1/deliveries".to_owned(),
            405,
            "method_not_allowed",
        ),
    ] {
        let answer = ask(&stack, method, &path, &Value::Null).await;
        assert_eq!(answer.error(), (status, code.into()), "{path}");
    }
    let event = "evt_000000000000000000000000000000000000000";
    let none = json!({ "deliveries": [], "next": null });
    assert_eq!(
        get(&stack, &format!("/v1/events/{event}/deliveries")).await,
        none
    );
}
