//! `GET /openapi.json` and `GET /docs`.

use std::collections::BTreeSet;

use flows::TestStack;
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_every_route() {
    let stack = TestStack::start().await;
    let answer = stack
        .http()
        .request(Method::GET, "/openapi.json", &[], "")
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/json")
    );
    let document = answer.json();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1."),
        "{}",
        document["openapi"]
    );
    let operations: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            let methods = methods.filter(|name| *name != "servers");
            methods.map(move |method| format!("{method} {path}"))
        })
        .collect();
    let expected = [
        "delete /v1/endpoints/{endpoint_id}",
        "get /healthz",
        "get /v1/deliveries",
        "get /v1/endpoints",
        "get /v1/endpoints/{endpoint_id}",
        "get /v1/endpoints/{endpoint_id}/attempts",
        "get /v1/event-types",
        "get /v1/events",
        "get /v1/events/{id}",
        "get /v1/events/{id}/deliveries",
        "get /v1/messages/{message_id}/events",
        "get /v1/stream",
        "head /mandrill",
        "patch /v1/endpoints/{endpoint_id}",
        "post /mandrill",
        "post /v1/deliveries/{delivery_id}/retry",
        "post /v1/endpoints",
        "post /v1/endpoints/{endpoint_id}/disable",
        "post /v1/endpoints/{endpoint_id}/enable",
        "post /v1/endpoints/{endpoint_id}/recover",
        "post /v1/endpoints/{endpoint_id}/replay-missing",
        "post /v1/endpoints/{endpoint_id}/rotate-secret",
        "post /v1/endpoints/{endpoint_id}/test",
        "post /v1/events",
        "post /v1/ingest/{endpoint_id}",
        "post /v1/tickets",
    ];
    assert_eq!(operations, expected.map(str::to_owned).into());
    let schemas = &document["components"]["schemas"];
    // A reference to what is not there makes the whole document invalid.
    let text = document.to_string();
    let named = text.split("\"#/components/schemas/").skip(1);
    let named: BTreeSet<_> = named.filter_map(|rest| rest.split('"').next()).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| schemas[name].is_null())
        .collect();
    assert!(!named.is_empty() && missing.is_empty(), "{missing:?}");
    for closed in [
        "ChangedEndpoint",
        "Disabling",
        "NewEndpoint",
        "NewEvent",
        "NewTicket",
        "Recovery",
        "Replay",
        "Rotation",
    ] {
        assert_eq!(
            schemas[closed]["additionalProperties"],
            json!(false),
            "{closed}"
        );
    }
    let parameters = document["paths"]["/v1/events"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let named: BTreeSet<_> = parameters
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        ["after", "before", "filter", "from", "limit", "to"].into()
    );
    // Long poll and stream are another function's, with an address of its own.
    let described = document["paths"]["/v1/events"]["get"]["description"]
        .as_str()
        .unwrap();
    assert!(described.contains("`wait`"), "{described}");
    let stream = &document["paths"]["/v1/stream"];
    let tail_url = stack.variable("ApiFunction", "TAIL_URL");
    assert_eq!(stream["servers"][0]["url"], tail_url.trim_end_matches('/'));
    assert!(stream["get"]["responses"]["200"]["content"]["text/event-stream"].is_object());
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_to_try_it_needs_nothing_from_elsewhere() {
    let stack = TestStack::start().await;
    let get = async |path: &str, encoding| {
        let headers = [("accept-encoding", encoding)];
        let answer = stack.http().request(Method::GET, path, &headers, "").await;
        assert_eq!(answer.status, 200, "{path}");
        answer
    };
    let page = get("/docs", "identity").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self'")
    );
    assert!(!page.body.contains("://"), "{}", page.body);
    let files: Vec<_> = page
        .body
        .split('"')
        .filter(|part| part.starts_with("docs/"))
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let plain = get(&format!("/{file}"), "identity").await;
        assert_eq!(plain.header("content-encoding"), "");
        assert!(
            !plain.body.is_empty() && !plain.body.contains("sourceMappingURL="),
            "{file}"
        );
    }
    let packed = get("/docs/swagger-ui-bundle.js", "gzip").await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let plain = get("/docs/swagger-ui-bundle.js", "identity").await;
    assert!(plain.body.contains("SwaggerUIBundle"));
}
