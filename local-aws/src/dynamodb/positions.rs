//! How far each event source mapping has read, in a file of its own.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::stream::SHARDS;

pub(super) struct Positions {
    connection: Connection,
}

impl Positions {
    pub(super) fn open(file: &Path) -> Result<Positions, rusqlite::Error> {
        let connection = Connection::open(file)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS stream_positions (
                 mapping TEXT NOT NULL, table_name TEXT NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL,
                 PRIMARY KEY (mapping, table_name, shard)
             ) WITHOUT ROWID;",
        )?;
        Ok(Positions { connection })
    }

    pub(super) fn get(
        &self,
        mapping: &str,
        table: &str,
        shard: usize,
    ) -> Result<Option<u64>, rusqlite::Error> {
        self.connection
            .prepare_cached(
                "SELECT position FROM stream_positions WHERE mapping = ?1 AND table_name = ?2 AND shard = ?3",
            )?
            .query_row(params![mapping, table, shard], |row| row.get(0))
            .optional()
    }

    pub(super) fn save(
        &self,
        mapping: &str,
        table: &str,
        shard: usize,
        position: u64,
    ) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO stream_positions VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![mapping, table, shard, position])?;
        Ok(())
    }

    /// Per table the position that every shard of every mapping has reached. A table some mapping of which has not
    /// yet read all shards is left out.
    pub(super) fn passed_by_all(&self) -> Result<Vec<(String, u64)>, rusqlite::Error> {
        self.connection
            .prepare_cached(
                "SELECT table_name, MIN(position) FROM stream_positions
                 GROUP BY table_name HAVING COUNT(*) = ?1 * COUNT(DISTINCT mapping)",
            )?
            .query_map([SHARDS], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }
}
