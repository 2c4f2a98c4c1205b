//! The state of the database thread: dynoxide, and a connection of our own to the same file.

use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::actions::batch_write_item::BatchWriteItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use tokio::sync::watch;

use super::faults::{Faults, RecentWrites, halve_batch};
use super::index_keys::IndexKeys;
use super::meter::Meter;
use super::metered::Metered;
use super::operation::{Answer, DynamoError, Operation};

/// dynoxide writes every ARN in this region.
const ENGINE_REGION: &str = ":dynoxide:";

const VIEW_TYPES: [&str; 4] = ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"];

/// What dynoxide's file lacks for our use.
const ADDITIONS: &str = "
    -- dynoxide takes the greatest sequence number at every write and has no index for it.
    CREATE INDEX IF NOT EXISTS local_stream_order
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    -- Every stream keeps both images, so that a rewrite without a change can be told; this is what was asked for.
    CREATE TABLE IF NOT EXISTS local_streams (table_name TEXT PRIMARY KEY, view_type TEXT NOT NULL);
    -- Holds a row while expired items are deleted: those records bear the identity of the service.
    CREATE TABLE IF NOT EXISTS local_expiring (now INTEGER NOT NULL);
    DELETE FROM local_expiring;
    CREATE TRIGGER IF NOT EXISTS local_expired AFTER INSERT ON _stream_records
        WHEN NEW.event_name = 'REMOVE' AND EXISTS (SELECT 1 FROM local_expiring)
        BEGIN
            UPDATE _stream_records
            SET user_identity = '{\"type\":\"Service\",\"principalId\":\"dynamodb.amazonaws.com\"}'
            WHERE id = NEW.id;
        END;";

pub(super) struct Engine {
    pub(super) database: Database,
    items: Metered,
    pub(super) connection: Connection,
    region: String,
    faults: Arc<Faults>,
    recent: RecentWrites,
    index_keys: IndexKeys,
    writes: watch::Sender<u64>,
}

impl Engine {
    pub(super) fn new(
        database: Database,
        connection: Connection,
        region: &str,
        faults: Arc<Faults>,
        meter: Arc<Meter>,
        writes: watch::Sender<u64>,
    ) -> Result<Engine, rusqlite::Error> {
        // A stack may lose its last writes when the machine loses power, not when the process dies.
        // The limit is that of the process: bulk loading lets this database alone keep 64 MB of its
        // pages, which the system keeps anyway.
        connection.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000; PRAGMA soft_heap_limit = 8388608;",
        )?;
        connection.execute_batch(ADDITIONS)?;
        Ok(Engine {
            items: Metered {
                database: database.clone(),
                meter,
            },
            database,
            connection,
            region: format!(":{region}:"),
            faults,
            recent: RecentWrites::default(),
            index_keys: IndexKeys::default(),
            writes,
        })
    }

    /// One call of the API, with the faults that are set.
    pub(super) fn call(&mut self, operation: Operation, body: &[u8]) -> Answer {
        let can_throttle = operation.writes_items() || operation == Operation::BatchGetItem;
        let answer = if can_throttle && self.faults.throttles_this_call() {
            self.throttle(operation, body)
        } else {
            self.dispatch(operation, body)
        };
        if operation.writes_items() {
            // Also after a failure: the batch before the failing item is written.
            self.announce_writes();
        }
        match self.faults.index_lag() {
            Some(lag) => self.lag(operation, body, answer?, lag),
            None => {
                self.recent.forget();
                answer
            }
        }
    }

    pub(super) fn announce_writes(&self) {
        self.writes.send_modify(|calls| *calls += 1);
    }

    fn dispatch(&mut self, operation: Operation, body: &[u8]) -> Answer {
        let (db, items) = (&self.database, &self.items);
        match operation {
            Operation::CreateTable => self.create_table(body),
            Operation::DescribeTable => {
                let answer = operation.answer(body, |request| db.describe_table(request))?;
                self.as_in_aws(&answer, "Table")
            }
            Operation::DeleteTable => {
                let answer = operation.answer(body, |request| db.delete_table(request))?;
                self.index_keys.forget();
                self.as_in_aws(&answer, "TableDescription")
            }
            Operation::UpdateTimeToLive => self.update_time_to_live(body),
            Operation::ListTables => operation.answer(body, |request| db.list_tables(request)),
            Operation::DescribeTimeToLive => {
                operation.answer(body, |request| db.describe_time_to_live(request))
            }
            Operation::GetItem => operation.answer(body, |request| items.get_item(request)),
            Operation::DeleteItem => operation.answer(body, |request| items.delete_item(request)),
            Operation::UpdateItem => operation.answer(body, |request| items.update_item(request)),
            Operation::Query => operation.answer(body, |request| items.query(request)),
            Operation::Scan => operation.answer(body, |request| items.scan(request)),
            Operation::BatchGetItem => {
                operation.answer(body, |request| items.batch_get_item(request))
            }
            Operation::TransactGetItems => {
                operation.answer(body, |request| items.transact_get_items(request))
            }
            Operation::PutItem | Operation::BatchWriteItem | Operation::TransactWriteItems => {
                self.write(operation, body)
            }
        }
    }

    /// The writes that carry whole items.
    fn write(&mut self, operation: Operation, body: &[u8]) -> Answer {
        let (db, items, keys) = (&self.database, &self.items, &mut self.index_keys);
        match operation {
            Operation::BatchWriteItem => {
                operation.answer(body, |request: BatchWriteItemRequest| {
                    for (table, writes) in &request.request_items {
                        for put in writes.iter().filter_map(|write| write.put_request.as_ref()) {
                            keys.check(db, table, &put.item)?;
                        }
                    }
                    items.batch_write_item(request)
                })
            }
            Operation::TransactWriteItems => {
                operation.answer(body, |request: TransactWriteItemsRequest| {
                    for put in request
                        .transact_items
                        .iter()
                        .filter_map(|write| write.put.as_ref())
                    {
                        keys.check(db, &put.table_name, &put.item)?;
                    }
                    items.transact_write_items(request)
                })
            }
            _ => operation.answer(body, |request: PutItemRequest| {
                keys.check(db, &request.table_name, &request.item)?;
                items.put_item(request)
            }),
        }
    }

    fn create_table(&self, body: &[u8]) -> Answer {
        let operation = Operation::CreateTable;
        let mut request: Value = operation.read(body)?;
        let mut wanted = None;
        if let Some(view_type) = request.pointer_mut("/StreamSpecification/StreamViewType") {
            wanted = VIEW_TYPES.into_iter().find(|known| view_type == known);
            if wanted.is_none() {
                return Err(unknown_view_type(view_type));
            }
            *view_type = "NEW_AND_OLD_IMAGES".into();
        }
        let answer = operation.answer(request.to_string().as_bytes(), |request| {
            self.database.create_table(request)
        })?;
        if let Some(view_type) = wanted {
            let table = request["TableName"].as_str().unwrap_or_default();
            self.keep_view_type(table, view_type).map_err(internal)?;
        }
        self.as_in_aws(&answer, "TableDescription")
    }

    pub(super) fn keep_view_type(
        &self,
        table: &str,
        view_type: &str,
    ) -> Result<(), rusqlite::Error> {
        self.connection.execute(
            "INSERT INTO local_streams (table_name, view_type) VALUES (?1, ?2)
             ON CONFLICT (table_name) DO UPDATE SET view_type = excluded.view_type",
            [table, view_type],
        )?;
        Ok(())
    }

    fn update_time_to_live(&self, body: &[u8]) -> Answer {
        let operation = Operation::UpdateTimeToLive;
        let answer =
            operation.answer(body, |request| self.database.update_time_to_live(request))?;
        self.index_expiry().map_err(internal)?;
        Ok(answer)
    }

    /// A table description with our region and the stream view that was asked for.
    fn as_in_aws(&self, answer: &[u8], member: &str) -> Answer {
        let mut answer = parse(answer)?;
        let table = answer[member]["TableName"].as_str().unwrap_or_default();
        let view_type: Option<String> = self
            .connection
            .query_row(
                "SELECT view_type FROM local_streams WHERE table_name = ?1",
                params![table],
                |row| row.get(0),
            )
            .optional()
            .map_err(internal)?;
        if let Some(shown) = answer[member].pointer_mut("/StreamSpecification/StreamViewType")
            && let Some(view_type) = view_type
        {
            *shown = view_type.into();
        }
        Ok(answer
            .to_string()
            .replace(ENGINE_REGION, &self.region)
            .into_bytes())
    }

    /// Does half of a batch, or nothing.
    fn throttle(&mut self, operation: Operation, body: &[u8]) -> Answer {
        let unprocessed = match operation {
            Operation::BatchWriteItem => "UnprocessedItems",
            Operation::BatchGetItem => "UnprocessedKeys",
            _ => return Err(DynamoError::throttled()),
        };
        let Ok(request) = serde_json::from_slice(body) else {
            return self.dispatch(operation, body);
        };
        let halves = halve_batch(&request, |table| match operation {
            Operation::BatchGetItem => table.get_mut("Keys").and_then(Value::as_array_mut),
            _ => table.as_array_mut(),
        });
        let (done, left) = halves.ok_or_else(DynamoError::throttled)?;
        let mut answer = parse(self.dispatch(operation, done.to_string().as_bytes())?)?;
        answer[unprocessed] = left;
        Ok(answer.to_string().into_bytes())
    }

    /// Remembers what was written, and hides it from a query of an index.
    fn lag(&mut self, operation: Operation, body: &[u8], answer: Vec<u8>, lag: Duration) -> Answer {
        let request = parse(body)?;
        if operation.writes_items() {
            for (table, item) in written_items(operation, &request) {
                if let Some(name) = self.item_name(table, item) {
                    self.recent.add(name, lag);
                }
            }
            return Ok(answer);
        }
        if operation != Operation::Query || request["IndexName"].is_null() {
            return Ok(answer);
        }
        let table = request["TableName"].as_str().unwrap_or_default();
        let mut answer = parse(&answer)?;
        self.recent
            .hide(&mut answer, lag, |item| self.item_name(table, item));
        Ok(answer.to_string().into_bytes())
    }

    /// The table and the key of an item as one text; `None` when it does not have the whole key.
    fn item_name(&self, table: &str, item: &Value) -> Option<String> {
        let metadata = self.database.get_table_metadata(table).ok()??;
        let mut name = table.to_owned();
        for attribute in key_names(&metadata.key_schema) {
            name.push('\n');
            name.push_str(&item.get(attribute)?.to_string());
        }
        Some(name)
    }
}

fn unknown_view_type(view_type: &Value) -> DynamoError {
    let view_type = view_type.as_str().unwrap_or_default();
    let message = format!(
        "1 validation error detected: Value '{view_type}' at 'streamSpecification.streamViewType' failed to satisfy \
         constraint: Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]"
    );
    DynamoError::new(
        400,
        "com.amazon.coral.validate#ValidationException",
        &message,
    )
}

/// Each item that a write call names, or its key, with its table.
fn written_items(operation: Operation, request: &Value) -> Vec<(&str, &Value)> {
    let tables = request["RequestItems"].as_object().into_iter().flatten();
    match operation {
        Operation::BatchWriteItem => tables
            .flat_map(|(table, writes)| {
                writes
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(move |write| (table, write))
            })
            .filter_map(|(table, write)| {
                let item = write.pointer("/PutRequest/Item");
                Some((
                    table.as_str(),
                    item.or_else(|| write.pointer("/DeleteRequest/Key"))?,
                ))
            })
            .collect(),
        Operation::TransactWriteItems => request["TransactItems"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|write| {
                ["Put", "Update", "Delete"]
                    .iter()
                    .find_map(|kind| write.get(kind))
            })
            .filter_map(named_item)
            .collect(),
        _ => named_item(request).into_iter().collect(),
    }
}

fn named_item(write: &Value) -> Option<(&str, &Value)> {
    let item = write.get("Item").or_else(|| write.get("Key"))?;
    Some((write["TableName"].as_str()?, item))
}

/// The attributes of a stored key schema, partition key first.
pub(super) fn key_names(key_schema: &str) -> Vec<String> {
    let Ok(Value::Array(elements)) = serde_json::from_str(key_schema) else {
        return Vec::new();
    };
    let named = |role| {
        elements
            .iter()
            .find(move |element| element["KeyType"] == role)
            .and_then(|element| element["AttributeName"].as_str())
    };
    ["HASH", "RANGE"]
        .into_iter()
        .filter_map(named)
        .map(str::to_owned)
        .collect()
}

fn parse(text: impl AsRef<[u8]>) -> Result<Value, DynamoError> {
    serde_json::from_slice(text.as_ref()).map_err(internal)
}

pub(super) fn internal(error: impl std::fmt::Display) -> DynamoError {
    DynamoError::internal(&error.to_string())
}
