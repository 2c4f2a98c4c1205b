//! DynamoDB of the local stack: dynoxide (SQLite) behind AWS's own JSON API, with its streams.
//!
//! dynoxide knows the API, its limits and its errors. What is added here is where it is kinder or slower than AWS:
//! a stream has several shards, a write that changes nothing makes no record, stream records go after a day, an item
//! expires by itself (but not when its time is more than five years past), and a test can have calls throttled and
//! indexes lag. Every call runs on one thread of its own, one after the other; streams are read on a second one.

mod engine;
mod faults;
mod index_keys;
mod maintenance;
mod meter;
mod metered;
mod operation;
mod positions;
mod stream;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::watch;

use crate::worker::Worker;

use engine::Engine;
use faults::Failure;
pub use faults::Faults;
pub use maintenance::Maintenance;
pub use meter::Consumed;
use meter::Meter;
pub use operation::DynamoError;
use operation::{Operation, check_size};
use positions::Positions;
use stream::StreamReader;
pub use stream::{
    ACCOUNT_ID, SHARDS, StreamError, StreamPage, StreamRecord, parse_sequence, sequence_text,
    shard_of,
};
pub use tables::CreateError;

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be made, or a thread cannot be started.
    #[error("the data directory cannot be used")]
    System(#[from] io::Error),
    /// `dynamodb.sqlite` is not a file of this dynoxide.
    #[error("dynamodb.sqlite cannot be opened")]
    Engine(#[from] DynoxideError),
    /// One of the two files is not a database.
    #[error("the files of the data directory cannot be opened")]
    Storage(#[from] rusqlite::Error),
}

/// A handle to the database of one data directory; clones share it. The files are closed with the last one.
#[derive(Clone)]
pub struct DynamoDb {
    inner: Arc<Inner>,
}

struct Inner {
    calls: Worker<Engine>,
    streams: Worker<Streams>,
    faults: Arc<Faults>,
    meter: Arc<Meter>,
    writes: watch::Receiver<u64>,
}

struct Streams {
    reader: StreamReader,
    positions: Positions,
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DynamoDb").finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// Opens or makes `dynamodb.sqlite` and `stack.sqlite` in `dir`. `region` is the one in ARNs and records.
    pub fn open(dir: &Path, region: &str) -> Result<DynamoDb, OpenError> {
        std::fs::create_dir_all(dir)?;
        let file = dir.join("dynamodb.sqlite");
        let database = Database::new(&file.to_string_lossy())?;
        // Without it, each item of a batch waits for the disk.
        database.enable_bulk_loading()?;
        let faults = Arc::new(Faults::default());
        let meter = Arc::new(Meter::default());
        let (announce, writes) = watch::channel(0);
        let engine = Engine::new(
            database,
            Connection::open(&file)?,
            region,
            Arc::clone(&faults),
            Arc::clone(&meter),
            announce,
        )?;
        engine.index_expiry()?;
        let streams = Streams {
            reader: StreamReader::new(Connection::open(&file)?, region)?,
            positions: Positions::open(&dir.join("stack.sqlite"))?,
        };
        let inner = Inner {
            calls: Worker::start("dynamodb", engine)?,
            streams: Worker::start("dynamodb-streams", streams)?,
            faults,
            meter,
            writes,
        };
        Ok(DynamoDb {
            inner: Arc::new(inner),
        })
    }

    /// One call of the API: `operation` is what `X-Amz-Target` names after the dot, `body` and the answer are
    /// AWS JSON 1.0.
    pub async fn call(&self, operation: &str, body: Bytes) -> Result<Vec<u8>, DynamoError> {
        let operation = Operation::parse(operation).ok_or_else(DynamoError::unknown_operation)?;
        check_size(&body)?;
        if let Some(latency) = self.inner.faults.latency() {
            tokio::time::sleep(latency).await;
        }
        let failure = self.inner.faults.failure_of_this_call();
        if failure == Some(Failure::Before) {
            return Err(engine::internal("as a test wants it"));
        }
        let answer = self
            .inner
            .calls
            .run(move |engine| engine.call(operation, &body))
            .await
            .unwrap_or_else(|stopped| Err(engine::internal(stopped)));
        match failure {
            Some(_) => Err(engine::internal("as a test wants it")),
            None => answer,
        }
    }

    /// Makes a table of the template, or checks that the existing one is the same. The request is that of
    /// `CreateTable`, or the properties of an `AWS::DynamoDB::Table` with the table's name.
    pub async fn create(
        &self,
        request: Value,
        ttl_attribute: Option<&str>,
    ) -> Result<(), CreateError> {
        let ttl = ttl_attribute.map(str::to_owned);
        self.inner
            .calls
            .run(move |engine| engine.create(request, ttl.as_deref()))
            .await?
    }

    /// Reads the records of one shard after a position (0 for the beginning), at most `limit`.
    pub async fn read_records(
        &self,
        table: &str,
        shard: usize,
        after: u64,
        limit: usize,
    ) -> Result<StreamPage, StreamError> {
        let table = table.to_owned();
        self.inner
            .streams
            .run(move |streams| streams.reader.page(&table, shard, after, limit))
            .await?
    }

    /// The position after the newest record, from which a mapping with `StartingPosition: LATEST` begins.
    pub async fn latest_position(&self, table: &str) -> Result<u64, StreamError> {
        let table = table.to_owned();
        self.inner
            .streams
            .run(move |streams| streams.reader.latest(&table))
            .await?
    }

    /// The ARN of a table's stream.
    pub async fn stream_arn(&self, table: &str) -> Result<String, StreamError> {
        let table = table.to_owned();
        self.inner
            .streams
            .run(move |streams| streams.reader.arn(&table))
            .await?
    }

    /// How far a mapping has read a shard; `None` when it never did.
    pub async fn position(
        &self,
        mapping: &str,
        table: &str,
        shard: usize,
    ) -> Result<Option<u64>, StreamError> {
        let (mapping, table) = (mapping.to_owned(), table.to_owned());
        let position = self
            .inner
            .streams
            .run(move |streams| streams.positions.get(&mapping, &table, shard))
            .await??;
        Ok(position)
    }

    /// Keeps how far a mapping has read a shard.
    pub async fn save_position(
        &self,
        mapping: &str,
        table: &str,
        shard: usize,
        position: u64,
    ) -> Result<(), StreamError> {
        let (mapping, table) = (mapping.to_owned(), table.to_owned());
        self.inner
            .streams
            .run(move |streams| streams.positions.save(&mapping, &table, shard, position))
            .await??;
        Ok(())
    }

    /// Deletes expired items and old stream records, a few at a time. To be called about every minute with the Unix
    /// time in seconds.
    pub async fn maintain(&self, now: u64) -> Result<Maintenance, StreamError> {
        let mut done = Maintenance::default();
        let calls = &self.inner.calls;
        loop {
            let expired = calls.run(move |engine| engine.expire(now)).await??;
            done.expired += expired;
            if expired < maintenance::CHUNK {
                break;
            }
        }
        let passed = self
            .inner
            .streams
            .run(|streams| streams.positions.passed_by_all())
            .await??;
        let passed = passed.into_iter().collect();
        for (table, limit) in calls
            .run(move |engine| engine.trim_limits(now, &passed))
            .await??
        {
            loop {
                let table = table.clone();
                let trimmed = calls
                    .run(move |engine| engine.trim(&table, limit))
                    .await??;
                done.trimmed += trimmed;
                if trimmed < maintenance::CHUNK {
                    break;
                }
            }
        }
        Ok(done)
    }

    /// Changes whenever there may be new stream records, of any table.
    pub fn subscribe_writes(&self) -> watch::Receiver<u64> {
        self.inner.writes.clone()
    }

    /// What the calls have used since it was opened, by table and by `table/index`. Streams are read and expired items
    /// deleted for nothing.
    pub fn consumed(&self) -> BTreeMap<String, Consumed> {
        self.inner.meter.consumed()
    }

    /// The faults to inject; all off at first.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }
}
