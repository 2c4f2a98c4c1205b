//! Endpoints at addresses that are not public.

use flows::{Receiver, TestStack};
use serde_json::json;

use crate::deliver::{attempts, endpoint, publish, settled, wait_until_idle};
use crate::endpoints::{get, path, post};

/// A stack as it is deployed: with public addresses only. Its endpoints were made before.
async fn guarded(stack: &mut TestStack) {
    stack.stop().await;
    stack.set_parameter("AllowPrivateEndpoints", "false");
    stack.start_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_public_is_never_connected_to() {
    let (mut stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let port = receiver.address().port();
    let mut endpoints = Vec::new();
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("http://127.0.0.1:{port}/"),
    ] {
        let body = json!({ "url": url });
        let answer = post(&stack, "/v1/endpoints", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        endpoints.push(answer.json());
    }
    guarded(&mut stack).await;
    let event = publish(&stack, "a", "1").await;
    for endpoint in &endpoints {
        // Another attempt would come to the same.
        let delivery = settled(&stack, &event, endpoint, "failed").await;
        assert_eq!(attempts(&delivery), [(1, json!("blocked"))]);
    }
    wait_until_idle(&stack).await;
    assert!(receiver.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_on_the_desk_is_reached_by_default_there() {
    let (stack, receiver) = (TestStack::start().await, Receiver::start().await);
    let endpoint = endpoint(&stack, &receiver, "/a", &[]).await;
    let event = publish(&stack, "a", "1").await;
    settled(&stack, &event, &endpoint, "delivered").await;
    assert_eq!(
        get(&stack, &path(&endpoint, "")).await["health"]["state"],
        "ok"
    );
}
