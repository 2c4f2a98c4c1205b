//! Notes on records that were pushed late.
//!
//! A client that comes back reads from a little before its cursor. A record that was pushed much
//! later than it was stored may lie further back than that, although the client has not seen it:
//! it was away when the record was pushed, and its cursor comes from a faster shard. So `push`
//! notes, before it sends late records, from when they are and until when they were late; a client
//! whose cursor lies within starts at `from`. (`ARCHITECTURE.md`, "Why nothing is missed".)

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Cursor, Millis};

use crate::error::{StoreError, classify, is_condition_failure};
use crate::keys;

const FROM: &str = "from";
/// Notes are kept one per this span of `until`, which is rounded up: a resume then reads a little
/// more than it must, and an outage leaves few notes.
const GRAIN_MS: u64 = 60_000;

/// Reads the notes: for who reads the feed without being connected.
#[derive(Debug, Clone)]
pub struct LateNotes {
    client: Client,
    table: String,
}

impl LateNotes {
    /// The IAM actions that it needs on the connections table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// On the connections table, where the notes are.
    #[must_use]
    pub fn new(client: Client, table: String) -> LateNotes {
        LateNotes { client, table }
    }

    /// From when to read for a client whose cursor is of a pushed event that was stored at `seen`;
    /// none when nothing was late then.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn since(&self, seen: Millis) -> Result<Option<Millis>, StoreError> {
        earliest(&self.client, &self.table, seen).await
    }

    /// Whether a cursor names a time that has not come, and no note says that the clock was ahead by
    /// which it was made: then it is of another time, or made up.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn is_made_up(&self, cursor: Cursor, now: Millis) -> Result<bool, StoreError> {
        let is_ahead = cursor.is_ahead_of(now);
        Ok(is_ahead && self.since(cursor.position.received_at).await?.is_none())
    }
}

/// Notes that records received since `from` are being sent only now, until `until`.
pub(crate) async fn note(
    client: &Client,
    table: &str,
    from: Millis,
    until: Millis,
    keep_until: Millis,
) -> Result<(), StoreError> {
    let until = Millis(until.0.next_multiple_of(GRAIN_MS));
    let call = client
        .update_item()
        .table_name(table)
        .key("pk", AttributeValue::S(keys::LATE.to_owned()))
        .key("sk", AttributeValue::S(keys::late_at(until)))
        .update_expression("SET #from = :from, expires_at = :expires_at, v = :v")
        .condition_expression("attribute_not_exists(#from) OR #from > :from")
        .expression_attribute_names("#from", FROM)
        .expression_attribute_values(":from", AttributeValue::N(from.0.to_string()))
        .expression_attribute_values(
            ":expires_at",
            AttributeValue::N(keep_until.as_secs().to_string()),
        )
        .expression_attribute_values(":v", AttributeValue::N("1".to_owned()))
        .send()
        .await;
    match call {
        Err(error) if is_condition_failure(&error) => Ok(()),
        Err(error) => Err(classify("UpdateItem", error)),
        Ok(_) => Ok(()),
    }
}

/// From when to read for a client that has seen everything up to `seen`: the earliest record that
/// was late at that time, if there is one.
pub(crate) async fn earliest(
    client: &Client,
    table: &str,
    seen: Millis,
) -> Result<Option<Millis>, StoreError> {
    let mut earliest: Option<Millis> = None;
    let mut start: Option<HashMap<String, AttributeValue>> = None;
    loop {
        let answer = client
            .query()
            .table_name(table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk >= :seen")
            .expression_attribute_values(":pk", AttributeValue::S(keys::LATE.to_owned()))
            .expression_attribute_values(":seen", AttributeValue::S(keys::late_at(seen)))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| classify("Query", error))?;
        let notes = answer.items.unwrap_or_default();
        let from = notes
            .iter()
            .filter_map(|note| note.get(FROM)?.as_n().ok()?.parse().ok().map(Millis));
        earliest = earliest
            .into_iter()
            .chain(from.filter(|from| *from <= seen))
            .min();
        start = answer.last_evaluated_key;
        if start.is_none() {
            return Ok(earliest);
        }
    }
}
