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
            r#""ip":"192.0.2.7","user_agent":"Browser","location":{{"city":"Vienna"}}}},"data":{},"cursor":{}}}],"next":null,"more":false}}"#
        ),
        id, received_at, click, event["cursor"],
    );
    assert_eq!(answer.body, expected);
    assert!(id.starts_with("evt_") && id.len() == 43, "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stored_is_an_empty_page() {
    let stack = TestStack::start().await;
    let empty = json!({ "events": [], "next": null, "more": false });
    assert_eq!(stack.page("").await, empty);
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
async fn pages_stay_as_they_are_while_events_arrive() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..40)).await;
    let mut found = Vec::new();
    let mut query = "limit=7".to_owned();
    for arriving in 40.. {
        let page = stack.page(&query).await;
        found.extend(numbers(page["events"].as_array().unwrap()));
        stack
            .mandrill()
            .deliver(sends(arriving..arriving + 1))
            .await;
        match page["next"].as_str() {
            Some(next) => query = format!("limit=7&before={next}"),
            None => break,
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_range_is_of_when_events_were_received_from_inclusive_to_exclusive() {
    let stack = TestStack::start().await;
    let mut times = Vec::new();
    for n in 0..4 {
        stack.mandrill().deliver(sends(n..n + 1)).await;
        let newest = stack.page("limit=1").await;
        times.push(
            newest["events"][0]["received_at"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let found = async |query: &str| {
        let page = stack.page(query).await;
        numbers(page["events"].as_array().unwrap())
    };
    let (first, second, last) = (&times[0], &times[1], &times[3]);
    assert_eq!(found(&format!("from={second}&to={last}")).await, [2, 1]);
    assert_eq!(found(&format!("to={last}")).await, [2, 1, 0]);
    assert_eq!(found(&format!("from={last}")).await, [3]);
    assert_eq!(found(&format!("from={last}&to={second}")).await, [0; 0]);
    assert_eq!(found("from=0001-01-01T00:00:00Z").await, [3, 2, 1, 0]);
    assert_eq!(found("from=9999-12-31T23:59:59Z").await, [0; 0]);
    assert_eq!(found("to=1970-01-01T00:00:00%2B00:00").await, [0; 0]);

    // Pages of a range go on within it.
    let page = stack.page(&format!("from={first}&to={last}&limit=2")).await;
    assert_eq!(page["more"], true);
    let next = page["next"].as_str().unwrap();
    let rest = stack.page(&format!("from={second}&before={next}")).await;
    assert_eq!((&rest["events"], &rest["next"]), (&json!([]), &Value::Null));
    let rest = stack.page(&format!("from={first}&before={next}")).await;
    assert_eq!(numbers(rest["events"].as_array().unwrap()), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_only_what_passes_into_a_page_and_pages_go_on() {
    let stack = TestStack::start().await;
    let kinds = ["send", "open", "click"];
    let events = (0..300).map(|n| of_message(kinds[n % 3], n, n));
    stack.mandrill().deliver(batch(events)).await;
    let mut found = Vec::new();
    let mut query = "limit=20&filter=type:open,click%20-type:click".to_owned();
    loop {
        let page = stack.page(&query).await;
        let events = page["events"].as_array().unwrap();
        assert!(events.len() <= 20 && events.iter().all(|event| event["type"] == "open"));
        found.extend(numbers(events));
        match page["next"].as_str() {
            Some(next) => query = format!("limit=20&filter=type:open&before={next}"),
            None => break,
        }
    }
    found.sort_unstable();
    assert_eq!(found, (1..300).step_by(3).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_so_many_events_only_and_says_where_to_go_on() {
    let stack = TestStack::start().await;
    let (rare, many) = (of_message("open", 0, 0), 10_050);
    stack.mandrill().deliver(batch([rare])).await;
    for first in (1..many).step_by(1_000) {
        let events = sends(first..(first + 1_000).min(many));
        stack.mandrill().deliver(events).await;
    }
    let mut page = stack.page("filter=type:open").await;
    assert_eq!((&page["events"], &page["more"]), (&json!([]), &json!(true)));
    // One more page, or several where the machine is slow: a page also looks no longer than 10 s.
    let mut found = Vec::new();
    while let Some(next) = page["next"].as_str().map(str::to_owned) {
        page = stack.page(&format!("filter=type:open&before={next}")).await;
        found.extend(numbers(page["events"].as_array().unwrap()));
    }
    assert_eq!((found, &page["more"]), (vec![0], &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_leads_on_to_what_is_stored_later() {
    let stack = TestStack::start().await;
    for n in 0..3 {
        stack.mandrill().deliver(sends(n..n + 1)).await;
    }
    let before = domain::Position::start_of(platform::clock::now().minus(600_000));
    let mut next = stack.cursors().cursor_at(before);
    let mut found = Vec::new();
    for more in [true, false] {
        let page = stack.page(&format!("limit=2&after={next}")).await;
        assert_eq!(
            (&page["more"], &page["recovered"]),
            (&json!(more), &json!(true))
        );
        found.extend(numbers(page["events"].as_array().unwrap()));
        page["next"].as_str().unwrap().clone_into(&mut next);
    }
    assert_eq!(found, [0, 1, 2]);
    // At the end there is nothing, and no end.
    let page = stack.page(&format!("after={next}")).await;
    assert_eq!(
        (&page["events"], &page["more"]),
        (&json!([]), &json!(false))
    );
    page["next"].as_str().unwrap().clone_into(&mut next);
    stack
        .mandrill()
        .deliver(batch([of_message("open", 7, 7)]))
        .await;
    stack.mandrill().deliver(sends(8..9)).await;
    let page = stack.page(&format!("filter=type:send&after={next}")).await;
    // What is before the cursor may come again: its window has changed.
    let found = numbers(page["events"].as_array().unwrap());
    assert!(found.ends_with(&[8]) && !found.contains(&7), "{found:?}");
    // A cursor from before what is kept says so.
    let old = domain::Position::start_of(domain::Millis(1));
    let page = stack
        .page(&format!("after={}", stack.cursors().cursor_at(old)))
        .await;
    assert_eq!(page["recovered"], false);
    assert_eq!(page["events"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_named() {
    let stack = TestStack::start().await;
    let token = &stack.urls().token;
    let foreign =
        domain::Feed::new("another").cursor_at(domain::Position::start_of(domain::Millis(1)));
    let now = platform::clock::now();
    let cursor = |at| stack.cursors().cursor_at(domain::Position::start_of(at));
    let (own, ahead) = (cursor(now), cursor(now.plus(120_000)));
    let cases = [
        ("limit=0", "bad_limit"),
        ("limit=1001", "bad_limit"),
        ("limit=-1", "bad_limit"),
        ("limit=ten", "bad_limit"),
        ("limit=", "bad_limit"),
        ("before=nonsense", "bad_cursor"),
        (&format!("before={foreign}"), "bad_cursor"),
        ("colour=red", "unknown_parameter"),
        ("limit=1&limit=1", "repeated_parameter"),
        ("from=yesterday", "bad_time"),
        ("to=2026-11-22", "bad_time"),
        ("filter=colour:red", "bad_filter"),
        ("after=nonsense", "bad_cursor"),
        (&format!("after={foreign}"), "bad_cursor"),
        (&format!("after={ahead}"), "bad_cursor"),
        (
            &format!("after={own}&before={own}"),
            "conflicting_parameters",
        ),
        (
            &format!("after={own}&from=2026-11-22T00:00:00Z"),
            "conflicting_parameters",
        ),
    ];
    for (query, code) in cases {
        let answer = stack
            .http()
            .get(&format!("/v1/events?{query}"), token)
            .await;
        assert_eq!(answer.error(), (400, code.into()), "{query}");
    }
    for (query, named) in [
        ("colour=red", "colour"),
        ("filter=type:a+colour:red", "at 7"),
    ] {
        let path = format!("/v1/events?{query}");
        let answer = stack.http().get(&path, token).await;
        assert!(answer.body.contains(named), "{}", answer.body);
    }
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
