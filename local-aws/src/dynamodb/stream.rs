//! A table's stream as Lambda reads it: shards by partition key, records as the JSON of an invocation.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use dynoxide::types::{AttributeValue, Item};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use super::engine::key_names;
use crate::worker::Stopped;

/// The shards of every stream. dynoxide has one; on AWS a stream has several, which run at different speeds.
pub const SHARDS: usize = 4;

/// Account in the ARNs that dynoxide makes.
pub const ACCOUNT_ID: &str = "000000000000";

/// What turns a stored sequence number into the 21 digits that everybody sees.
const SEQUENCE_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Records in one page: an invocation takes 6 MB, its envelope included.
const PAGE_BYTES: usize = 6_000_000;

/// Rows looked at for one page, those of other shards included, so that a poll holds the thread for milliseconds.
const PAGE_ROWS: usize = 20_000;

/// Why a stream could not be read or trimmed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No such table, or it has no stream.
    #[error("the table {0} has no stream")]
    NoStream(String),
    /// The file is damaged, full or gone.
    #[error("the stream could not be read")]
    Storage(#[from] rusqlite::Error),
    /// An expired item could not be deleted.
    #[error("an expired item could not be deleted")]
    Expiry(#[source] dynoxide::DynoxideError),
    /// The stack is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// One change of an item.
#[derive(Debug, Clone)]
pub struct StreamRecord {
    /// Position in the stream; rises over all shards of a table. [`sequence_text`] is its public form.
    pub sequence: u64,
    /// The element of `Records` that Lambda would get.
    pub json: String,
    /// The item's key as DynamoDB JSON.
    pub keys: String,
    /// When it was written, in Unix seconds.
    pub written_at: u64,
}

/// Some records of one shard, in order.
#[derive(Debug, Clone, Default)]
pub struct StreamPage {
    /// What the shard holds after the position asked for.
    pub records: Vec<StreamRecord>,
    /// Where to read on. Passes over records of other shards too.
    pub position: u64,
    /// Whether the stream went on when this page was full.
    pub more: bool,
}

/// The public form of a sequence number: 21 digits, so that the order of texts is the order of records.
pub fn sequence_text(sequence: u64) -> String {
    (SEQUENCE_OFFSET + u128::from(sequence)).to_string()
}

/// The reverse of [`sequence_text`], as for the `itemIdentifier` of a partial batch response.
pub fn parse_sequence(text: &str) -> Option<u64> {
    let number: u128 = text.parse().ok()?;
    u64::try_from(number.checked_sub(SEQUENCE_OFFSET)?).ok()
}

/// The shard of an item, given its key as DynamoDB JSON and the name of the partition key. Never changes.
pub fn shard_of(keys: &str, partition_key: &str) -> usize {
    let value = serde_json::from_str::<HashMap<&str, &RawValue>>(keys)
        .ok()
        .and_then(|keys| keys.get(partition_key).map(|value| value.get()));
    // FNV-1a.
    let hash = value
        .unwrap_or_default()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // The lowest bits of FNV-1a mix least.
    ((hash >> 32) % SHARDS as u64) as usize
}

/// What is the same for every record of a table.
struct Stream {
    partition_key: String,
    view_type: String,
    /// ARN with the time at which the stream began.
    arn: String,
    region: String,
}

/// The state of the reading thread's half that concerns streams.
pub(super) struct StreamReader {
    connection: Connection,
    region: String,
}

impl StreamReader {
    pub(super) fn new(
        connection: Connection,
        region: &str,
    ) -> Result<StreamReader, rusqlite::Error> {
        connection.execute_batch(
            "PRAGMA query_only = ON; PRAGMA mmap_size = 268435456; PRAGMA busy_timeout = 5000;",
        )?;
        Ok(StreamReader {
            connection,
            region: region.to_owned(),
        })
    }

    pub(super) fn arn(&self, table: &str) -> Result<String, StreamError> {
        Ok(self.stream(table)?.arn)
    }

    pub(super) fn latest(&self, table: &str) -> Result<u64, StreamError> {
        let newest: Option<u64> = self
            .connection
            .prepare_cached("SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1")?
            .query_row([table], |row| row.get(0))?;
        Ok(newest.unwrap_or(0))
    }

    pub(super) fn page(
        &self,
        table: &str,
        shard: usize,
        after: u64,
        limit: usize,
    ) -> Result<StreamPage, StreamError> {
        let stream = self.stream(table)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT CAST(sequence_number AS INTEGER), keys_json, event_name, created_at, user_identity,
                    COALESCE(event_id, sequence_number), new_image, old_image
             FROM _stream_records
             WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) > ?2
             ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?3",
        )?;
        let mut rows = statement.query(params![table, after, PAGE_ROWS])?;
        let mut page = StreamPage {
            position: after,
            ..StreamPage::default()
        };
        let (mut seen, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            if page.records.len() == limit {
                page.more = true;
                break;
            }
            let sequence: u64 = row.get(0)?;
            // The images are read only for rows of this shard: SQLite leaves the others on disk.
            let keys = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            if shard_of(keys, &stream.partition_key) == shard && !changes_nothing(row)? {
                let record = stream.record(row, sequence, keys)?;
                bytes += record.json.len();
                if bytes > PAGE_BYTES && !page.records.is_empty() {
                    page.more = true;
                    break;
                }
                page.records.push(record);
            }
            page.position = sequence;
            seen += 1;
        }
        page.more |= seen == PAGE_ROWS;
        Ok(page)
    }

    fn stream(&self, table: &str) -> Result<Stream, StreamError> {
        let stream = self
            .connection
            .prepare_cached(
                "SELECT t.key_schema, COALESCE(s.view_type, t.stream_view_type), t.stream_label
                 FROM _tables t LEFT JOIN local_streams s ON s.table_name = t.table_name
                 WHERE t.table_name = ?1 AND t.stream_enabled = 1",
            )?
            .query_row([table], |row| {
                let key_schema: String = row.get(0)?;
                let label: String = row.get(2)?;
                let region = &self.region;
                Ok(Stream {
                    partition_key: key_names(&key_schema)
                        .into_iter()
                        .next()
                        .unwrap_or_default(),
                    view_type: row.get(1)?,
                    arn: format!(
                        "arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{table}/stream/{label}"
                    ),
                    region: region.clone(),
                })
            })
            .optional()?;
        stream.ok_or_else(|| StreamError::NoStream(table.to_owned()))
    }
}

impl Stream {
    /// Puts the stored texts together; the images are not parsed.
    fn record(
        &self,
        row: &Row<'_>,
        sequence: u64,
        keys: &str,
    ) -> Result<StreamRecord, rusqlite::Error> {
        let column = |index: usize| {
            row.get_ref(index)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)
        };
        let written_at: u64 = row.get(3)?;
        let has = |views: [&str; 2]| views.contains(&self.view_type.as_str());
        let new_image = column(6)?.filter(|_| has(["NEW_IMAGE", "NEW_AND_OLD_IMAGES"]));
        let old_image = column(7)?.filter(|_| has(["OLD_IMAGE", "NEW_AND_OLD_IMAGES"]));
        // The length of the texts, not DynamoDB's own measure.
        let size_bytes = keys.len() + new_image.map_or(0, str::len) + old_image.map_or(0, str::len);

        let mut json = String::with_capacity(size_bytes + 640);
        let event_id = column(5)?.unwrap_or_default();
        let event_name = column(2)?.unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            r#"{{"eventID":"{event_id}","eventName":"{event_name}","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"{}","dynamodb":{{"ApproximateCreationDateTime":{written_at},"Keys":{keys}"#,
            self.region
        );
        for (name, image) in [("NewImage", new_image), ("OldImage", old_image)] {
            if let Some(image) = image {
                let _ = write!(json, r#","{name}":{image}"#);
            }
        }
        let _ = write!(
            json,
            r#","SequenceNumber":"{}","SizeBytes":{size_bytes},"StreamViewType":"{}"}}"#,
            sequence_text(sequence),
            self.view_type
        );
        if let Some(identity) = column(4)? {
            let _ = write!(json, r#","userIdentity":{identity}"#);
        }
        let _ = write!(json, r#","eventSourceARN":"{}"}}"#, self.arn);
        Ok(StreamRecord {
            sequence,
            json,
            keys: keys.to_owned(),
            written_at,
        })
    }
}

/// Whether the row is a write that left the item as it was: on AWS that makes no record.
fn changes_nothing(row: &Row<'_>) -> Result<bool, rusqlite::Error> {
    let image = |index: usize| {
        row.get_ref(index)?
            .as_str_or_null()
            .map_err(rusqlite::Error::from)
    };
    let (Some(new), Some(old)) = (image(6)?, image(7)?) else {
        return Ok(false);
    };
    // The order of attributes differs from write to write, the length of their text does not.
    if new.len() != old.len() {
        return Ok(false);
    }
    let parsed = |text: &str| serde_json::from_str::<Item>(text).ok();
    Ok(match (parsed(new), parsed(old)) {
        (Some(new), Some(old)) => same_items(&new, &old),
        _ => false,
    })
}

fn same_items(one: &Item, other: &Item) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, value)| {
            other
                .get(name)
                .is_some_and(|other| same_values(value, other))
        })
}

fn same_values(one: &AttributeValue, other: &AttributeValue) -> bool {
    match (one, other) {
        (AttributeValue::SS(one), AttributeValue::SS(other))
        | (AttributeValue::NS(one), AttributeValue::NS(other)) => same_sets(one, other),
        (AttributeValue::BS(one), AttributeValue::BS(other)) => same_sets(one, other),
        (AttributeValue::M(one), AttributeValue::M(other)) => same_items(one, other),
        (AttributeValue::L(one), AttributeValue::L(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| same_values(one, other))
        }
        (one, other) => one == other,
    }
}

fn same_sets<T: Ord>(one: &[T], other: &[T]) -> bool {
    one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
}
