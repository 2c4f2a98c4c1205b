//! What an endpoint may not be, and how many there may be.

use flows::TestStack;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, created, everything, get, path, post};

#[tokio::test(flavor = "multi_thread")]
async fn every_bound_of_an_endpoint_is_named() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    let headers = |count: usize| {
        let headers = (0..count).map(|n| (format!("x-{n}"), json!("1")));
        Value::Object(headers.collect())
    };
    let cases = [
        (json!({ "url": null }), "url"),
        (json!({ "url": 7 }), "url"),
        (
            json!({ "url": format!("https://a.example/{}", "a".repeat(2_031)) }),
            "url",
        ),
        (json!({ "url": "https://user:canary@a.example/" }), "user"),
        (json!({ "url": "https://a.example/#b" }), "fragment"),
        (json!({ "url": "ftp://a.example/" }), "https://"),
        (json!({ "url": "hooks" }), "URL"),
        (json!({ "description": "x".repeat(1_001) }), "description"),
        (json!({ "description": ["x"] }), "description"),
        (json!({ "filter": "colour:red" }), "unknown field"),
        (json!({ "filter": "a ".repeat(51) }), "50"),
        (json!({ "filter": "a".repeat(2_049) }), "2048"),
        (json!({ "filter": 1 }), "filter"),
        (json!({ "event_types": "open" }), "event_types"),
        (json!({ "event_types": [""] }), "event_types"),
        (json!({ "event_types": vec!["a"; 101] }), "event_types"),
        (json!({ "headers": ["x"] }), "headers"),
        (json!({ "headers": { "x-a": 1 } }), "headers"),
        (json!({ "headers": headers(21) }), "20"),
        (json!({ "headers": { "Webhook-Id": "1" } }), "webhook-id"),
        (json!({ "headers": { "host": "canary" } }), "host"),
        (json!({ "headers": { "x-a": "canary\r\nx-b: 1" } }), "x-a"),
        (json!({ "headers": { "x-a": "1", "X-A": "2" } }), "x-a"),
        (json!({ "headers": { "x-none": "***" } }), "x-none"),
        (json!({ "headers": { "x-a": "a".repeat(2_049) } }), "x-a"),
        (json!({ "retry_schedule": vec![1; 21] }), "retry_schedule"),
        (json!({ "retry_schedule": [0] }), "retry_schedule"),
        (json!({ "retry_schedule": [604_801] }), "retry_schedule"),
        (json!({ "retry_schedule": [1.5] }), "retry_schedule"),
        (json!({ "retry_schedule": "never" }), "retry_schedule"),
        (json!({ "rate_limit": 0 }), "rate_limit"),
        (json!({ "rate_limit": 1_001 }), "rate_limit"),
        (json!({ "rate_limit": "5" }), "rate_limit"),
        (json!({ "secret": "whsec_x" }), "secret"),
        (json!({ "status": "disabled" }), "status"),
    ];
    for (body, named) in cases {
        let mut new = json!({ "url": "https://hooks.example.com/" });
        new.as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        for (method, path, body) in [
            (Method::POST, "/v1/endpoints".to_owned(), &new),
            (Method::PATCH, path(&made, ""), &body),
        ] {
            let answer = ask(&stack, method.clone(), &path, body).await;
            assert_eq!(answer.error().0, 400, "{method} {body}");
            assert!(
                answer.body.contains(named),
                "{method} {body}: {}",
                answer.body
            );
            assert!(!answer.body.contains("canary"), "{}", answer.body);
        }
    }
    let large = json!({ "url": "https://a.example/", "description": "x".repeat(65_536) });
    let answer = post(&stack, "/v1/endpoints", &large).await;
    assert_eq!(answer.error(), (413, "too_large".into()));
    assert_eq!(
        get(&stack, "/v1/endpoints").await["endpoints"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deployed_an_endpoint_is_public_and_https() {
    let refused = ("AllowPrivateEndpoints".to_owned(), "false".to_owned());
    let stack = TestStack::start_with(|options| options.local.parameters.extend([refused])).await;
    for url in [
        "http://hooks.example.com/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
    ] {
        let answer = post(&stack, "/v1/endpoints", &json!({ "url": url })).await;
        assert_eq!(answer.error(), (400, "bad_url".into()), "{url}");
    }
    created(&stack, &json!({ "url": "https://hooks.example.com/" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_a_thousand_endpoints_at_most() {
    let stack = TestStack::start().await;
    let first = created(&stack, &everything()).await;
    let items = stack.items("EndpointsTable").await;
    let mut version = items
        .into_iter()
        .find(|item| item["sk"]["S"] == "#version")
        .unwrap();
    version["count"] = json!({ "N": "999" });
    let request = json!({ "TableName": stack.table("EndpointsTable"), "Item": version });
    stack.dynamo("PutItem", request).await;
    created(&stack, &everything()).await;
    let answer = post(&stack, "/v1/endpoints", &everything()).await;
    assert_eq!(answer.error(), (409, "too_many_endpoints".into()));
    ask(&stack, Method::DELETE, &path(&first, ""), &Value::Null).await;
    created(&stack, &everything()).await;
}
