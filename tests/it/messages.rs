//! `GET /v1/messages/{message_id}/events`.

use domain::Scope;
use flows::{Answer, TestStack, batch, numbers, of_message};
use serde_json::{Value, json};

use crate::tokens::rights;

async fn of(stack: &TestStack, message: &str, query: &str) -> Answer {
    let path = format!("/v1/messages/{message}/events{query}");
    stack.http().get(&path, &stack.urls().token).await
}

async fn page(stack: &TestStack, message: &str, query: &str) -> Value {
    let answer = of(stack, message, query).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn name(message: usize) -> String {
    format!("{message:032x}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_its_events_in_the_order_in_which_they_happened() {
    let stack = TestStack::start().await;
    // Mandrill's order is not that in which things happened.
    for n in [3, 0, 2, 1] {
        let kind = ["send", "delivered", "open", "click"][n];
        let others = of_message("send", 8, n);
        stack
            .mandrill()
            .deliver(batch([of_message(kind, 7, n), others]))
            .await;
    }
    let found = page(&stack, &name(7), "").await;
    assert_eq!(numbers(found["events"].as_array().unwrap()), [0, 1, 2, 3]);
    assert_eq!(
        (&found["next"], &found["more"]),
        (&Value::Null, &json!(false))
    );
    let event = &found["events"][2];
    assert_eq!(
        (&event["type"], &event["data"]["event"]),
        (&json!("open"), &json!("open"))
    );
    let none = page(&stack, "nobody-knows", "").await;
    assert_eq!(none, json!({ "events": [], "next": null, "more": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_message_go_on_without_gap_or_repeat() {
    let stack = TestStack::start().await;
    stack
        .mandrill()
        .deliver(batch((0..250).map(|n| of_message("open", 7, n))))
        .await;
    for limit in [1_000, 250, 100, 33] {
        let mut found = Vec::new();
        let mut query = format!("?limit={limit}");
        loop {
            let page = page(&stack, &name(7), &query).await;
            let events = page["events"].as_array().unwrap();
            assert!(!events.is_empty() && events.len() <= limit, "limit {limit}");
            assert_eq!(page["more"], json!(page["next"].is_string()));
            found.extend(numbers(events));
            match page["next"].as_str() {
                Some(next) => query = format!("?limit={limit}&after={next}"),
                None => break,
            }
        }
        assert_eq!(found, (0..250).collect::<Vec<_>>(), "limit {limit}");
    }
    // Any event of the message is a place to go on from, and one of another is none.
    stack
        .mandrill()
        .deliver(batch([of_message("send", 8, 0)]))
        .await;
    let history = stack.page("limit=1").await;
    let foreign = history["events"][0]["cursor"].as_str().unwrap();
    for after in [foreign, "nonsense"] {
        let answer = of(&stack, &name(7), &format!("?after={after}")).await;
        assert_eq!(answer.error(), (400, "bad_cursor".into()));
    }
    let answer = of(&stack, &name(7), "?before=x").await;
    assert_eq!(answer.error(), (400, "unknown_parameter".into()));
    let answer = of(&stack, &name(7), "?limit=0").await;
    assert_eq!(answer.error(), (400, "bad_limit".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_message_with_large_events_is_shorter_and_goes_on() {
    let stack = TestStack::start().await;
    for n in 0..5 {
        let text = format!(r#""text":"{}","tags""#, "x".repeat(700_000));
        let event = of_message("open", 7, n).replace(r#""tags""#, &text);
        stack.mandrill().deliver(batch([event])).await;
    }
    let first = page(&stack, &name(7), "").await;
    assert_eq!(numbers(first["events"].as_array().unwrap()), [0, 1]);
    let next = first["next"].as_str().unwrap();
    let second = page(&stack, &name(7), &format!("?after={next}")).await;
    assert_eq!(numbers(second["events"].as_array().unwrap()), [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_many_events_that_a_token_hides_a_page_ends_and_goes_on() {
    let stack = TestStack::start().await;
    for chunk in 0..10 {
        let events = (0..1_000).map(|n| of_message("send", 7, chunk * 1_000 + n));
        stack.mandrill().deliver(batch(events)).await;
    }
    let shown = batch([of_message("open", 7, 20_000)]);
    stack.mandrill().deliver(shown).await;
    let token = stack.token(&rights(&[Scope::Read], "type:open", false));
    let get = async |query: &str| {
        let path = format!("/v1/messages/{}/events?limit=1{query}", name(7));
        let answer = stack.http().get(&path, &token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let read_units = async || {
        let bill = stack.bill().await;
        bill["tables"]["EventsTable"]["read_units"]
            .as_f64()
            .unwrap()
    };
    let before = read_units().await;
    let mut page = get("").await;
    assert_eq!((&page["events"], &page["more"]), (&json!([]), &json!(true)));
    // Each query costs one at least: they are not one for each event.
    let units = read_units().await - before;
    assert!(units < 5_000.0, "{units}");
    // A busy machine may take more than one.
    while page["events"] == json!([]) {
        let next = page["next"].as_str().unwrap();
        page = get(&format!("&after={next}")).await;
    }
    assert_eq!(numbers(page["events"].as_array().unwrap()), [20_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn published_events_stand_in_their_messages_history_whatever_its_name_is() {
    let stack = TestStack::start().await;
    for (n, (name, path)) in [
        ("order/7", "order%2F7"),
        ("ä ü", "%C3%A4%20%C3%BC"),
        ("a+b%c", "a+b%25c"),
        ("100%41", "100%2541"),
        ("/events", "%2Fevents"),
    ]
    .into_iter()
    .enumerate()
    {
        for (kind, second) in [("b", 2), ("a", 1)] {
            let body = json!({ "type": kind, "message_id": name, "metadata": { "n": second },
                "occurred_at": format!("2026-11-22T00:00:0{second}Z") });
            let (token, key) = (&stack.urls().token, format!("{n}-{kind}"));
            let key = [("idempotency-key", key.as_str())];
            let answer = stack
                .http()
                .post("/v1/events", token, &key, body.to_string())
                .await;
            assert_eq!(answer.status, 202, "{}", answer.body);
        }
        let found = page(&stack, path, "").await;
        assert_eq!(
            numbers(found["events"].as_array().unwrap()),
            [1, 2],
            "{name}"
        );
    }
}
