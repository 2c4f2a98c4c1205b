//! `GET /v1/events` and `GET /healthz`.

use std::collections::BTreeSet;

use flows::{TestStack, batch, ids, numbers, of_message, sends};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_the_documented_fields_in_the_documented_order() {
    let stack = TestStack::start().await;
    let click = concat!(
        r#"{"event":"click","ts":1795300002,"_id":"8854","url":"https://example.com/a","ip":"192.0.2.7","#,
        r#""user_agent":"Browser","location":{"city":"Vienna"},"msg":{"subject":"Hello","email":"a@example.net","#,
        r#""sender":"shop@example.com","tags":["one","two"],"metadata":[],"subaccount":null,"template":"welcome"}}"#
    );
    stack.mandrill().deliver(batch([click])).await;
    let token = &stack.urls().token;
    let answer = stack.http().get("/v1/events", token).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let event = answer.json()["events"][0].clone();
    let (id, received_at) = (
        event["id"].as_str().unwrap(),
        event["received_at"].as_str().unwrap(),
    );
    let expected = format!(
        concat!(
            r#"{{"events":[{{"id":"{}","type":"click","source":"mandrill","webhook":"main","#,
            r#""occurred_at":"2026-11-21T22:26:42Z","received_at":"{}","message_id":"8854","#,
            r#""recipient":"a@example.net","sender":"shop@example.com","subject":"Hello","tags":["one","two"],"#,
            r#""subaccount":null,"template":"welcome","metadata":{{}},"detail":{{"url":"https://example.com/a","#,
            r#""ip":"192.0.2.7","user_agent":"Browser","location":{{"city":"Vienna"}}}},"data":{},"cursor":{}}}],"next":null}}"#
        ),
        id, received_at, click, event["cursor"],
    );
    assert_eq!(answer.body, expected);
    assert!(id.starts_with("evt_") && id.len() == 43, "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stored_is_an_empty_page() {
    let stack = TestStack::start().await;
    assert_eq!(stack.page("").await, json!({ "events": [], "next": null }));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_back_through_everything_without_gap_or_repeat() {
    let stack = TestStack::start().await;
    for first in (0..230).step_by(46) {
        stack.mandrill().deliver(sends(first..first + 46)).await;
    }
    for limit in [7, 50, 115, 230, 1_000] {
        let mut events: Vec<Value> = Vec::new();
        let mut query = format!("limit={limit}");
        loop {
            let page = stack.page(&query).await;
            let found = page["events"].as_array().unwrap();
            assert!(!found.is_empty() && found.len() <= limit);
            events.extend(found.iter().cloned());
            match page["next"].as_str() {
                Some(next) => query = format!("limit={limit}&before={next}"),
                None => break,
            }
        }
        assert_eq!(
            (events.len(), ids(&events).len()),
            (230, 230),
            "limit {limit}"
        );
        let cursors: Vec<_> = events
            .iter()
            .map(|event| event["cursor"].as_str().unwrap())
            .collect();
        assert!(cursors.is_sorted_by(|a, b| a > b), "limit {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_events_cursor_gives_what_is_older() {
    let stack = TestStack::start().await;
    // One after the other, so that their order is known.
    for n in 0..4 {
        stack.mandrill().deliver(sends(n..n + 1)).await;
    }
    let newest = stack.page("limit=1").await;
    assert_eq!(numbers(newest["events"].as_array().unwrap()), [3]);
    let cursor = newest["events"][0]["cursor"].as_str().unwrap();
    let older = stack.page(&format!("before={cursor}")).await;
    assert_eq!(numbers(older["events"].as_array().unwrap()), [2, 1, 0]);
    assert_eq!(older["next"], Value::Null);
    // Everything is older than a cursor in the future.
    let future = domain::Position::start_of(platform::clock::now().plus(1_000_000));
    let page = stack
        .page(&format!("before={}", stack.cursors().cursor_at(future)))
        .await;
    assert_eq!(page["events"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_page_has_fifty_events() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..51)).await;
    let page = stack.page("").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 50);
    let rest = stack
        .page(&format!("before={}", page["next"].as_str().unwrap()))
        .await;
    assert_eq!(rest["events"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_events_is_shorter_and_goes_on() {
    let stack = TestStack::start().await;
    let large = |n: usize| {
        let event = of_message("inbound", n, n);
        event.replace(
            r#""tags""#,
            &format!(r#""text":"{}","tags""#, "x".repeat(700_000)),
        )
    };
    for n in 0..8 {
        stack.mandrill().deliver(batch([large(n)])).await;
    }
    let first = stack.page("limit=1000").await;
    assert!(first["events"].as_array().unwrap().len() < 8 && first["next"].is_string());
    let found: BTreeSet<_> = numbers(&stack.history().await).into_iter().collect();
    assert_eq!(found, (0..8).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_named() {
    let stack = TestStack::start().await;
    let token = &stack.urls().token;
    let foreign =
        domain::Feed::new("another").cursor_at(domain::Position::start_of(domain::Millis(1)));
    let cases = [
        ("limit=0", "bad_limit"),
        ("limit=1001", "bad_limit"),
        ("limit=-1", "bad_limit"),
        ("limit=ten", "bad_limit"),
        ("limit=", "bad_limit"),
        ("before=nonsense", "bad_cursor"),
        (&format!("before={foreign}"), "bad_cursor"),
        ("colour=red", "unknown_parameter"),
    ];
    for (query, code) in cases {
        let answer = stack
            .http()
            .get(&format!("/v1/events?{query}"), token)
            .await;
        assert_eq!(answer.error(), (400, code.into()), "{query}");
    }
    let answer = stack.http().get("/v1/events?colour=red", token).await;
    assert!(answer.body.contains("colour"), "{}", answer.body);
    for limit in [1, 1_000] {
        stack.page(&format!("limit={limit}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_for_who_has_the_token() {
    let stack = TestStack::start().await;
    let token = &stack.urls().token;
    let (wrong, basic, lower) = (
        format!("Bearer {token}x"),
        format!("Basic {token}"),
        format!("bearer {token}"),
    );
    for header in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some(token),
        Some(&wrong),
        Some(&basic),
    ] {
        let headers: Vec<_> = header
            .map(|header| ("authorization", header))
            .into_iter()
            .collect();
        let answer = stack
            .http()
            .request(Method::GET, "/v1/events", &headers, "")
            .await;
        assert_eq!(answer.error(), (401, "unauthorized".into()), "{header:?}");
    }
    let headers = [("authorization", lower.as_str())];
    let answer = stack
        .http()
        .request(Method::GET, "/v1/events", &headers, "")
        .await;
    assert_eq!(answer.status, 200);
    // A token in the address would end up in logs.
    let path = format!("/v1/events?token={token}");
    let answer = stack.http().request(Method::GET, &path, &[], "").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_may_ask_whether_it_is_well() {
    let stack = TestStack::start().await;
    let answer = stack.http().request(Method::GET, "/healthz", &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, r#"{"status":"ok"}"#)
    );
}
