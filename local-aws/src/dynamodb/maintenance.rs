//! What DynamoDB does behind one's back: expired items go, and stream records after a day.

use std::collections::HashMap;

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::types::Item;
use rusqlite::{OptionalExtension, params};

use super::engine::{Engine, key_names};
use super::stream::StreamError;

/// DynamoDB keeps stream records for 24 hours.
const STREAM_SECONDS: u64 = 24 * 60 * 60;

/// DynamoDB does not expire an item whose time is more than five years past.
const EXPIRY_SECONDS: u64 = 5 * 365 * 24 * 60 * 60;

/// Records that stay for a look back, although every mapping has passed them.
const KEPT_RECORDS: u64 = 10_000;

/// Items or records deleted at once, so that calls get their turn between.
pub(super) const CHUNK: usize = 200;

/// What one round of maintenance deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Items past their time to live.
    pub expired: usize,
    /// Stream records.
    pub trimmed: usize,
}

impl Engine {
    /// Gives each table with a time to live an index by it: a sweep reads only what has expired.
    pub(super) fn index_expiry(&self) -> Result<(), rusqlite::Error> {
        for (table, attribute) in self.expiring_tables()? {
            let name = identifier(&format!("local_expiry {table} {attribute}"));
            self.connection.execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS {name} ON {} ({})",
                identifier(&table),
                expiry(&attribute)
            ))?;
        }
        Ok(())
    }

    /// Deletes up to [`CHUNK`] expired items with their stream records.
    pub(super) fn expire(&self, now: u64) -> Result<usize, StreamError> {
        let mut expired = 0;
        self.connection
            .execute("INSERT INTO local_expiring (now) VALUES (?1)", [now])?;
        let outcome = self
            .expiring_tables()
            .map_err(StreamError::from)
            .and_then(|tables| {
                for (table, attribute) in tables {
                    expired += self.expire_table(&table, &attribute, now, CHUNK - expired)?;
                    if expired == CHUNK {
                        break;
                    }
                }
                Ok(())
            });
        self.connection.execute("DELETE FROM local_expiring", [])?;
        if expired > 0 {
            self.announce_writes();
        }
        outcome.map(|()| expired)
    }

    fn expire_table(
        &self,
        table: &str,
        attribute: &str,
        now: u64,
        limit: usize,
    ) -> Result<usize, StreamError> {
        let Some(metadata) = self
            .database
            .get_table_metadata(table)
            .map_err(StreamError::Expiry)?
        else {
            return Ok(0);
        };
        let names = key_names(&metadata.key_schema);
        let sql = format!(
            "SELECT item_json FROM {} WHERE {} BETWEEN ?1 AND ?2 LIMIT ?3",
            identifier(table),
            expiry(attribute)
        );
        let items: Vec<String> = self
            .connection
            .prepare_cached(&sql)?
            .query_map(
                params![
                    now.saturating_sub(EXPIRY_SECONDS),
                    now.saturating_sub(1),
                    limit
                ],
                |row| row.get(0),
            )?
            .collect::<Result<_, _>>()?;
        for item in &items {
            let mut key: Item = serde_json::from_str(item).unwrap_or_default();
            key.retain(|name, _| names.contains(name));
            let request = DeleteItemRequest {
                table_name: table.to_owned(),
                key,
                ..DeleteItemRequest::default()
            };
            self.database
                .delete_item(request)
                .map_err(StreamError::Expiry)?;
        }
        Ok(items.len())
    }

    /// Tables with a time to live, and its attribute.
    fn expiring_tables(&self) -> Result<Vec<(String, String)>, rusqlite::Error> {
        self.connection
            .prepare_cached("SELECT table_name, ttl_attribute FROM _tables WHERE ttl_enabled = 1")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    /// Up to where each stream can be cut: the records that are a day old, and those passed by every mapping but for
    /// the newest [`KEPT_RECORDS`]. The newest record always stays, for the next sequence number is made from it.
    pub(super) fn trim_limits(
        &self,
        now: u64,
        passed: &HashMap<String, u64>,
    ) -> Result<Vec<(String, u64)>, StreamError> {
        // A sequence number is the microsecond of its write, or one more than the last.
        let day_old = now.saturating_sub(STREAM_SECONDS).saturating_mul(1_000_000);
        let mut tables = self
            .connection
            .prepare_cached("SELECT table_name FROM _tables WHERE stream_enabled = 1")?;
        let tables: Vec<String> = tables
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut limits = Vec::new();
        for table in tables {
            let Some(newest) = self.before_newest(&table, 0)? else {
                continue;
            };
            let read = match passed.get(&table) {
                Some(position) => self
                    .before_newest(&table, KEPT_RECORDS)?
                    .map_or(0, |kept| kept.min(*position)),
                None => 0,
            };
            limits.push((table, newest.min(day_old.max(read))));
        }
        Ok(limits)
    }

    /// The sequence number of the record this many before the newest.
    fn before_newest(&self, table: &str, records: u64) -> Result<Option<u64>, rusqlite::Error> {
        self.connection
            .prepare_cached(
                "SELECT CAST(sequence_number AS INTEGER) FROM _stream_records WHERE table_name = ?1
                 ORDER BY CAST(sequence_number AS INTEGER) DESC LIMIT 1 OFFSET ?2",
            )?
            .query_row(params![table, records], |row| row.get(0))
            .optional()
    }

    /// Deletes up to [`CHUNK`] records before `limit`.
    pub(super) fn trim(&self, table: &str, limit: u64) -> Result<usize, StreamError> {
        let deleted = self
            .connection
            .prepare_cached(
                "DELETE FROM _stream_records WHERE id IN (
                     SELECT id FROM _stream_records WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2
                     ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?3)",
            )?
            .execute(params![table, limit, CHUNK])?;
        Ok(deleted)
    }
}

/// The time to live of an item as an SQL expression, the same in the index and in the query.
fn expiry(attribute: &str) -> String {
    let path = format!("$.\"{attribute}\".N").replace('\'', "''");
    format!("CAST(json_extract(item_json, '{path}') AS INTEGER)")
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
