//! The way in: who is let in, and what everybody else is told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flows::{Answer, DEADLINE, Mandrill, TestStack, batch, eventually, form, send, sends};
use reqwest::Method;
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
const VECTORS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/mandrill/testdata/signed/"
);

/// A POST of a form that is signed, or not.
async fn post(stack: &TestStack, path: &str, body: String, signature: Option<&str>) -> Answer {
    let mut headers = vec![("content-type", FORM)];
    headers.extend(signature.map(|signature| ("x-mandrill-signature", signature)));
    stack
        .http()
        .request(Method::POST, path, &headers, body)
        .await
}

/// A signature of a whole form, valid for the stack's first key.
fn signed(stack: &TestStack, body: &str) -> String {
    let urls = stack.urls();
    let form = mandrill::Form::parse(body.as_bytes());
    mandrill::sign(urls.webhook_keys[0].as_bytes(), &urls.webhook_url, &form)
}

async fn post_json(stack: &TestStack, path: &str) -> Answer {
    let headers = [("content-type", "application/json; charset=utf-8")];
    let http = stack.http();
    http.request(Method::POST, path, &headers, sends(0..2))
        .await
}

fn without_keys(secret: &mut Value) {
    secret["webhook_keys"] = json!([]);
}

async fn stack_with_url_secret() -> TestStack {
    TestStack::start_with(|options| options.url_secret = Some(("s".into(), "hidden".into()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mandrills_first_look_is_answered_before_there_is_any_key() {
    let stack = TestStack::start().await;
    stack.change_secret(without_keys);
    for path in ["/mandrill", "/mandrill/"] {
        let answer = stack.http().request(Method::HEAD, path, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, ""),
            "{path}"
        );
        let test = Mandrill::new("", &stack.urls().webhook_url, "test-webhook");
        let check = test.sign("[]");
        let answer = post(&stack, path, check.body, Some(&check.signature)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, ""),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_the_answer_names_what_to_set() {
    let stack = TestStack::start().await;
    stack.change_secret(without_keys);
    let answer = stack.mandrill().post(sends(0..1)).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &body["error"]["code"]),
        (503, &json!("not_configured"))
    );
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("webhook_keys"), "{message}");
    let unsigned = post(&stack, "/mandrill", form(b"[]"), None).await;
    assert_eq!(unsigned.error(), (503, "not_configured".into()));
    assert!(stack.history().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_known_signature_is_judged_as_it_should_be() {
    let vectors = std::fs::read(format!("{VECTORS}vectors.json")).unwrap();
    let vectors: Vec<Value> = serde_json::from_slice(&vectors).unwrap();
    let urls = |vectors: &[Value]| {
        let mut urls: Vec<_> = vectors
            .iter()
            .map(|v| v["url"].as_str().unwrap().to_owned())
            .collect();
        urls.dedup();
        urls
    };
    let stack = TestStack::start_with(|options| {
        options.webhook_urls = urls(&vectors);
        options.webhook_keys = vec![
            ("main".into(), "kT3_sample-webhook-key".into()),
            ("sync".into(), "another-key-for-sync".into()),
        ];
    })
    .await;
    for vector in &vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let body = std::fs::read_to_string(format!("{VECTORS}{}", text("body_file"))).unwrap();
        let answer = post(&stack, "/mandrill", body, Some(text("signature"))).await;
        if vector["valid"] == true {
            assert_eq!(answer.status, 200, "{}: {}", text("name"), answer.body);
        } else {
            assert_eq!(
                answer.error(),
                (403, "bad_signature".into()),
                "{}",
                text("name")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_is_missing_or_none_is_refused_before_the_batch_is_looked_at() {
    let stack = TestStack::start().await;
    let signature = signed(&stack, &form(sends(0..1).as_bytes()));
    let other = STANDARD.encode([7; 20]);
    for signature in [
        None,
        Some(""),
        Some("nonsense"),
        Some(&signature[1..]),
        Some(&other),
    ] {
        for body in [
            form(sends(0..1).as_bytes()),
            form(b"{}").replace("events", "other"),
        ] {
            let answer = post(&stack, "/mandrill", body, signature).await;
            assert_eq!(
                answer.error(),
                (403, "bad_signature".into()),
                "{signature:?}"
            );
        }
    }
    assert!(stack.history().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_form_is_never_refused_whatever_is_in_it() {
    let stack = TestStack::start().await;
    let twice = format!("{}&{}", form(b"[[1]]"), form(b"[[2]]"));
    for (body, count) in [
        (form(b"{}"), 1),
        (form(b"null"), 1),
        (form(b""), 0),
        (form(b"nonsense"), 1),
        (form(b"\"[]\""), 1),
        (String::new(), 0),
        ("other=1".to_owned(), 1),
        (twice, 2),
        (form(b"[]"), 0),
        (form(b"\xef\xbb\xbf[[3]]"), 1),
        (form(b"[\"\0\",\"\xff\"]"), 2),
    ] {
        let before = stack.history().await.len();
        let signature = signed(&stack, &body);
        let answer = post(&stack, "/mandrill", body.clone(), Some(&signature)).await;
        assert_eq!(answer.status, 200, "{body}");
        let stored = stack.history().await;
        assert_eq!(stored.len() - before, count, "{body}");
        assert!(stored.iter().all(|event| event["type"] == "unknown"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_which_there_are() {
    let stack = TestStack::start().await;
    for method in [
        Method::GET,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        let answer = stack
            .http()
            .request(method.clone(), "/mandrill", &[], "")
            .await;
        assert_eq!(
            answer.error(),
            (405, "method_not_allowed".into()),
            "{method}"
        );
        assert_eq!(answer.headers["allow"], "HEAD, POST");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_content_types_are_refused() {
    let stack = TestStack::start().await;
    let batch = stack.mandrill().sign(sends(0..1));
    for content_type in ["text/plain", "multipart/form-data; boundary=x", ""] {
        let mut headers = vec![("x-mandrill-signature", batch.signature.as_str())];
        if !content_type.is_empty() {
            headers.push(("content-type", content_type));
        }
        let body = batch.body.clone();
        let answer = stack
            .http()
            .request(Method::POST, "/mandrill", &headers, body)
            .await;
        assert_eq!(
            answer.error(),
            (415, "unsupported_media_type".into()),
            "{content_type}"
        );
    }
    let headers = [
        ("x-mandrill-signature", batch.signature.as_str()),
        (
            "content-type",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        ),
    ];
    let answer = stack
        .http()
        .request(Method::POST, "/mandrill", &headers, batch.body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_taken_with_a_url_secret_only() {
    let stack = TestStack::start().await;
    let answer = post_json(&stack, "/mandrill?s=hidden").await;
    assert_eq!(answer.error(), (415, "unsupported_media_type".into()));

    let stack = stack_with_url_secret().await;
    for path in [
        "/mandrill",
        "/mandrill?s=wrong",
        "/mandrill?s=",
        "/mandrill?t=hidden",
    ] {
        let answer = post_json(&stack, path).await;
        assert_eq!(answer.error(), (403, "bad_signature".into()), "{path}");
    }
    let answer = post_json(&stack, "/mandrill?s=hidden").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let events = stack.history().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["webhook"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_and_a_url_secret_both_are_required() {
    let stack = stack_with_url_secret().await;
    let batch = stack.mandrill().sign(sends(0..1));
    let signature = Some(batch.signature.as_str());
    for path in ["/mandrill", "/mandrill?s=wrong"] {
        let answer = post(&stack, path, batch.body.clone(), signature).await;
        assert_eq!(answer.error(), (403, "bad_signature".into()), "{path}");
    }
    for signature in [None, Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")] {
        let answer = post(&stack, "/mandrill?s=hidden", batch.body.clone(), signature).await;
        assert_eq!(
            answer.error(),
            (403, "bad_signature".into()),
            "{signature:?}"
        );
    }
    let answer = post(&stack, "/mandrill?s=hidden", batch.body.clone(), signature).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_secret_without_keys_admits_alone() {
    let stack = stack_with_url_secret().await;
    stack.change_secret(without_keys);
    let body = form(sends(0..1).as_bytes());
    let refused = post(&stack, "/mandrill?s=wrong", body.clone(), None).await;
    assert_eq!(refused.error(), (403, "bad_signature".into()));
    let answer = post(&stack, "/mandrill?s=hidden", body, None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(stack.history().await[0]["webhook"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_the_gateway_or_for_lambda_is_answered_413() {
    let stack = TestStack::start().await;
    let body = |bytes: usize| form(&vec![b'x'; bytes - "mandrill_events=".len()]);
    let answer = post(&stack, "/mandrill", body(10 * 1024 * 1024 + 1), None).await;
    assert_eq!(answer.status, 413);
    // 4.6 MB in base64 are more than the 6 MB of a payload.
    let answer = post(&stack, "/mandrill", body(4_600_000 * 105 / 100), None).await;
    assert_eq!(answer.status, 413);
    // What just fits is looked at: here, its signature.
    let answer = post(&stack, "/mandrill", body(4_600_000), None).await;
    assert_eq!(answer.error(), (403, "bad_signature".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailing_slash_makes_no_difference_and_other_paths_are_not_found() {
    let stack = TestStack::start().await;
    let batch = stack.mandrill().sign(sends(0..1));
    let signature = Some(batch.signature.as_str());
    for path in [
        "/",
        "/mandrill/more",
        "/mandrill//",
        "/Mandrill",
        "/v1/nothing",
    ] {
        let answer = post(&stack, path, batch.body.clone(), signature).await;
        assert_eq!(answer.error(), (404, "not_found".into()), "{path}");
    }
    let answer = post(&stack, "/mandrill/", batch.body.clone(), signature).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_a_parameter_of_the_template() {
    let stack = TestStack::start_with(|options| {
        let path = ("WebhookPath".to_owned(), "/hooks/mail".to_owned());
        options.local.parameters.extend([path]);
    })
    .await;
    assert!(stack.urls().webhook_url.ends_with("/hooks/mail"));
    let batch = stack.mandrill().sign(sends(0..1));
    let signature = Some(batch.signature.as_str());
    let answer = post(&stack, "/hooks/mail", batch.body.clone(), signature).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = post(&stack, "/mandrill", batch.body, signature).await;
    assert_eq!(answer.error(), (404, "not_found".into()));
}

/// As users of Djrill and others have it in Mandrill already, where it need not be touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_mandrill_knows_already_is_kept_with_or_without_its_slash() {
    for (number, path) in ["/webhook/", "/djrill/webhook/", "/djrill/webhook"]
        .into_iter()
        .enumerate()
    {
        let stack = TestStack::start_with(|options| {
            let path = ("WebhookPath".to_owned(), path.to_owned());
            options.local.parameters.extend([path]);
            options.local.allow_hosts = vec!["hooks.example.com".to_owned()];
        })
        .await;
        let own = stack.urls().webhook_url.clone();
        assert_eq!(own, format!("{}{path}", stack.urls().http));
        let key = &stack.urls().webhook_keys[0];
        Mandrill::new(&own, &own, key).deliver(sends(0..1)).await;
        // Whichever of both stands in Mandrill is what Mandrill posts to and signs.
        let bare = path.trim_end_matches('/');
        for (at, known) in [bare.to_owned(), format!("{bare}/")].iter().enumerate() {
            let url = format!("https://hooks.example.com{known}");
            let batch = Mandrill::new("", &url, key).sign(sends(at + 1..at + 2));
            let headers = [
                ("host", "hooks.example.com"),
                ("content-type", FORM),
                ("x-mandrill-signature", batch.signature.as_str()),
            ];
            let asked = stack.http().request(Method::HEAD, known, &headers[..1], "");
            assert_eq!(asked.await.status, 200, "{known}");
            let posted = stack
                .http()
                .request(Method::POST, known, &headers, batch.body);
            let answer = posted.await;
            assert_eq!(answer.status, 200, "{number} {known}: {}", answer.body);
        }
        assert_eq!(stack.history().await.len(), 3);
        let answer = post(&stack, "/mandrill", "mandrill_events=[]".to_owned(), None).await;
        assert_eq!(answer.error(), (404, "not_found".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_under_which_the_gateway_is_reached_needs_no_configuration() {
    let stack = TestStack::start_with(|options| {
        options.local.allow_hosts = vec!["hooks.example.com".to_owned()];
    })
    .await;
    let url = "https://hooks.example.com/mandrill/?tenant=acme&x=1%202";
    let batch = Mandrill::new("", url, &stack.urls().webhook_keys[0]).sign(sends(0..1));
    let headers = [
        ("host", "hooks.example.com"),
        ("content-type", FORM),
        ("x-mandrill-signature", batch.signature.as_str()),
    ];
    let path = "/mandrill/?tenant=acme&x=1%202";
    let answer = stack
        .http()
        .request(Method::POST, path, &headers, batch.body.clone())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let other = "/mandrill/?tenant=acme";
    let answer = stack
        .http()
        .request(Method::POST, other, &headers, batch.body)
        .await;
    assert_eq!(answer.error(), (403, "bad_signature".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_says_which_key_verified_it() {
    let stack = TestStack::start_with(|options| {
        options.webhook_keys = vec![
            ("orders".into(), "key of the orders".into()),
            ("letters".into(), "key of the letters".into()),
        ];
    })
    .await;
    let url = &stack.urls().webhook_url;
    for (n, key) in stack.urls().webhook_keys.iter().enumerate() {
        let mandrill = Mandrill::new(&stack.webhook(), url, key);
        mandrill.deliver(batch([send(n)])).await;
    }
    let events = stack.history().await;
    let mut seen: Vec<_> = events
        .iter()
        .map(|e| (&e["metadata"]["n"], &e["webhook"]))
        .collect();
    seen.sort_by_key(|(n, _)| n.as_u64());
    let expected = [
        (&json!(0), &json!("orders")),
        (&json!(1), &json!("letters")),
    ];
    assert_eq!(seen, expected);
}

/// It takes half a minute: so long is the secret not read again for a wrong signature.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_without_a_restart() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..1)).await;
    stack.change_secret(|secret| {
        secret["webhook_keys"] = json!([{ "name": "next", "key": "the next key" }]);
    });
    let next = Mandrill::new(&stack.webhook(), &stack.urls().webhook_url, "the next key");
    eventually(DEADLINE, async || {
        let answer = next.post(sends(1..2)).await;
        let is_taken = answer.status == 200;
        is_taken.then_some(()).ok_or(answer.body)
    })
    .await;
    assert_eq!(stack.mandrill().post(sends(2..3)).await.status, 403);
    assert_eq!(stack.history().await[0]["webhook"], "next");
}
