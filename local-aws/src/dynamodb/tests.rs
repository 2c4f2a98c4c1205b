//! The real SDK against the embedded database, through a connector in place of HTTP.

mod api;
mod maintenance;
mod metering;
mod streams;
mod throughput;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{DynamoDb, SHARDS, StreamRecord};

type Attributes = HashMap<String, AttributeValue>;

struct Database {
    db: DynamoDb,
    client: Client,
    dir: TempDir,
}

impl Database {
    /// With the events table.
    async fn new() -> Database {
        let dir = tempfile::tempdir().unwrap();
        let db = DynamoDb::open(dir.path(), "eu-west-1").unwrap();
        db.create(events_table(), Some("expires_at")).await.unwrap();
        let client = client(&db);
        Database { db, client, dir }
    }

    async fn put(&self, item: Attributes) {
        let put = self
            .client
            .put_item()
            .table_name("events")
            .set_item(Some(item));
        put.send().await.unwrap();
    }

    /// Writes 25 items of 1 KB without the SDK, which takes most of the time in a debug build.
    async fn fill(&self, pk: &str) -> Duration {
        let body = "Bw".repeat(466);
        let puts: Vec<_> = (0..25)
            .map(|n| {
                json!({ "PutRequest": { "Item": {
                    "pk": { "S": format!("{pk}-{n}") }, "sk": { "S": "1" },
                    "feed_shard": { "S": "2026-11-22#0" },
                    "feed_at": { "S": format!("1790000000000#{pk}-{n}") },
                    "recipient_key": { "S": format!("recipient-{pk}") },
                    "body": { "B": body }, "v": { "N": "1" },
                    "expires_at": { "N": "4000000000" },
                } } })
            })
            .collect();
        let request = json!({ "RequestItems": { "events": puts } }).to_string();
        let start = Instant::now();
        let answer = self
            .db
            .call("BatchWriteItem", request.into())
            .await
            .unwrap();
        assert_eq!(answer, br#"{"UnprocessedItems":{}}"#);
        start.elapsed()
    }

    /// All records of all shards, each shard in its order.
    async fn records(&self) -> Vec<StreamRecord> {
        let mut records = Vec::new();
        for shard in 0..SHARDS {
            records.extend(self.shard(shard, 1_000).await);
        }
        records
    }

    async fn shard(&self, shard: usize, limit: usize) -> Vec<StreamRecord> {
        let (mut records, mut position) = (Vec::new(), 0);
        loop {
            let page = self
                .db
                .read_records("events", shard, position, limit)
                .await
                .unwrap();
            records.extend(page.records);
            position = page.position;
            if !page.more {
                return records;
            }
        }
    }

    async fn the_only_record(&self) -> Value {
        let records = self.records().await;
        assert_eq!(records.len(), 1, "{records:?}");
        serde_json::from_str(&records[0].json).unwrap()
    }
}

fn client(db: &DynamoDb) -> Client {
    let connector = SharedHttpConnector::new(Direct(db.clone()));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::from_keys("key", "secret", None))
        .endpoint_url("http://localhost")
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Client::from_conf(config)
}

#[derive(Debug)]
struct Direct(DynamoDb);

impl HttpConnector for Direct {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let db = self.0.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target
                .strip_prefix("DynamoDB_20120810.")
                .unwrap_or_default();
            let body = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
            let (status, body) = match db.call(operation, body).await {
                Ok(body) => (200, body),
                Err(error) => (error.status, error.body),
            };
            Ok(HttpResponse::new(
                status.try_into().unwrap(),
                SdkBody::from(body),
            ))
        })
    }
}

/// As CloudFormation has it: no `StreamEnabled`.
fn events_table() -> Value {
    let index = |name: &str, key: &str| {
        json!({
            "IndexName": name,
            "KeySchema": [
                { "AttributeName": key, "KeyType": "HASH" },
                { "AttributeName": "feed_at", "KeyType": "RANGE" },
            ],
            "Projection": { "ProjectionType": "KEYS_ONLY" },
        })
    };
    let string = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    json!({
        "TableName": "events",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": (["pk", "sk", "feed_shard", "feed_at", "recipient_key"].map(string)),
        "KeySchema": [
            { "AttributeName": "pk", "KeyType": "HASH" },
            { "AttributeName": "sk", "KeyType": "RANGE" },
        ],
        "GlobalSecondaryIndexes": [index("feed", "feed_shard"), index("by_recipient", "recipient_key")],
        "StreamSpecification": { "StreamViewType": "NEW_IMAGE" },
    })
}

fn string(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(pk: &str, sk: &str) -> Attributes {
    HashMap::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

/// An item of the shape of an event, about as large as `body_bytes`.
fn item(pk: &str, sk: &str, body_bytes: usize) -> Attributes {
    let mut item = key(pk, sk);
    item.extend([
        ("feed_shard".to_owned(), string("2026-11-22#0")),
        (
            "feed_at".to_owned(),
            string(format!("1790000000000#{pk}{sk}")),
        ),
        (
            "recipient_key".to_owned(),
            string(format!("recipient-{pk}")),
        ),
        (
            "body".to_owned(),
            AttributeValue::B(vec![7_u8; body_bytes].into()),
        ),
    ]);
    item
}

fn put_request(item: Attributes) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
    WriteRequest::builder().put_request(put).build()
}
