//! The messages of all queues, in one file.

use std::path::Path;

use rusqlite::{Connection, Row, params};

use super::line::{Entry, Id};
use super::message::{Content, Message};
use crate::clock::Millis;

pub(super) struct Rows {
    connection: Connection,
}

const MESSAGE: &str =
    "SELECT message_id, body, attributes, trace_header, sender, dead_letter_source,
     group_id, sent_at, first_received_at, receives, visible_at FROM messages WHERE id = ?1";

impl Rows {
    pub(super) fn open(file: &Path) -> rusqlite::Result<Rows> {
        let connection = Connection::open(file)?;
        // What is committed outlives the process; the machine's power may take the last of it.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS messages (
                 id INTEGER PRIMARY KEY, queue TEXT NOT NULL,
                 sent_at INTEGER NOT NULL, visible_at INTEGER NOT NULL, receives INTEGER NOT NULL,
                 first_received_at INTEGER,
                 message_id TEXT NOT NULL, group_id TEXT NOT NULL, body TEXT NOT NULL,
                 attributes TEXT NOT NULL, trace_header TEXT, sender TEXT NOT NULL,
                 dead_letter_source TEXT
             );",
        )?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Rows { connection })
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.run("BEGIN IMMEDIATE", [])
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.run("COMMIT", [])
    }

    pub(super) fn roll_back(&self) -> rusqlite::Result<()> {
        // It has rolled back by itself when the disk was full.
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.run("ROLLBACK", [])
    }

    pub(super) fn last_id(&self) -> rusqlite::Result<Id> {
        let last: Option<Id> = self
            .connection
            .prepare_cached("SELECT MAX(id) FROM messages")?
            .query_row([], |row| row.get(0))?;
        Ok(last.unwrap_or(0))
    }

    /// The order of a queue's messages.
    pub(super) fn entries(&self, queue: &str) -> rusqlite::Result<Vec<(Id, Entry)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, group_id, sent_at, visible_at, receives FROM messages WHERE queue = ?1",
        )?;
        let entry = |row: &Row<'_>| {
            let group: String = row.get(1)?;
            let entry = Entry {
                group: group.into(),
                sent_at: Millis(row.get(2)?),
                visible_at: Millis(row.get(3)?),
                receives: row.get(4)?,
            };
            Ok((row.get(0)?, entry))
        };
        statement.query_map([queue], entry)?.collect()
    }

    pub(super) fn insert(
        &self,
        id: Id,
        queue: &str,
        content: &Content,
        entry: &Entry,
    ) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7, ?8, ?9, ?10, ?11, NULL)",
            params![
                id,
                queue,
                entry.sent_at.0,
                entry.visible_at.0,
                entry.receives,
                content.message_id,
                &*entry.group,
                content.body,
                content.attributes,
                content.trace_header,
                content.sender,
            ],
        )
    }

    /// A second message that is the same but for its number, and ready at a time.
    pub(super) fn duplicate(&self, id: Id, copy: Id, visible_at: Millis) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO messages SELECT ?2, queue, sent_at, ?3, receives, first_received_at, message_id,
                 group_id, body, attributes, trace_header, sender, dead_letter_source
             FROM messages WHERE id = ?1",
            params![id, copy, visible_at.0],
        )
    }

    pub(super) fn received(&self, id: Id, now: Millis, entry: &Entry) -> rusqlite::Result<()> {
        self.run(
            "UPDATE messages SET visible_at = ?2, receives = ?3,
                 first_received_at = COALESCE(first_received_at, ?4) WHERE id = ?1",
            params![id, entry.visible_at.0, entry.receives, now.0],
        )
    }

    pub(super) fn hide(&self, id: Id, visible_at: Millis) -> rusqlite::Result<()> {
        self.run(
            "UPDATE messages SET visible_at = ?2 WHERE id = ?1",
            params![id, visible_at.0],
        )
    }

    /// Moves a message to its dead-letter queue, visible from now on.
    pub(super) fn redrive(
        &self,
        id: Id,
        to: &str,
        source_arn: &str,
        now: Millis,
    ) -> rusqlite::Result<()> {
        self.run(
            "UPDATE messages SET queue = ?2, dead_letter_source = ?3, visible_at = ?4 WHERE id = ?1",
            params![id, to, source_arn, now.0],
        )
    }

    pub(super) fn delete(&self, id: Id) -> rusqlite::Result<()> {
        self.run("DELETE FROM messages WHERE id = ?1", [id])
    }

    pub(super) fn purge(&self, queue: &str) -> rusqlite::Result<()> {
        self.run("DELETE FROM messages WHERE queue = ?1", [queue])
    }

    pub(super) fn message(&self, id: Id) -> rusqlite::Result<Message> {
        self.connection
            .prepare_cached(MESSAGE)?
            .query_row([id], message)
    }

    fn run(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(parameters)?;
        Ok(())
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let group: String = row.get(6)?;
    Ok(Message {
        content: Content {
            message_id: row.get(0)?,
            body: row.get(1)?,
            attributes: row.get(2)?,
            trace_header: row.get(3)?,
            sender: row.get(4)?,
        },
        dead_letter_source: row.get(5)?,
        group: Some(group).filter(|group| !group.is_empty()),
        sent_at: Millis(row.get(7)?),
        first_received_at: row.get::<_, Option<u64>>(8)?.map(Millis),
        receives: row.get(9)?,
        visible_at: Millis(row.get(10)?),
        receipt_handle: String::new(),
    })
}
