//! Methods, paths, origins and encodings, whatever is asked for.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use flows::{TestStack, sends};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixtures::{TOKEN, fixture, streamed};

const ORIGIN: &str = "https://app.example";

async fn ask(stack: &TestStack, method: &str, path: &str, more: &[(&str, &str)]) -> flows::Answer {
    let bearer = format!("Bearer {}", stack.urls().token);
    let headers = [&[("authorization", bearer.as_str())], more].concat();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    stack.http().request(method, path, &headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_a_body() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..1)).await;
    for (path, status) in [
        ("/v1/events", 200),
        ("/v1/events?limit=0", 400),
        ("/v1/events/nonsense", 400),
        ("/v1/event-types", 200),
        ("/v1/messages/m/events", 200),
        ("/healthz", 200),
        ("/openapi.json", 200),
        ("/docs", 200),
        ("/docs/swagger-ui.css", 200),
        ("/v1/elsewhere", 404),
    ] {
        let (get, head) = (
            ask(&stack, "GET", path, &[]).await,
            ask(&stack, "HEAD", path, &[]).await,
        );
        assert_eq!(
            (get.status.as_u16(), head.status.as_u16()),
            (status, status)
        );
        assert_eq!(get.header("content-type"), head.header("content-type"));
        assert!(!get.body.is_empty() && head.body.is_empty(), "{path}");
    }
    // Mandrill's question before it makes a key is none of this function's.
    let answer = stack
        .http()
        .request(Method::HEAD, "/mandrill", &[], "")
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_says_which_methods_it_has() {
    let stack = TestStack::start().await;
    for (path, allow, other) in [
        ("/v1/events", "GET, HEAD, POST, OPTIONS", "DELETE"),
        ("/v1/events/x", "GET, HEAD, OPTIONS", "POST"),
        ("/v1/messages/x/events", "GET, HEAD, OPTIONS", "PUT"),
        ("/v1/event-types", "GET, HEAD, OPTIONS", "PATCH"),
        ("/v1/tickets", "POST, OPTIONS", "GET"),
        ("/v1/endpoints", "GET, HEAD, POST, OPTIONS", "PUT"),
        (
            "/v1/endpoints/x",
            "GET, HEAD, PATCH, DELETE, OPTIONS",
            "POST",
        ),
        ("/v1/endpoints/x/rotate-secret", "POST, OPTIONS", "GET"),
        ("/v1/endpoints/x/test", "POST, OPTIONS", "GET"),
        ("/v1/endpoints/x/disable", "POST, OPTIONS", "PUT"),
        ("/v1/endpoints/x/enable", "POST, OPTIONS", "PUT"),
        ("/v1/endpoints/x/recover", "POST, OPTIONS", "PATCH"),
        ("/v1/endpoints/x/replay-missing", "POST, OPTIONS", "DELETE"),
        ("/v1/endpoints/x/attempts", "GET, HEAD, OPTIONS", "POST"),
        ("/v1/events/x/deliveries", "GET, HEAD, OPTIONS", "POST"),
        ("/v1/deliveries", "GET, HEAD, OPTIONS", "POST"),
        ("/v1/deliveries/x/retry", "POST, OPTIONS", "GET"),
        ("/v1/ingest/x", "POST, OPTIONS", "GET"),
        ("/healthz", "GET, HEAD, OPTIONS", "POST"),
        ("/openapi.json", "GET, HEAD, OPTIONS", "POST"),
        ("/docs", "GET, HEAD, OPTIONS", "POST"),
        ("/docs/start.js", "GET, HEAD, OPTIONS", "TRACE"),
    ] {
        // Nobody has to be known for this.
        let answer = stack.http().request(Method::OPTIONS, path, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (204, allow)
        );
        let answer = ask(&stack, other, path, &[]).await;
        assert_eq!(answer.error(), (405, "method_not_allowed".into()), "{path}");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
    for path in [
        "/v1/",
        "/v1/event",
        "/v1/events/a/b",
        "/v1/messages//events",
        "/docs/x.js",
    ] {
        let answer = ask(&stack, "GET", path, &[]).await;
        assert_eq!(answer.error(), (404, "not_found".into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_listed_origins_may_read_the_answers_and_no_others() {
    let listed = format!("https://other.example, {ORIGIN}");
    let stack = TestStack::start_with(|options| {
        options
            .local
            .parameters
            .insert("CorsOrigins".into(), listed);
    })
    .await;
    let allowed = |answer: &flows::Answer| answer.header("access-control-allow-origin").to_owned();
    let preflight = [
        ("origin", ORIGIN),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,idempotency-key",
        ),
    ];
    let answer = stack
        .http()
        .request(Method::OPTIONS, "/v1/events", &preflight, "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), allowed(&answer).as_str()),
        (204, ORIGIN)
    );
    assert_eq!(
        answer.header("access-control-allow-methods"),
        "DELETE, GET, HEAD, PATCH, POST"
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "Authorization, Content-Type, Idempotency-Key"
    );
    for path in ["/v1/events", "/v1/events?limit=0", "/v1/elsewhere"] {
        let answer = ask(&stack, "GET", path, &[("origin", ORIGIN)]).await;
        assert_eq!(
            (allowed(&answer).as_str(), answer.header("vary")),
            (ORIGIN, "Origin")
        );
    }
    // Also who is not let in has to be able to read why.
    let headers = [("origin", ORIGIN)];
    let answer = stack
        .http()
        .request(Method::GET, "/v1/events", &headers, "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), allowed(&answer).as_str()),
        (401, ORIGIN)
    );
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.evil.example",
    ] {
        let answer = ask(&stack, "GET", "/v1/events", &[("origin", origin)]).await;
        assert_eq!(
            (answer.status.as_u16(), allowed(&answer).as_str()),
            (200, "")
        );
    }
    let without = TestStack::start().await;
    let answer = without
        .http()
        .request(Method::OPTIONS, "/v1/events", &preflight, "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), allowed(&answer).as_str()),
        (204, "")
    );
}

/// The answer of the function to a sample with these changes.
async fn invoke(stack: &TestStack, change: impl FnOnce(&mut Value)) -> Value {
    let sample = fixture("api/list.json").replace(TOKEN, &stack.urls().token);
    let mut payload: Value = serde_json::from_str(&sample).unwrap();
    change(&mut payload);
    let answer = stack.invoke("ApiFunction", payload.to_string()).await;
    serde_json::from_str(&answer.expect("an answer")).unwrap()
}

fn unpacked(answer: &Value) -> String {
    let packed = STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
    let mut text = String::new();
    GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_is_compressed_for_who_takes_it() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..50)).await;
    let accepting = |encoding: &'static str| {
        invoke(&stack, move |payload| {
            payload["headers"]["accept-encoding"] = json!(encoding)
        })
    };
    let plain = accepting("br").await;
    assert_eq!(plain["isBase64Encoded"], false);
    let packed = accepting("gzip, deflate, br").await;
    let headers = &packed["headers"];
    assert_eq!(
        (&packed["isBase64Encoded"], &headers["content-encoding"]),
        (&json!(true), &json!("gzip"))
    );
    assert_eq!(headers["vary"], "Accept-Encoding");
    assert_eq!(unpacked(&packed), plain["body"].as_str().unwrap());
    assert!(packed.to_string().len() < plain.to_string().len() / 4);
    // What is small stays as it is.
    let small = invoke(&stack, |payload| {
        payload["headers"]["accept-encoding"] = json!("gzip");
        payload["rawQueryString"] = json!("limit=1");
    });
    assert_eq!(small.await["isBase64Encoded"], false);
    // Over HTTP it is bytes and no base64.
    let answer = ask(&stack, "GET", "/v1/events", &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_url_can_hold_is_answered_and_is_no_failure() {
    let stack = TestStack::start().await;
    for (header, value) in [
        ("host", "a b<>"),
        ("host", "\u{7f}"),
        ("x-forwarded-proto", "<"),
        ("x-forwarded-port", "many"),
        ("accept-encoding", "\u{1}"),
        ("origin", "\n"),
    ] {
        let answer = invoke(&stack, |payload| payload["headers"][header] = json!(value)).await;
        assert_eq!(answer["statusCode"], 200, "{header}: {value:?}");
    }
    for (query, status) in [
        ("filter=type:<&limit=5", 200),
        ("<", 400),
        ("%", 400),
        ("\u{0}=ä", 400),
        ("limit=5&", 200),
    ] {
        let answer = invoke(&stack, |payload| payload["rawQueryString"] = json!(query)).await;
        assert_eq!(answer["statusCode"], status, "{query:?}");
    }
    for (path, status) in [
        ("/v1/events/<>", 400),
        ("/v1/events/%ff", 400),
        ("/v1/messages/ä\u{0}/events", 200),
        ("", 400),
        ("//", 404),
    ] {
        let answer = invoke(&stack, |payload| payload["rawPath"] = json!(path)).await;
        assert_eq!(answer["statusCode"], status, "{path:?}");
    }
    let answer = invoke(&stack, |payload| {
        payload["requestContext"]["http"]["method"] = json!("G T")
    });
    assert_eq!(answer.await["statusCode"], 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_with_what_no_url_can_hold_is_answered_and_it_is_no_failure() {
    let stack = TestStack::start().await;
    let wait = async |change: &dyn Fn(&mut Value)| {
        let sample = fixture("tail/poll.json").replace(TOKEN, &stack.urls().token);
        let mut payload: Value = serde_json::from_str(&sample).unwrap();
        payload["rawQueryString"] = json!("wait=0");
        change(&mut payload);
        let (prelude, _) = streamed(&stack, payload.to_string()).await;
        prelude["statusCode"].clone()
    };
    for (header, value) in [
        ("host", "a b<>"),
        ("host", "\u{7f}"),
        ("x-forwarded-proto", "<"),
        ("last-event-id", "\u{1}"),
        ("origin", "\n"),
    ] {
        let status = wait(&|payload| payload["headers"][header] = json!(value)).await;
        assert_eq!(status, 200, "{header}: {value:?}");
    }
    for (query, status) in [
        ("wait=0&filter=type:<", 200),
        ("wait=0&filter=\"a\"", 200),
        ("<", 400),
        ("\"", 400),
        ("%", 400),
        ("\u{0}=ä", 400),
    ] {
        let answered = wait(&|payload| payload["rawQueryString"] = json!(query)).await;
        assert_eq!(answered, status, "{query:?}");
    }
    for (path, status) in [("", 404), ("/v1/<>", 404), ("/%ff\u{0}", 404)] {
        let answered = wait(&|payload| payload["rawPath"] = json!(path)).await;
        assert_eq!(answered, status, "{path:?}");
    }
    let status = wait(&|payload| payload["requestContext"]["http"]["method"] = json!("G T"));
    assert_eq!(status.await, 405);
}
