//! Reading one event, whole.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::{DAY_MS, Event, EventId, Millis};
use futures::future::join_all;
use tokio::time::Instant;

use crate::batch::{self, Read};
use crate::error::StoreError;
use crate::item::{self, Item};
use crate::oversized::OversizedReader;

/// How long reading may take.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Reads events by their ids.
#[derive(Debug, Clone)]
pub struct EventReader {
    client: Client,
    table: String,
    retention_ms: u64,
    oversized: OversizedReader,
}

impl EventReader {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:BatchGetItem"];

    /// Reads from `table`, which keeps events for `retention_days`, and what is too large for it
    /// from `oversized`.
    #[must_use]
    pub fn new(
        client: Client,
        table: String,
        retention_days: u32,
        oversized: OversizedReader,
    ) -> EventReader {
        EventReader {
            client,
            table,
            retention_ms: u64::from(retention_days) * DAY_MS,
            oversized,
        }
    }

    /// The event with this id; `None` if it expired or was never stored. It is `truncated` if fields
    /// were cut, or if its object in S3 is missing.
    ///
    /// # Errors
    /// When DynamoDB or S3 does not answer, or has something else than was stored.
    pub async fn get(
        &self,
        id: EventId,
        now: Millis,
    ) -> Result<Option<Event<'static>>, StoreError> {
        let mut found = self.get_all(&[id], now).await?;
        found.pop().map(|(_, event)| event).transpose()
    }

    /// Those of the events with these ids, no two of them alike, that are kept, in no order; each
    /// as [`EventReader::get`] answers it.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn get_all(
        &self,
        ids: &[EventId],
        now: Millis,
    ) -> Result<Vec<(EventId, Result<Event<'static>, StoreError>)>, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let items = batch::get(&self.client, &self.table, ids, Read::Item, deadline).await?;
        let earliest = now.minus(self.retention_ms);
        let events = items.iter().filter_map(|item| {
            let id = batch::id_of(item)?;
            Some(async move { (id, self.whole(item, earliest, deadline).await) })
        });
        let events = join_all(events).await.into_iter();
        Ok(events
            .filter_map(|(id, event)| Some((id, event.transpose()?)))
            .collect())
    }

    /// The event of an item, unless it was received before `earliest`: expired items stay readable
    /// until DynamoDB gets to them.
    async fn whole(
        &self,
        item: &Item,
        earliest: Millis,
        deadline: Instant,
    ) -> Result<Option<Event<'static>>, StoreError> {
        let event = item::from_item(item)?;
        if event.received_at < earliest {
            return Ok(None);
        }
        let Some(key) = item::object(item) else {
            return Ok(Some(event));
        };
        Ok(Some(match self.oversized.get(key, deadline).await? {
            Some(body) => item::from_object(item, &body)?,
            None => event,
        }))
    }
}
