//! Filters that were accepted before `||`, `AND` and other operators were refused keep their meaning.

use flows::{Receiver, TestStack};
use platform::clock;
use serde_json::{Value, json};

use crate::deliver::{endpoint, publish, settled};
use crate::endpoints::{ask, get, path};
use crate::scopes::signed;

/// Puts a filter into an endpoint's row.
async fn store_filter(stack: &TestStack, filter: &str) {
    let rows = stack.items("EndpointsTable").await;
    let row = rows.iter().find(|row| row.get("endpoint").is_some());
    let mut row = row.unwrap().clone();
    let json = row["endpoint"]["S"].as_str().unwrap();
    let mut stored: Value = serde_json::from_str(json).unwrap();
    stored["filter"] = json!(filter);
    row["endpoint"]["S"] = json!(stored.to_string());
    let request = json!({ "TableName": stack.table("EndpointsTable"), "Item": row });
    stack.dynamo("PutItem", request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_with_a_stored_operator_gets_its_events_and_can_be_changed() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    store_filter(&stack, "type:a -||").await;
    let event = publish(&stack, "a", "1").await;
    settled(&stack, &event, &endpoint, "delivered").await;
    assert_eq!(receiver.received().len(), 1);

    let shown = get(&stack, &path(&endpoint, "")).await;
    assert_eq!(shown["filter"], r#"type:a -"||""#);
    let change = json!({ "description": "x", "filter": shown["filter"] });
    let answer = ask(
        &stack,
        reqwest::Method::PATCH,
        &path(&endpoint, ""),
        &change,
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_ticket_with_an_operator_in_their_filter_are_accepted() {
    let stack = TestStack::start().await;
    publish(&stack, "a", "1").await;
    let claims = |audience: &str| {
        json!({
            "aud": audience, "exp": clock::now().as_secs() + 60, "scope": "read", "filter": "type:a -||",
        })
    };
    let token = signed(&stack, &claims("api"));
    let answer = stack.http().get("/v1/events", &token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["events"].as_array().unwrap().len(), 1);
    // The rights of the token go on to a ticket, and from there to the connection's row.
    for ticket in [
        crate::tokens::socket_url(&stack, &token, &json!({})).await,
        format!(
            "{}?ticket={}",
            stack.urls().ws,
            signed(&stack, &claims("connect"))
        ),
    ] {
        flows::Socket::open(&ticket).await.unwrap();
    }
    let row = &stack.items("ConnectionsTable").await[0];
    assert_eq!(row["rights_filter"]["S"], r#"type:a -"||""#);
}
