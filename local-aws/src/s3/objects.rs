//! The objects of all buckets, in one file.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::template::Expiration;

const DAY_SECONDS: u64 = 24 * 60 * 60;
const COLUMNS: &str = "key, content_type, etag, modified_at, body";

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name within the bucket.
    pub key: String,
    /// What it is.
    pub content_type: String,
    /// The MD5 of its content in hex, without the quotes of the header.
    pub etag: String,
    /// When it was written, in Unix seconds.
    pub modified_at: u64,
    /// Its content.
    pub body: Bytes,
}

pub(super) struct Objects {
    connection: Connection,
}

impl Objects {
    pub(super) fn open(file: &Path) -> Result<Objects, rusqlite::Error> {
        let connection = Connection::open(file)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS objects (
                 bucket TEXT NOT NULL, key TEXT NOT NULL, content_type TEXT NOT NULL, etag TEXT NOT NULL,
                 modified_at INTEGER NOT NULL, body BLOB NOT NULL,
                 PRIMARY KEY (bucket, key)
             );",
        )?;
        Ok(Objects { connection })
    }

    pub(super) fn put(&self, bucket: &str, object: &Object) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                bucket,
                object.key,
                object.content_type,
                object.etag,
                object.modified_at,
                &object.body[..],
            ])?;
        Ok(())
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<Option<Object>, rusqlite::Error> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2"
            ))?
            .query_row([bucket, key], object)
            .optional()
    }

    /// In the order of the keys' bytes.
    pub(super) fn all(&self, bucket: &str) -> Result<Vec<Object>, rusqlite::Error> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 ORDER BY key"
            ))?
            .query_map([bucket], object)?
            .collect()
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
            .execute([bucket, key])?;
        Ok(())
    }

    /// Deletes what has expired at `now`, in Unix seconds; answers how many. An object's days are
    /// counted from when it was written and end at the next midnight UTC. ("Lifecycle configuration
    /// elements": based on an object's age.)
    pub(super) fn expire(
        &self,
        bucket: &str,
        expiration: &Expiration,
        now: u64,
    ) -> Result<usize, rusqlite::Error> {
        // What was written until this midnight had its days until the last one.
        let before = (now / DAY_SECONDS).saturating_sub(u64::from(expiration.days)) * DAY_SECONDS;
        self.connection
            .prepare_cached(
                "DELETE FROM objects
                 WHERE bucket = ?1 AND substr(key, 1, length(?2)) = ?2 AND modified_at <= ?3",
            )?
            .execute(params![bucket, expiration.prefix, before])
    }
}

fn object(row: &Row<'_>) -> Result<Object, rusqlite::Error> {
    Ok(Object {
        key: row.get(0)?,
        content_type: row.get(1)?,
        etag: row.get(2)?,
        modified_at: row.get(3)?,
        body: row.get::<_, Vec<u8>>(4)?.into(),
    })
}
