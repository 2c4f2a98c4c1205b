//! `POST /v1/ingest/{endpoint_id}`.

use domain::Scope;
use flows::{Answer, TestStack, noise};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::endpoints::{created, path, post};
use crate::tokens::rights;

const BODY: &str = r#"{ "b": 1.50,  "a": "\u00fc\/", "n": 123456789012345678901234567890 }"#;

pub(crate) async fn endpoint(stack: &TestStack) -> Value {
    created(
        stack,
        &json!({ "url": "http://localhost:9/", "filter": "type:nothing" }),
    )
    .await
}

fn address(endpoint: &Value, query: &str) -> String {
    format!("/v1/ingest/{}{query}", endpoint["id"].as_str().unwrap())
}

/// What `openssl dgst -sha256 -hmac "$INGEST_SECRET"` prints.
pub(crate) fn signature(secret: &Value, body: &str) -> String {
    domain::signing::hub_signature(secret.as_str().unwrap().as_bytes(), body.as_bytes())
}

async fn signed(stack: &TestStack, endpoint: &Value, query: &str, body: &str) -> Answer {
    let signature = signature(&endpoint["ingest_secret"], body);
    let headers = [("x-hub-signature-256", signature.as_str())];
    let address = address(endpoint, query);
    let body = body.to_owned();
    stack
        .http()
        .request(Method::POST, &address, &headers, body)
        .await
}

async fn by_token(stack: &TestStack, endpoint: &Value, query: &str, body: &str) -> Answer {
    let token = stack.token(&rights(&[Scope::Write], "", false));
    let address = address(endpoint, query);
    stack
        .http()
        .post(&address, &token, &[], body.to_owned())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_is_an_event_for_that_endpoint_byte_for_byte() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect_with("").await;
    let endpoint = endpoint(&stack).await;
    for (answer, kind) in [
        (signed(&stack, &endpoint, "", BODY).await, "ingest"),
        (by_token(&stack, &endpoint, "", BODY).await, "ingest"),
        (
            signed(&stack, &endpoint, "?type=order.created", BODY).await,
            "order.created",
        ),
    ] {
        assert_eq!(answer.status, 202, "{}", answer.body);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let event = stack
            .http()
            .get(&format!("/v1/events/{id}"), &stack.urls().token)
            .await;
        assert!(
            event.body.contains(&format!(r#""data":{BODY}"#)),
            "{}",
            event.body
        );
        let event = event.json();
        assert_eq!(
            (&event["type"], &event["source"]),
            (&json!(kind), &json!("ingest"))
        );
        assert_eq!(event["webhook"], endpoint["id"]);
    }
    assert_eq!(socket.hear_events(3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_json_is_taken_and_nothing_else() {
    let stack = TestStack::start().await;
    let endpoint = endpoint(&stack).await;
    for body in ["null", "7", "\"x\"", "[]", " {} \n", "{\"a\":1,\"a\":2}"] {
        let answer = by_token(&stack, &endpoint, "", body).await;
        assert_eq!(answer.status, 202, "{body}: {}", answer.body);
    }
    for body in ["", "{", "a=b", "{} {}", "'x'", "NaN"] {
        let answer = by_token(&stack, &endpoint, "", body).await;
        assert_eq!(answer.error(), (400, "bad_json".into()), "{body}");
    }
    assert_eq!(stack.history().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_posts_signs_or_may_write() {
    let stack = TestStack::start().await;
    let (one, other) = (endpoint(&stack).await, endpoint(&stack).await);
    let ask = async |headers: &[(&str, &str)]| {
        stack
            .http()
            .request(Method::POST, &address(&one, ""), headers, BODY)
            .await
    };
    assert_eq!(ask(&[]).await.error(), (401, "unauthorized".into()));
    let right = signature(&one["ingest_secret"], BODY);
    for wrong in [
        signature(&other["ingest_secret"], BODY),
        // It signs what is sent out, and nothing else.
        signature(&one["secret"], BODY),
        signature(&one["ingest_secret"], "{}"),
        right.replace("sha256=", "sha1="),
        right[..right.len() - 1].to_owned(),
        right.replace("sha256=", ""),
        "sha256=".to_owned(),
        String::new(),
    ] {
        let answer = ask(&[("x-hub-signature-256", &wrong)]).await;
        assert_eq!(answer.error(), (403, "bad_signature".into()), "{wrong}");
    }
    // A wrong signature is not healed by a token, nor does a wrong token spoil a right one.
    let bearer = format!("Bearer {}", stack.urls().token);
    let both = [
        ("x-hub-signature-256", "sha256=00"),
        ("authorization", bearer.as_str()),
    ];
    assert_eq!(ask(&both).await.error(), (403, "bad_signature".into()));
    let both = [
        ("x-hub-signature-256", right.as_str()),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(ask(&both).await.status, 202);
    let reader = stack.token(&rights(&[Scope::Read, Scope::Endpoints], "", false));
    let reader = format!("Bearer {reader}");
    assert_eq!(
        ask(&[("authorization", &reader)]).await.error(),
        (403, "forbidden".into())
    );
    let wrong = [("authorization", "Bearer x")];
    assert_eq!(ask(&wrong).await.error(), (401, "unauthorized".into()));
    assert_eq!(stack.history().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_has_to_be_there_and_enabled() {
    let stack = TestStack::start().await;
    let endpoint = endpoint(&stack).await;
    for id in ["ep_00000000000000000000000000", "ep_x", "x"] {
        let unknown = json!({ "id": id, "ingest_secret": "whin_x" });
        for answer in [
            by_token(&stack, &unknown, "", BODY).await,
            signed(&stack, &unknown, "", BODY).await,
        ] {
            assert_eq!(answer.error(), (404, "not_found".into()), "{id}");
        }
    }
    post(&stack, &path(&endpoint, "/disable"), &Value::Null).await;
    let answer = signed(&stack, &endpoint, "", BODY).await;
    assert_eq!(answer.error(), (409, "endpoint_disabled".into()));
    post(&stack, &path(&endpoint, "/enable"), &Value::Null).await;
    assert_eq!(signed(&stack, &endpoint, "", BODY).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_is_one_that_may_be_published() {
    let stack = TestStack::start().await;
    let endpoint = endpoint(&stack).await;
    for (query, code) in [
        ("?type=", "bad_type"),
        ("?type=two+words", "bad_type"),
        ("?type=open", "reserved_type"),
        ("?type=endpoint.test", "reserved_type"),
        ("?type=delivery.exhausted", "reserved_type"),
        ("?type=a&type=b", "repeated_parameter"),
        ("?kind=a", "unknown_parameter"),
    ] {
        let answer = signed(&stack, &endpoint, query, BODY).await;
        assert_eq!(answer.error(), (400, code.into()), "{query}");
    }
    assert!(stack.history().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_endpoints_and_stores_one_event() {
    let stack = TestStack::start().await;
    let (one, other) = (endpoint(&stack).await, endpoint(&stack).await);
    let send = async |endpoint: &Value, query: &str, body: &str| {
        let signature = signature(&endpoint["ingest_secret"], body);
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("idempotency-key", "order-1"),
        ];
        let address = address(endpoint, query);
        let body = body.to_owned();
        stack
            .http()
            .request(Method::POST, &address, &headers, body)
            .await
    };
    let at_once = join_all((0..4).map(|_| send(&one, "", BODY))).await;
    assert!(
        at_once
            .iter()
            .all(|answer| answer.status == 202 && answer.body == at_once[0].body)
    );
    for (query, body) in [("", "{}"), ("?type=a", BODY)] {
        let answer = send(&one, query, body).await;
        assert_eq!(
            answer.error(),
            (409, "idempotency_conflict".into()),
            "{query} {body}"
        );
    }
    assert_ne!(send(&other, "", BODY).await.body, at_once[0].body);
    assert_eq!(stack.history().await.len(), 2);
    let headers = [("idempotency-key", "two words")];
    let token = &stack.urls().token;
    let answer = stack
        .http()
        .post(&address(&one, ""), token, &headers, BODY)
        .await;
    assert_eq!(answer.error(), (400, "bad_idempotency_key".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_is_kept_whole_and_more_is_refused() {
    let stack = TestStack::start().await;
    let endpoint = endpoint(&stack).await;
    let body = |bytes: usize| format!("\"{}\"", noise(bytes - 2));
    let limit = 1024 * 1024;
    let answer = signed(&stack, &endpoint, "", &body(limit)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let oversized = crate::oversized::the_oversized(&stack).await;
    assert_eq!(oversized["id"], answer.json()["id"]);
    let whole = crate::oversized::by_id(&stack, &oversized).await;
    assert!(whole.contains(&body(limit)));
    for answer in [
        signed(&stack, &endpoint, "", &body(limit + 1)).await,
        by_token(&stack, &endpoint, "", &body(limit + 1)).await,
    ] {
        assert_eq!(answer.error(), (413, "too_large".into()));
    }
    assert_eq!(stack.history().await.len(), 1);
}
