//! Every route, by every combination of scopes, a filter and a mask.

use std::collections::BTreeSet;

use domain::Scope;
use flows::{Socket, TestStack};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use platform::clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::tokens::rights;

const ID: &str = "evt_00000000000000000000000000000000000000z";
const ENDPOINT: &str = "ep_0000000000000000000000000000000000";

/// Method, path as it is documented, what is asked for, the body, and the scope that it takes.
const ROUTES: &[(&str, &str, &str, &str, Option<Scope>)] = &[
    ("GET", "/healthz", "/healthz", "", None),
    ("GET", "/v1/events", "/v1/events", "", Some(Scope::Read)),
    ("HEAD", "/v1/events", "/v1/events", "", Some(Scope::Read)),
    // The function with an address of its own.
    (
        "GET",
        "/v1/events",
        "/v1/events?wait=0",
        "",
        Some(Scope::Read),
    ),
    // A stream would not end; what is wrong is said to nobody who may not read.
    (
        "GET",
        "/v1/stream",
        "/v1/stream?last=x",
        "",
        Some(Scope::Read),
    ),
    (
        "GET",
        "/v1/event-types",
        "/v1/event-types",
        "",
        Some(Scope::Read),
    ),
    (
        "GET",
        "/v1/events/{id}",
        "/v1/events/ID",
        "",
        Some(Scope::Read),
    ),
    (
        "GET",
        "/v1/messages/{message_id}/events",
        "/v1/messages/m/events",
        "",
        Some(Scope::Read),
    ),
    (
        "POST",
        "/v1/tickets",
        "/v1/tickets",
        "{}",
        Some(Scope::Read),
    ),
    (
        "POST",
        "/v1/events",
        "/v1/events",
        r#"{"type":"order.created"}"#,
        Some(Scope::Write),
    ),
    (
        "POST",
        "/v1/ingest/{endpoint_id}",
        "/v1/ingest/EP",
        "{}",
        Some(Scope::Write),
    ),
    (
        "GET",
        "/v1/endpoints",
        "/v1/endpoints",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints",
        "/v1/endpoints",
        "{}",
        Some(Scope::Endpoints),
    ),
    (
        "GET",
        "/v1/endpoints/{endpoint_id}",
        "/v1/endpoints/EP",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "PATCH",
        "/v1/endpoints/{endpoint_id}",
        "/v1/endpoints/EP",
        "{}",
        Some(Scope::Endpoints),
    ),
    (
        "DELETE",
        "/v1/endpoints/{endpoint_id}",
        "/v1/endpoints/EP",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints/{endpoint_id}/rotate-secret",
        "/v1/endpoints/EP/rotate-secret",
        "{}",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints/{endpoint_id}/test",
        "/v1/endpoints/EP/test",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints/{endpoint_id}/enable",
        "/v1/endpoints/EP/enable",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints/{endpoint_id}/disable",
        "/v1/endpoints/EP/disable",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints/{endpoint_id}/recover",
        "/v1/endpoints/EP/recover",
        "{}",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/endpoints/{endpoint_id}/replay-missing",
        "/v1/endpoints/EP/replay-missing",
        "{}",
        Some(Scope::Endpoints),
    ),
    (
        "GET",
        "/v1/endpoints/{endpoint_id}/attempts",
        "/v1/endpoints/EP/attempts",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "GET",
        "/v1/deliveries",
        "/v1/deliveries",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "GET",
        "/v1/events/{id}/deliveries",
        "/v1/events/ID/deliveries",
        "",
        Some(Scope::Endpoints),
    ),
    (
        "POST",
        "/v1/deliveries/{delivery_id}/retry",
        "/v1/deliveries/x/retry",
        "",
        Some(Scope::Endpoints),
    ),
];

/// Answered to signatures in place of tokens.
const WITHOUT_TOKENS: [&str; 2] = ["head /mandrill", "post /mandrill"];

/// Every set of scopes but the empty one, of which no token is made.
fn sets() -> impl Iterator<Item = Vec<Scope>> {
    let all = [Scope::Read, Scope::Write, Scope::Endpoints];
    (1..8u8).map(move |set| {
        let held = all
            .iter()
            .enumerate()
            .filter(|(bit, _)| set >> bit & 1 == 1);
        held.map(|(_, scope)| *scope).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_takes_its_scope_and_nothing_else() {
    let stack = TestStack::start().await;
    for scopes in sets() {
        for (filter, mask) in [("", false), ("type:order.*,ingest", false), ("", true)] {
            let sees_everything = filter.is_empty() && !mask;
            if scopes.contains(&Scope::Endpoints) && !sees_everything {
                // No such token is made.
                continue;
            }
            let token = stack.token(&rights(&scopes, filter, mask));
            let bearer = format!("Bearer {token}");
            for (method, _, path, body, needed) in ROUTES {
                let path = path.replace("ID", ID).replace("EP", ENDPOINT);
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let headers = [("authorization", bearer.as_str())];
                let answer = stack.http().request(method.clone(), &path, &headers, *body);
                let status = answer.await.status;
                // A masked holder may not look up messages, whose ids are masked.
                let is_hidden = mask && path.starts_with("/v1/messages/");
                let has_scope = needed.is_none_or(|needed| scopes.contains(&needed));
                let is_allowed = has_scope && !is_hidden;
                let case = format!("{method} {path} with {scopes:?} {filter:?} {mask}: {status}");
                assert_eq!(status == 403, !is_allowed, "{case}");
                assert!(status != 401 && status.as_u16() < 500, "{case}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_without_a_token_and_every_route_says_its_methods_without_one() {
    let stack = TestStack::start().await;
    for (method, _, path, body, needed) in ROUTES {
        let path = path.replace("ID", ID).replace("EP", ENDPOINT);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = stack
            .http()
            .request(method.clone(), &path, &[], *body)
            .await;
        assert_eq!(answer.status == 401, needed.is_some(), "{method} {path}");
        let answer = stack.http().request(Method::OPTIONS, &path, &[], "").await;
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.header("allow").contains("OPTIONS"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_every_route_of_the_document() {
    let stack = TestStack::start().await;
    let document = stack
        .http()
        .request(Method::GET, "/openapi.json", &[], "")
        .await
        .json();
    let paths = document["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<String> = paths
        .flat_map(|(path, item)| {
            let methods = item
                .as_object()
                .unwrap()
                .keys()
                .filter(|name| *name != "servers");
            methods.map(move |method| format!("{method} {path}"))
        })
        .collect();
    let tried = ROUTES.iter().filter(|route| route.0 != "HEAD");
    let tried = tried.map(|(method, path, ..)| format!("{} {path}", method.to_lowercase()));
    let tried: BTreeSet<_> = tried.chain(WITHOUT_TOKENS.map(str::to_owned)).collect();
    assert_eq!(documented, tried);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_a_filter_publishes_only_what_passes_it() {
    let stack = TestStack::start().await;
    let endpoint = json!({ "url": "http://127.0.0.1:9/" }).to_string();
    let own = stack.urls().token.clone();
    let endpoint = stack
        .http()
        .post("/v1/endpoints", &own, &[], endpoint)
        .await;
    let ingest = format!("/v1/ingest/{}", endpoint.json()["id"].as_str().unwrap());
    let token =
        |filter: &str, mask| stack.token(&rights(&[Scope::Write, Scope::Read], filter, mask));
    let tenant = token("subaccount:cust-1", false);
    let masked = token("subaccount:cust-1", true);
    for (token, body, is_allowed) in [
        (
            &tenant,
            json!({ "type": "a", "subaccount": "cust-1" }),
            true,
        ),
        (
            &tenant,
            json!({ "type": "a", "subaccount": "cust-2" }),
            false,
        ),
        (&tenant, json!({ "type": "a" }), false),
        (
            &tenant,
            json!({ "type": "a", "message_id": "of-cust-2" }),
            false,
        ),
        (
            &masked,
            json!({ "type": "a", "subaccount": "cust-1", "recipient": "a@example.net" }),
            true,
        ),
        (
            &masked,
            json!({ "type": "a", "subaccount": "cust-2" }),
            false,
        ),
        (
            &token("-recipient:*@example.net", false),
            json!({ "type": "a", "recipient": "x@example.net" }),
            false,
        ),
        (
            &token("meta.k:v", false),
            json!({ "type": "a", "metadata": { "k": "v" } }),
            true,
        ),
        (
            &token("meta.k:v", false),
            json!({ "type": "a", "metadata": { "k": "w" } }),
            false,
        ),
    ] {
        let answer = stack
            .http()
            .post("/v1/events", token, &[], body.to_string())
            .await;
        if is_allowed {
            assert_eq!(answer.status, 202, "{body}: {}", answer.body);
        } else {
            assert_eq!(answer.error(), (403, "forbidden".to_owned()), "{body}");
            assert!(answer.body.contains("filter"), "{}", answer.body);
        }
    }
    // A filter would find either value, so another tenant's would, too.
    for key in ["tenant", "TENANT", "t\\u0065nant"] {
        let body = format!(r#"{{"type":"a","metadata":{{"tenant":"acme","{key}":"b"}}}}"#);
        let tenant = token("meta.tenant:acme", false);
        let answer = stack.http().post("/v1/events", &tenant, &[], body).await;
        assert_eq!(answer.error(), (400, "bad_field".to_owned()), "{key}");
    }
    let typed = token("type:order.*", false);
    for (path, token, status) in [
        (format!("{ingest}?type=order.created"), &typed, 202),
        (ingest.clone(), &typed, 403),
        (ingest.clone(), &tenant, 403),
    ] {
        let answer = stack.http().post(&path, token, &[], "{}").await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
    }
    // What was refused is not stored.
    let history = stack.history().await;
    let of_others =
        |event: &&Value| event["subaccount"] == "cust-2" || event["message_id"] == "of-cust-2";
    assert_eq!(history.iter().filter(of_others).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_tenant_tells_a_token_with_a_filter_nothing() {
    let stack = TestStack::start().await;
    let token = |filter: &str| stack.token(&rights(&[Scope::Write], filter, false));
    let (one, other) = (token("subaccount:cust-1"), token("subaccount:cust-2"));
    let body = json!({ "type": "a", "subaccount": "cust-1" }).to_string();
    let key = [("idempotency-key", "k")];
    let stored = stack
        .http()
        .post("/v1/events", &one, &key, body.clone())
        .await;
    assert_eq!(stored.status, 202, "{}", stored.body);
    // The same key with the same body, and with another of which nothing is stored.
    for body in [
        body,
        json!({ "type": "b", "subaccount": "cust-1" }).to_string(),
    ] {
        let answer = stack.http().post("/v1/events", &other, &key, body).await;
        assert_eq!(answer.error(), (403, "forbidden".to_owned()));
        assert!(!answer.body.contains("evt_"), "{}", answer.body);
    }
}

/// A ticket that Posthorn would not make, signed with its key.
fn ticket(stack: &TestStack, scope: &str) -> String {
    let exp = clock::now().as_secs() + 60;
    let claims = json!({ "aud": "connect", "exp": exp, "scope": scope });
    signed(stack, &claims)
}

/// A token or ticket with any claims.
pub(crate) fn signed(stack: &TestStack, claims: &Value) -> String {
    let key = EncodingKey::from_secret(stack.urls().token_key.as_bytes());
    // The stack has installed what signs.
    let _ = stack.ticket();
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_opens_only_with_the_scope_read() {
    let stack = TestStack::start().await;
    for (scope, status) in [("", 403), ("write", 403), ("write endpoints", 403)] {
        let ticket = ticket(&stack, scope);
        let url = format!("{}?ticket={ticket}", stack.urls().ws);
        assert_eq!(Socket::open(&url).await.err(), Some(status), "{scope}");
        let path = format!("/v1/stream?ticket={ticket}&last=x");
        let answer = stack.http().request(Method::GET, &path, &[], "").await;
        assert_eq!(answer.status.as_u16(), status, "{scope}");
    }
    let url = format!("{}?ticket={}", stack.urls().ws, ticket(&stack, "read"));
    assert!(Socket::open(&url).await.is_ok());
}
