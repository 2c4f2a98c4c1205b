//! Reading what happened to one message.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{DAY_MS, Event, EventId, Millis, Position};
use tokio::time::{Instant, timeout_at};

use crate::error::{StoreError, classify};
use crate::item::{self, Item, attribute};
use crate::{batch, keys};

/// How long reading a page may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Reads the events of a message in the order in which they happened.
#[derive(Debug, Clone)]
pub struct MessageReader {
    client: Client,
    table: String,
    retention_ms: u64,
}

/// Some events of a partition.
#[derive(Debug)]
pub struct MessagePage {
    /// Those that are kept, in order. A partition is a hash: another message's may be among them.
    pub events: Vec<Event<'static>>,
    /// Where the next page goes on; none when this is the last.
    pub next: Option<Position>,
}

impl MessageReader {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// Reads from `table`, which keeps events for `retention_days`.
    #[must_use]
    pub fn new(client: Client, table: String, retention_days: u32) -> MessageReader {
        MessageReader {
            client,
            table,
            retention_ms: u64::from(retention_days) * DAY_MS,
        }
    }

    /// At most `limit` events of `partition` (see [`EventId::partition_of`]) that happened after
    /// `after`, oldest first.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn page(
        &self,
        partition: &str,
        after: Option<EventId>,
        limit: usize,
        now: Millis,
    ) -> Result<MessagePage, StoreError> {
        let after = after.map(|id| id.sort()).unwrap_or_default();
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_names("#pk", attribute::PK)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            // An event that was stored before the question is in the answer.
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let mut condition = "#pk = :pk".to_owned();
        // DynamoDB takes no empty text for a key.
        if !after.is_empty() {
            condition.push_str(" AND #sk > :sk");
            query = query
                .expression_attribute_names("#sk", attribute::SK)
                .expression_attribute_values(":sk", AttributeValue::S(after));
        }
        let call = query.key_condition_expression(condition).send();
        let answer = timeout_at(Instant::now() + TIME_LIMIT, call)
            .await
            .map_err(|_| StoreError::too_slow("Query"))?
            .map_err(|error| classify("Query", error))?;
        let items = answer.items.unwrap_or_default();
        let is_last = answer.last_evaluated_key.is_none();
        let last = items.iter().rev().find_map(position);
        Ok(MessagePage {
            next: last.filter(|_| !is_last),
            events: self.events(&items, now),
        })
    }

    fn events(&self, items: &[Item], now: Millis) -> Vec<Event<'static>> {
        let kept_since = now.minus(self.retention_ms);
        let readable = items.iter().filter_map(|item| match item::from_item(item) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!(event.id = ?batch::id_of(item), %error, "A stored event cannot be read.");
                None
            }
        });
        // Expired items stay readable until DynamoDB gets to them.
        readable
            .filter(|event| event.received_at >= kept_since)
            .collect()
    }
}

fn position(item: &Item) -> Option<Position> {
    keys::parse_feed_at(item.get(attribute::FEED_AT)?.as_s().ok()?)
}
