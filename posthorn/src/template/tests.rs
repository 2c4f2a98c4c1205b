//! The template that is deployed.

use local_aws::template::{Expiration, SecretContent, Settings, StreamMapping, Template};
use serde_json::{Value, json};

use super::TEMPLATE as REAL;

fn settings(parameters: &[(&str, &str)]) -> Settings {
    let parameters = parameters.iter();
    Settings {
        stack_name: "posthorn".to_owned(),
        suffix: "X1".to_owned(),
        parameters: parameters
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Settings::default()
    }
}

fn real(parameters: &[(&str, &str)]) -> Template {
    Template::parse(REAL, &settings(parameters)).unwrap()
}

#[test]
fn a_table_becomes_a_create_table_request() {
    let template = real(&[]);
    let request = template
        .table("EventsTable")
        .unwrap()
        .create_table_request();
    assert_eq!(request["TableName"], "posthorn-EventsTable-X1");
    assert_eq!(
        request["StreamSpecification"],
        json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"})
    );
    assert_eq!(
        request["GlobalSecondaryIndexes"][0],
        json!({"IndexName": "feed", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
            {"AttributeName": "feed_shard", "KeyType": "HASH"}, {"AttributeName": "feed_at", "KeyType": "RANGE"}]})
    );
    assert_eq!(request["AttributeDefinitions"].as_array().unwrap().len(), 5);
    let connections = template.table("ConnectionsTable").unwrap();
    assert_eq!(connections.ttl_attribute.as_deref(), Some("expires_at"));
    assert_eq!(connections.stream_arn, None);
    assert!(
        connections
            .create_table_request()
            .get("StreamSpecification")
            .is_none()
    );
}

#[test]
fn a_secret_is_generated_into_its_template() {
    let template = real(&[]);
    let secret = &template.secrets[0];
    let SecretContent::Generated(generated) = &secret.content else {
        panic!("{secret:?}")
    };
    assert!(generated.length >= 32);
    assert!(generated.alphabet.iter().all(char::is_ascii_alphanumeric));
    let text: Value = serde_json::from_str(&generated.text("abc")).unwrap();
    assert_eq!(
        text,
        json!({"webhook_keys": [], "webhook_urls": [], "retired_token_keys": [], "token_key": "abc"})
    );
}

#[test]
fn every_function_of_the_real_template_has_its_variables_and_rights() {
    let template = real(&[
        ("FeedShards", "4"),
        ("WebhookPath", "/in"),
        ("Tail", "on"),
        ("CorsOrigins", "*"),
    ]);
    let variables = |id: &str| {
        let function = template.function(id).unwrap();
        assert!(!function.policies.is_empty(), "{id}");
        assert!(
            function
                .environment
                .values()
                .all(|value| !value.is_empty() && !value.contains("${")),
            "{function:?}"
        );
        function
            .environment
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        variables("WebhookFunction"),
        "EVENTS_TABLE FEED_SHARDS METRICS_STACK OVERSIZED_BUCKET RETENTION_DAYS SECRET_ID WEBHOOK_PATH"
    );
    assert_eq!(
        variables("ConnectFunction"),
        "CONNECTIONS_TABLE METRICS_STACK SECRET_ID"
    );
    assert_eq!(
        variables("DisconnectFunction"),
        "CONNECTIONS_TABLE METRICS_STACK"
    );
    assert_eq!(
        variables("MessageFunction"),
        "CONNECTIONS_TABLE EVENTS_TABLE FEED_ID FEED_SHARDS METRICS_STACK RETENTION_DAYS"
    );
    assert_eq!(
        variables("PushFunction"),
        "CONNECTIONS_TABLE FEED_ID METRICS_STACK PUSH_RATE RETENTION_DAYS WEBSOCKET_API_ID WEBSOCKET_STAGE"
    );
    assert_eq!(
        variables("DispatchFunction"),
        "ATTEMPT_RETENTION_HOURS DELIVERIES_QUEUE DELIVERIES_TABLE ENDPOINTS_TABLE METRICS_STACK TIME_SCALE"
    );
    assert_eq!(
        variables("DeliverFunction"),
        "ALLOW_PRIVATE_ENDPOINTS ATTEMPT_RETENTION_HOURS DELIVERIES_QUEUE DELIVERIES_TABLE ENDPOINTS_TABLE EVENTS_TABLE FEED_ID FEED_SHARDS METRICS_STACK OVERSIZED_BUCKET RETENTION_DAYS TIME_SCALE"
    );
    assert_eq!(
        variables("RequeueFunction"),
        "DELIVERIES_QUEUE DELIVERIES_TABLE ENDPOINTS_TABLE METRICS_STACK TIME_SCALE"
    );
    assert_eq!(
        variables("ApiFunction"),
        "ALLOW_PRIVATE_ENDPOINTS ATTEMPT_RETENTION_HOURS CONNECTIONS_TABLE CORS_ORIGINS DELIVERIES_QUEUE DELIVERIES_TABLE ENDPOINTS_TABLE EVENTS_TABLE FEED_ID FEED_SHARDS METRICS_STACK OVERSIZED_BUCKET RETENTION_DAYS SECRET_ID TAIL_URL TIME_SCALE WEBSOCKET_URL"
    );
    assert_eq!(
        variables("TailFunction"),
        "CONNECTIONS_TABLE CORS_ORIGINS EVENTS_TABLE FEED_ID FEED_SHARDS HEARTBEAT_SECONDS METRICS_STACK RETENTION_DAYS SECRET_ID"
    );
    let api = template.function("ApiFunction").unwrap();
    assert_eq!(api.environment["FEED_ID"], settings(&[]).stack_id());
    let webhook = template.function("WebhookFunction").unwrap();
    assert_eq!(webhook.binary, "webhook");
    assert_eq!(webhook.environment["FEED_SHARDS"], "4");
    assert_eq!(webhook.environment["WEBHOOK_PATH"], "/in");
    assert_eq!(webhook.environment["METRICS_STACK"], "posthorn");
    assert_eq!(
        webhook.environment["EVENTS_TABLE"],
        template.table("EventsTable").unwrap().name
    );
    assert_eq!(webhook.environment["SECRET_ID"], template.secrets[0].arn);
}

#[test]
fn waiting_over_plain_http_is_left_out_unless_it_is_asked_for() {
    let without = real(&[]);
    assert_eq!(without.function("TailFunction"), None);
    assert!(!without.outputs.contains_key("TailUrl"));
    assert_eq!(
        without.function("ApiFunction").unwrap().environment["TAIL_URL"],
        ""
    );
    let with = real(&[
        ("Tail", "on"),
        ("TailConcurrency", "7"),
        ("TailSeconds", "120"),
    ]);
    let tail = with.function("TailFunction").unwrap();
    assert_eq!(
        (tail.timeout_seconds, tail.reserved_concurrency),
        (120, Some(7))
    );
    assert_eq!(tail.url.as_ref().unwrap().id.len(), 32);
    assert_eq!(with.outputs["TailUrl"], "http://localhost:8080/");
    assert_eq!(
        with.function("ApiFunction").unwrap().environment["TAIL_URL"],
        with.outputs["TailUrl"]
    );
}

#[test]
fn what_is_optional_can_be_switched_on() {
    let plain = real(&[]);
    let push = |template: &Template| template.function("PushFunction").unwrap().clone();
    assert_eq!(push(&plain).reserved_concurrency, None);
    assert_eq!(push(&plain).environment["PUSH_RATE"], "500");
    let full = real(&[
        ("PushConcurrency", "5"),
        ("PushRate", "300"),
        ("Dashboard", "on"),
        ("HttpAccessLogs", "on"),
        ("WebSocketAccessLogs", "on"),
        ("HttpDomainName", "hooks.example.com"),
        ("WebSocketDomainName", "live.example.com"),
        ("HostedZoneId", "Z1"),
        ("AlarmEmail", "ops@example.com"),
        ("QuietHours", "6"),
    ]);
    assert_eq!(push(&full).reserved_concurrency, Some(5));
    assert_eq!(push(&full).environment["PUSH_RATE"], "300");
    assert_eq!(full.buckets.len(), plain.buckets.len() + 1);
    assert_eq!(
        full.outputs["WebhookUrl"],
        "https://hooks.example.com/mandrill"
    );
    // The stage is part of the API's own address, and no part of a name of one's own.
    assert_eq!(full.outputs["WebSocketUrl"], "wss://live.example.com");
    assert!(plain.outputs["WebSocketUrl"].ends_with("/live"));
}

#[test]
fn the_real_templates_oversized_events_expire_with_their_items() {
    let template = real(&[("RetentionDays", "7")]);
    let mut buckets = template.buckets.iter();
    let bucket = buckets.find(|bucket| bucket.logical_id == "OversizedBucket");
    let expirations = &bucket.unwrap().expirations;
    assert_eq!(
        expirations,
        &[Expiration {
            prefix: "oversized/".to_owned(),
            days: 7
        }]
    );
}

#[test]
fn the_real_templates_routes_lead_to_its_functions() {
    let template = real(&[]);
    let mut routes: Vec<String> = template
        .http_routes
        .iter()
        .map(|route| format!("{} {}", route.key, route.function))
        .collect();
    routes.sort();
    assert!(
        routes.contains(&"ANY /healthz ApiFunction".to_owned()),
        "{routes:?}"
    );
    assert!(
        routes.contains(&"ANY /v1/{proxy+} ApiFunction".to_owned()),
        "{routes:?}"
    );
    assert!(
        routes
            .iter()
            .any(|route| route.ends_with("WebhookFunction")),
        "{routes:?}"
    );
    let sockets = template.websocket.unwrap();
    assert_eq!(sockets.stage, "live");
    let targets: Vec<(&str, &str)> = sockets
        .routes
        .iter()
        .map(|(key, function)| (key.as_str(), function.as_str()))
        .collect();
    assert_eq!(
        targets,
        [
            ("$connect", "ConnectFunction"),
            ("$default", "MessageFunction"),
            ("$disconnect", "DisconnectFunction")
        ]
    );
}

#[test]
fn the_real_templates_mappings_are_bounded_and_see_inserts_only() {
    let template = real(&[]);
    let readers: Vec<_> = template
        .mappings
        .iter()
        .map(|it| it.function.as_str())
        .collect();
    // A stream has two readers at most.
    assert_eq!(readers, ["DispatchFunction", "PushFunction"]);
    for mapping in &template.mappings {
        check_mapping(&template, mapping);
    }
}

fn check_mapping(template: &Template, mapping: &StreamMapping) {
    assert_eq!(mapping.table, "EventsTable");
    assert!(mapping.reports_batch_item_failures && mapping.bisects_on_error);
    assert!(mapping.max_retry_attempts.is_some() && mapping.max_record_age_seconds.is_some());
    let of_event = json!({"NewImage": {"feed_at": {"S": "1795318553323#f3jm"}}});
    let of_claim = json!({"NewImage": {"request": {"B": ""}}});
    let matches = |name, image| mapping.matches(&json!({"eventName": name, "dynamodb": image}));
    assert!(matches("INSERT", &of_event));
    assert!(!matches("MODIFY", &of_event) && !matches("INSERT", &of_claim));
    assert!(
        template
            .bucket(mapping.on_failure_arn.as_deref().unwrap())
            .is_some_and(|bucket| bucket.logical_id == "FailuresBucket")
    );
}

#[test]
fn the_real_templates_parameters_are_checked() {
    let refusal = |name, value| {
        Template::parse(REAL, &settings(&[(name, value)]))
            .unwrap_err()
            .to_string()
    };
    assert!(
        refusal("FeedShards", "0")
            .starts_with("parameter FeedShards: 0, which is under MinValue 1")
    );
    assert!(
        refusal("WebhookPath", "in").starts_with("parameter WebhookPath: \"in\" does not match")
    );
    assert!(refusal("Shards", "1").contains("the template has no such parameter"));
    for path in [
        "",
        "/",
        "//",
        "/a//b",
        "/a//",
        "/in?x=1",
        "/in#a",
        "/a%20b",
        "/ä",
        "/a b",
        "/a/../b",
        "/./a",
        "/..",
        "/v1",
        "/v1/",
        "/v1/x",
        "/docs",
        "/docs/x",
        "/openapi.json",
        "/healthz",
        "/healthz/",
        "mandrill/",
    ] {
        assert!(
            refusal("WebhookPath", path).contains("write a path such as"),
            "{path}"
        );
    }
}

#[test]
fn the_webhooks_path_may_be_any_that_mandrill_knows_already() {
    for path in [
        "/webhook/",
        "/djrill/webhook/",
        "/a.b/.c/~d_e-f",
        "/v10",
        "/doc",
        "/hooks/v1",
    ] {
        let template = Template::parse(REAL, &settings(&[("WebhookPath", path)])).unwrap();
        let webhook = template.function("WebhookFunction").unwrap();
        assert_eq!(webhook.environment["WEBHOOK_PATH"], path);
    }
}

#[test]
fn a_template_cut_short_is_no_reason_to_panic() {
    let lines: Vec<&str> = REAL.split_inclusive('\n').collect();
    for length in (0..lines.len()).step_by(7) {
        let _ = Template::parse(&lines[..length].concat(), &settings(&[]));
    }
}
