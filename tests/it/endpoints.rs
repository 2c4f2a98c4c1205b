//! `/v1/endpoints`: what there is, what it says, and what it never says again.

mod bounds;

use domain::Scope;
use flows::{Answer, TestStack};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::tokens::rights;

/// What may never be seen again.
const CANARY: &str = "canary-header-value";

/// A request of who may do everything.
pub(crate) async fn ask(stack: &TestStack, method: Method, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", stack.urls().token);
    let headers = [("authorization", bearer.as_str())];
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    stack.http().request(method, path, &headers, body).await
}

pub(crate) async fn get(stack: &TestStack, path: &str) -> Value {
    let answer = ask(stack, Method::GET, path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

pub(crate) async fn post(stack: &TestStack, path: &str, body: &Value) -> Answer {
    ask(stack, Method::POST, path, body).await
}

/// A new endpoint, as it was answered.
pub(crate) async fn created(stack: &TestStack, body: &Value) -> Value {
    let answer = post(stack, "/v1/endpoints", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

/// The path of an endpoint, with more behind it.
pub(crate) fn path(endpoint: &Value, more: &str) -> String {
    format!("/v1/endpoints/{}{more}", endpoint["id"].as_str().unwrap())
}

/// Without secrets, which are shown once.
fn shown(mut created: Value) -> Value {
    for name in ["secret", "ingest_secret"] {
        created.as_object_mut().unwrap().remove(name).unwrap();
    }
    created
}

fn everything() -> Value {
    json!({
        "url": "https://hooks.example.com/a?b=c",
        "description": "Bounces and größe",
        "filter": "type:*bounce -recipient:*@test.example",
        "event_types": ["hard_bounce", "order.*"],
        "headers": { "X-Team": CANARY, "authorization": CANARY },
        "retry_schedule": [1, 60, 604_800],
        "rate_limit": 7,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_shown_as_it_was_made_but_for_what_is_secret() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    for (field, value) in [
        ("url", json!("https://hooks.example.com/a?b=c")),
        ("description", json!("Bounces and größe")),
        ("filter", json!("type:*bounce -recipient:*@test.example")),
        ("event_types", json!(["hard_bounce", "order.*"])),
        (
            "headers",
            json!({ "authorization": "***", "x-team": "***" }),
        ),
        ("retry_schedule", json!([1, 60, 604_800])),
        ("rate_limit", json!(7)),
        ("status", json!("enabled")),
        ("disabled_reason", Value::Null),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert_eq!(made["created_at"], made["updated_at"]);
    assert_eq!(
        made["secrets"],
        json!([{ "created_at": made["created_at"], "expires_at": null }])
    );
    let health = json!({ "state": "ok", "consecutive_failures": 0, "failing_since": null });
    assert_eq!(made["health"], health);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_ne!(made["secret"], made["ingest_secret"]);

    let secrets =
        [&made["secret"], &made["ingest_secret"]].map(|secret| secret.as_str().unwrap().to_owned());
    let expected = shown(made);
    assert_eq!(get(&stack, &path(&expected, "")).await, expected);
    let list = json!({ "endpoints": [expected], "next": null });
    assert_eq!(get(&stack, "/v1/endpoints").await, list);
    let change = json!({ "description": "x" });
    let answers = [
        ask(&stack, Method::GET, "/v1/endpoints", &Value::Null).await,
        ask(&stack, Method::PATCH, &path(&expected, ""), &change).await,
        post(&stack, &path(&expected, "/disable"), &Value::Null).await,
        post(&stack, &path(&expected, "/rotate-secret"), &Value::Null).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        for secret in [CANARY, &secrets[0], &secrets[1]] {
            assert!(!answer.body.contains(secret), "{}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_that_an_endpoint_has_is_its_url() {
    let stack = TestStack::start().await;
    let made = created(&stack, &json!({ "url": "http://localhost:8888" })).await;
    let null = json!({
        "url": "http://localhost:8888/", "description": null, "filter": null, "event_types": null,
        "headers": null, "retry_schedule": null, "rate_limit": null,
    });
    let other = created(&stack, &null).await;
    for endpoint in [&made, &other] {
        assert_eq!(endpoint["url"], "http://localhost:8888/");
        assert_eq!(endpoint["description"], "");
        assert_eq!(endpoint["filter"], "");
        assert_eq!(endpoint["event_types"], json!([]));
        assert_eq!(endpoint["headers"], json!({}));
        assert_eq!(endpoint["retry_schedule"], json!([10, 30, 60, 300, 900]));
        assert_eq!(endpoint["rate_limit"], Value::Null);
    }
    assert_ne!(made["id"], other["id"]);
    assert_ne!(made["secret"], other["secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_changes_what_it_names() {
    let stack = TestStack::start().await;
    let before = shown(created(&stack, &everything()).await);
    let patch = async |body: Value| {
        let answer = ask(&stack, Method::PATCH, &path(&before, ""), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let mut expected = before.clone();
    for (change, field, value) in [
        (json!({ "description": null }), "description", json!("")),
        (json!({ "rate_limit": null }), "rate_limit", Value::Null),
        (
            json!({ "filter": "type:open" }),
            "filter",
            json!("type:open"),
        ),
        (json!({ "event_types": [] }), "event_types", json!([])),
        (json!({ "retry_schedule": [] }), "retry_schedule", json!([])),
        (
            json!({ "retry_schedule": "standard" }),
            "retry_schedule",
            json!([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]),
        ),
        (
            json!({ "url": "https://hooks.example.com/other" }),
            "url",
            json!("https://hooks.example.com/other"),
        ),
        // What is shown can be given back: a masked value stays.
        (
            json!({ "headers": { "X-TEAM": "***", "x-new": "1" } }),
            "headers",
            json!({ "x-new": "***", "x-team": "***" }),
        ),
    ] {
        expected[field] = value;
        let mut after = patch(change.clone()).await;
        assert!(after["updated_at"].as_str() >= expected["updated_at"].as_str());
        expected["updated_at"] = after["updated_at"].take();
        after["updated_at"] = expected["updated_at"].clone();
        assert_eq!(after, expected, "{change}");
        assert_eq!(get(&stack, &path(&before, "")).await, expected, "{change}");
    }
    // Nothing is named.
    let after = patch(json!({})).await;
    assert_eq!(after["url"], expected["url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_moment_are_all_made_or_refused() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    let changes = (0..4).map(|n| {
        let body = json!({ "headers": { format!("x-{n}"): "1" }, "description": n.to_string() });
        let (stack, path) = (&stack, path(&made, ""));
        async move { ask(stack, Method::PATCH, &path, &body).await }
    });
    let answers = join_all(changes).await;
    let changed = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(changed > 0);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.error(), (409, "conflict".into()));
    }
    let after = get(&stack, &path(&made, "")).await;
    let name = format!("x-{}", after["description"].as_str().unwrap());
    assert_eq!(after["headers"], json!({ name: "***" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_not_there_any_more() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    let answer = ask(&stack, Method::DELETE, &path(&made, ""), &Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    assert_eq!(get(&stack, "/v1/endpoints").await["endpoints"], json!([]));
    for (method, more) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::POST, "/rotate-secret"),
        (Method::POST, "/test"),
        (Method::POST, "/enable"),
        (Method::POST, "/disable"),
        (Method::GET, "/attempts"),
    ] {
        let answer = ask(&stack, method.clone(), &path(&made, more), &Value::Null).await;
        assert_eq!(answer.error(), (404, "not_found".into()), "{method} {more}");
    }
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    for more in ["/recover", "/replay-missing"] {
        let answer = post(&stack, &path(&made, more), &since).await;
        assert_eq!(answer.error(), (404, "not_found".into()), "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_every_endpoint_once() {
    let stack = TestStack::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        let body = json!({ "url": "https://hooks.example.com/", "description": n.to_string() });
        made.push(shown(created(&stack, &body).await));
    }
    let mut found = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = get(&stack, &format!("/v1/endpoints?{query}")).await;
        let endpoints = page["endpoints"].as_array().unwrap();
        assert!(endpoints.len() <= 2);
        found.extend(endpoints.clone());
        match page["next"].as_str() {
            Some(next) => query = format!("limit=2&after={next}"),
            None => break,
        }
    }
    made.sort_by_key(|endpoint| endpoint["id"].to_string());
    assert_eq!(found, made);
    for (query, code) in [
        ("limit=0", "bad_limit"),
        ("after=x", "bad_cursor"),
        ("colour=red", "unknown_parameter"),
    ] {
        let answer = ask(
            &stack,
            Method::GET,
            &format!("/v1/endpoints?{query}"),
            &Value::Null,
        )
        .await;
        assert_eq!(answer.error(), (400, code.into()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_with_an_overlap_and_at_most_ten_old_ones() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    let rotate = async |body: Value| post(&stack, &path(&made, "/rotate-secret"), &body).await;
    let answer = rotate(Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rotated = answer.json();
    assert_ne!(rotated["secret"], made["secret"]);
    let secrets = rotated["secrets"].as_array().unwrap();
    assert_eq!(
        (secrets.len(), &secrets[0]["expires_at"]),
        (2, &Value::Null)
    );
    assert!(secrets[1]["expires_at"].is_string());
    for _ in 0..9 {
        assert_eq!(rotate(json!({ "overlap_hours": 168 })).await.status, 200);
    }
    assert_eq!(
        rotate(json!({})).await.error(),
        (409, "too_many_secrets".into())
    );
    for body in [
        json!({ "overlap_hours": 169 }),
        json!({ "overlap_hours": -1 }),
        json!({ "overlap_hours": "1" }),
        json!({ "overlap": 1 }),
    ] {
        assert_eq!(rotate(body.clone()).await.error().0, 400, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_disabled_with_a_reason_and_enabled_again() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    for (body, reason) in [
        (Value::Null, "manual"),
        (json!({ "reason": null }), "manual"),
        (json!({ "reason": "moving house" }), "moving house"),
    ] {
        let answer = post(&stack, &path(&made, "/disable"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let disabled = answer.json();
        assert_eq!(disabled["status"], "disabled");
        assert_eq!(disabled["disabled_reason"], reason);
        for more in ["/test", "/recover", "/replay-missing"] {
            let body = match more {
                "/test" => Value::Null,
                _ => json!({ "since": "2026-01-01T00:00:00Z" }),
            };
            let answer = post(&stack, &path(&made, more), &body).await;
            assert_eq!(answer.error(), (409, "endpoint_disabled".into()), "{more}");
        }
        let answer = post(&stack, &path(&made, "/enable"), &Value::Null).await;
        let enabled = answer.json();
        assert_eq!(
            (&enabled["status"], &enabled["disabled_reason"]),
            (&json!("enabled"), &Value::Null)
        );
    }
    for body in [
        json!({ "reason": "x".repeat(201) }),
        json!({ "reason": "" }),
        json!({ "why": "x" }),
    ] {
        let answer = post(&stack, &path(&made, "/disable"), &body).await;
        assert_eq!(answer.error().0, 400, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_sees_everything_gets_endpoints() {
    let stack = TestStack::start().await;
    let made = created(&stack, &everything()).await;
    let all = [Scope::Read, Scope::Write, Scope::Endpoints];
    let others = [
        stack.token(&rights(&all[..2], "", false)),
        stack.token(&rights(&all[..2], "type:open", false)),
        stack.token(&rights(&all[..2], "", true)),
    ];
    let event = "evt_000000000000000000000000000000000000000";
    let routes = [
        (Method::GET, "/v1/endpoints".to_owned()),
        (Method::POST, "/v1/endpoints".to_owned()),
        (Method::GET, path(&made, "")),
        (Method::PATCH, path(&made, "")),
        (Method::DELETE, path(&made, "")),
        (Method::POST, path(&made, "/rotate-secret")),
        (Method::POST, path(&made, "/test")),
        (Method::POST, path(&made, "/enable")),
        (Method::POST, path(&made, "/disable")),
        (Method::POST, path(&made, "/recover")),
        (Method::POST, path(&made, "/replay-missing")),
        (Method::GET, path(&made, "/attempts")),
        (Method::GET, "/v1/deliveries".to_owned()),
        (Method::POST, "/v1/deliveries/dlv_x/retry".to_owned()),
        (Method::GET, format!("/v1/events/{event}/deliveries")),
    ];
    for (method, path) in &routes {
        for token in &others {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            let answer = stack
                .http()
                .request(method.clone(), path, &headers, "{}")
                .await;
            assert_eq!(answer.error(), (403, "forbidden".into()), "{method} {path}");
        }
        let answer = stack.http().request(method.clone(), path, &[], "{}").await;
        assert_eq!(
            answer.error(),
            (401, "unauthorized".into()),
            "{method} {path}"
        );
    }
    assert_eq!(get(&stack, &path(&made, "")).await["status"], "enabled");
}
