//! The embedded database and a client to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use domain::{EndpointId, TimeScale};
use dynoxide::{Database as Engine, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{
    DeletedEndpoints, DeliveryClaim, DeliveryCreator, DeliveryReader, DeliveryRecord,
    DeliveryRetry, DueDeliveries, EndpointCache, EndpointEditor, EndpointReader, EventPublisher,
    HealthKeeper, OversizedWriter,
};

use crate::{NOW, RETENTION_HOURS};

pub(crate) const ENDPOINTS: &str = "endpoints";
const DELIVERIES: &str = "deliveries";
pub(crate) const EVENTS: &str = "events";

/// Both tables, and what is done to them.
pub(crate) struct Database {
    client: Client,
    engine: Arc<Faulty>,
}

/// The engine, which refuses or leaves over what it is told to.
struct Faulty {
    engine: Engine,
    calls: AtomicUsize,
    throttled: AtomicUsize,
    halved: AtomicUsize,
    broken: Mutex<Option<&'static str>>,
    write_units: AtomicUsize,
}

impl Database {
    pub(crate) fn new() -> Database {
        let engine = Arc::new(Faulty {
            engine: Engine::memory().unwrap(),
            calls: AtomicUsize::new(0),
            throttled: AtomicUsize::new(0),
            halved: AtomicUsize::new(0),
            broken: Mutex::new(None),
            write_units: AtomicUsize::new(0),
        });
        let events = table(EVENTS, &["pk", "sk"], None);
        for table in [endpoints_table(), deliveries_table(), events] {
            engine.answer("CreateTable", &table.to_string()).unwrap();
        }
        let connector = SharedHttpConnector::new(Direct(engine.clone()));
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url("http://localhost")
            // The store is to cope by itself.
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Database {
            client: Client::from_conf(config.build()),
            engine,
        }
    }

    /// The next calls are throttled.
    pub(crate) fn throttle(&self, calls: usize) {
        self.engine.throttled.store(calls, Ordering::SeqCst);
    }

    /// Of the next batches that write, only the first item is written.
    pub(crate) fn halve(&self, calls: usize) {
        self.engine.halved.store(calls, Ordering::SeqCst);
    }

    /// All calls of this operation fail from now on, but batches of which a part is left over.
    pub(crate) fn set_broken(&self, operation: Option<&'static str>) {
        *self.engine.broken.lock().unwrap() = operation;
    }

    /// The items of a partition of a table.
    pub(crate) fn partition(&self, table: &str, pk: &str) -> Vec<Value> {
        let query = json!({
            "TableName": table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": pk } },
        });
        let answer = self.engine.answer("Query", &query.to_string()).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["Items"].as_array().unwrap().clone()
    }

    /// Puts another text in the place of how an endpoint fares.
    pub(crate) fn damage_health(&self, endpoint: EndpointId) {
        let update = json!({
            "TableName": ENDPOINTS,
            "Key": { "pk": { "S": "health" }, "sk": { "S": endpoint.to_string() } },
            "UpdateExpression": "SET #state = :damaged",
            "ExpressionAttributeNames": { "#state": "state" },
            "ExpressionAttributeValues": { ":damaged": { "S": "{\"failures\":\"many\"}" } },
        });
        self.engine
            .answer("UpdateItem", &update.to_string())
            .unwrap();
    }

    /// As if there were so many endpoints.
    pub(crate) fn pretend_endpoints(&self, count: u32) {
        let count = json!({ "N": count.to_string() });
        let item = json!({ "pk": { "S": "endpoint" }, "sk": { "S": "#version" }, "count": count });
        let put = json!({ "TableName": ENDPOINTS, "Item": item });
        self.engine.answer("PutItem", &put.to_string()).unwrap();
    }

    /// How many calls there were since the last question.
    pub(crate) fn calls(&self) -> usize {
        self.engine.calls.swap(0, Ordering::SeqCst)
    }

    /// How many units were written since the last question.
    pub(crate) fn write_units(&self) -> usize {
        self.engine.write_units.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn editor(&self) -> EndpointEditor {
        EndpointEditor::new(self.client.clone(), ENDPOINTS.to_owned())
    }

    pub(crate) fn endpoints(&self) -> EndpointReader {
        EndpointReader::new(self.client.clone(), ENDPOINTS.to_owned())
    }

    pub(crate) fn deleted(&self) -> DeletedEndpoints {
        DeletedEndpoints::new(self.client.clone(), ENDPOINTS.to_owned())
    }

    pub(crate) fn cache(&self) -> EndpointCache {
        EndpointCache::new(self.client.clone(), ENDPOINTS.to_owned())
    }

    pub(crate) fn keeper(&self) -> HealthKeeper {
        // Nothing that is told of an endpoint is too large for an item.
        let s3 = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::Config::builder()
                .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
                .build(),
        );
        let oversized = OversizedWriter::new(s3, String::new());
        let events = EventPublisher::new(self.client.clone(), EVENTS.to_owned(), 1, 30, oversized);
        let (client, table) = (self.client.clone(), ENDPOINTS.to_owned());
        HealthKeeper::new(client, table, events, || NOW, TimeScale::default())
    }

    pub(crate) fn creator(&self) -> DeliveryCreator {
        let scale = TimeScale::default();
        DeliveryCreator::new(self.client.clone(), DELIVERIES.to_owned(), scale)
    }

    pub(crate) fn claims(&self) -> DeliveryClaim {
        DeliveryClaim::new(self.client.clone(), DELIVERIES.to_owned())
    }

    pub(crate) fn records(&self) -> DeliveryRecord {
        DeliveryRecord::new(self.client.clone(), DELIVERIES.to_owned(), RETENTION_HOURS)
    }

    pub(crate) fn due(&self) -> DueDeliveries {
        let scale = TimeScale::default();
        DueDeliveries::new(self.client.clone(), DELIVERIES.to_owned(), scale)
    }

    pub(crate) fn reader(&self) -> DeliveryReader {
        DeliveryReader::new(self.client.clone(), DELIVERIES.to_owned())
    }

    pub(crate) fn retries(&self) -> DeliveryRetry {
        let scale = TimeScale::default();
        DeliveryRetry::new(self.client.clone(), DELIVERIES.to_owned(), scale)
    }
}

fn table(name: &str, attributes: &[&str], index: Option<Value>) -> Value {
    let definition = |name: &&str| json!({ "AttributeName": name, "AttributeType": "S" });
    let definitions: Vec<_> = attributes.iter().map(definition).collect();
    let mut table = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": definitions,
        "KeySchema": [
            { "AttributeName": "pk", "KeyType": "HASH" },
            { "AttributeName": "sk", "KeyType": "RANGE" },
        ],
    });
    if let Some(index) = index {
        table["GlobalSecondaryIndexes"] = json!([index]);
    }
    table
}

fn endpoints_table() -> Value {
    table(ENDPOINTS, &["pk", "sk"], None)
}

fn deliveries_table() -> Value {
    let index = json!({
        "IndexName": "by_endpoint",
        "KeySchema": [
            { "AttributeName": "endpoint_shard", "KeyType": "HASH" },
            { "AttributeName": "state_at", "KeyType": "RANGE" },
        ],
        "Projection": { "ProjectionType": "KEYS_ONLY" },
    });
    let attributes = ["pk", "sk", "endpoint_shard", "state_at"];
    table(DELIVERIES, &attributes, Some(index))
}

impl Faulty {
    fn call(&self, operation: &str, body: &str) -> Result<Vec<u8>, (u16, Vec<u8>)> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if take(&self.throttled) {
            let error = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                "message": "slow down",
            });
            return Err((400, error.to_string().into_bytes()));
        }
        let mut request: Value = serde_json::from_str(body).unwrap();
        request["ReturnConsumedCapacity"] = json!("TOTAL");
        let left = (operation == "BatchWriteItem" && take(&self.halved))
            .then(|| leave_over(&mut request["RequestItems"]));
        let is_broken = *self.broken.lock().unwrap() == Some(operation);
        if left.is_none() && is_broken {
            return Err((500, Vec::new()));
        }
        let answer = self.answer(operation, &request.to_string());
        let answer = answer.map_err(|error| (error.status_code(), error.to_json().into_bytes()))?;
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        if !matches!(operation, "GetItem" | "Query" | "BatchGetItem") {
            let units = units(&answer["ConsumedCapacity"]);
            self.write_units.fetch_add(units, Ordering::SeqCst);
        }
        if let Some(left) = left {
            answer["UnprocessedItems"] = left;
        }
        Ok(answer.to_string().into_bytes())
    }

    fn answer(&self, operation: &str, body: &str) -> Result<Vec<u8>, DynoxideError> {
        let engine = &self.engine;
        match operation {
            "CreateTable" => typed(body, |request| engine.create_table(request)),
            "GetItem" => typed(body, |request| engine.get_item(request)),
            "PutItem" => typed(body, |request| engine.put_item(request)),
            "DeleteItem" => typed(body, |request| engine.delete_item(request)),
            "UpdateItem" => typed(body, |request| engine.update_item(request)),
            "Query" => typed(body, |request| engine.query(request)),
            "BatchGetItem" => typed(body, |request| engine.batch_get_item(request)),
            "BatchWriteItem" => typed(body, |request| engine.batch_write_item(request)),
            "TransactWriteItems" => typed(body, |request| engine.transact_write_items(request)),
            unknown => panic!("{unknown} is not known here"),
        }
    }
}

fn take(left: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

/// Takes all but the first write of each table out of a request.
fn leave_over(tables: &mut Value) -> Value {
    let mut left = json!({});
    for (name, writes) in tables.as_object_mut().unwrap() {
        let rest = writes.as_array_mut().unwrap().split_off(1);
        if !rest.is_empty() {
            left[name] = Value::Array(rest);
        }
    }
    left
}

/// The sum of what was consumed, of one table or several.
fn units(consumed: &Value) -> usize {
    match consumed {
        Value::Array(tables) => tables.iter().map(units).sum(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small whole number"
        )]
        table => table["CapacityUnits"].as_f64().unwrap_or(0.0) as usize,
    }
}

fn typed<Request: DeserializeOwned, Response: Serialize>(
    body: &str,
    work: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request = serde_json::from_str(body);
    let request = request.map_err(|error| DynoxideError::ValidationException(error.to_string()))?;
    Ok(serde_json::to_vec(&work(request)?).unwrap())
}

/// What stands where HTTP would.
#[derive(Clone)]
struct Direct(Arc<Faulty>);

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Direct")
    }
}

impl HttpConnector for Direct {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body = request.body().bytes().unwrap().to_vec();
        let engine = self.0.clone();
        HttpConnectorFuture::new(async move {
            let body = String::from_utf8(body).unwrap();
            // So that calls which are under way at once overtake each other.
            tokio::task::yield_now().await;
            let (status, body) = match engine.call(&operation, &body) {
                Ok(body) => (200, body),
                Err(error) => error,
            };
            Ok(HttpResponse::new(
                status.try_into().unwrap(),
                SdkBody::from(body),
            ))
        })
    }
}
