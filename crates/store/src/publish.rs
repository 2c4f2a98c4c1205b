//! Storing one event that somebody publishes, once for each key that they give.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::{EventId, Millis};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{StoreError, classify};
use crate::events::{self, NewEvent};
use crate::item::{self, Item, attribute};
use crate::keys;
use crate::oversized::OversizedWriter;

/// How long publishing may take. API Gateway waits 30 s at most.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// What is stored for a key and has expired is not there any more, though DynamoDB may take days
/// to remove it. ("Using time to live".)
const ABSENT: &str = "attribute_not_exists(#pk) OR #expires_at < :now";

/// That a publisher's key stands for this request and for no other.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Made from who publishes and from the key.
    pub id: EventId,
    /// The request, byte for byte.
    pub request: &'a [u8],
}

/// What became of an event that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is stored now and was not before.
    Stored,
    /// It was stored before.
    Repeated,
    /// The key stands for another request. Nothing was stored.
    Conflict,
}

/// Stores published events.
#[derive(Debug, Clone)]
pub struct EventPublisher {
    client: Client,
    table: String,
    feed_shards: u32,
    retention_ms: u64,
    oversized: OversizedWriter,
}

impl EventPublisher {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:PutItem"];

    /// Writes to `table`, for `retention_days`, over `feed_shards` partitions a day, and what is
    /// too large for it to `oversized`.
    #[must_use]
    pub fn new(
        client: Client,
        table: String,
        feed_shards: u32,
        retention_days: u32,
        oversized: OversizedWriter,
    ) -> EventPublisher {
        EventPublisher {
            client,
            table,
            feed_shards: feed_shards.max(1),
            retention_ms: u64::from(retention_days) * 24 * 60 * 60 * 1_000,
            oversized,
        }
    }

    /// Stores an event, unless it is stored already. With a claim, that is written first: who comes
    /// with another request for the same key finds it. Safe to repeat, also after only a part of it
    /// was done, and at the same moment by several. `clock` is asked at each call.
    ///
    /// # Errors
    /// When it could not be stored; it may be all the same.
    pub async fn publish(
        &self,
        event: &NewEvent<'_>,
        claim: Option<Claim<'_>>,
        clock: fn() -> Millis,
    ) -> Result<Published, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        if let Some(claim) = claim
            && !self.claim(claim, clock, deadline).await?
        {
            return Ok(Published::Conflict);
        }
        let prepared = events::prepare(&[event])?;
        // Before the item: who finds an item that names an object finds the object.
        for (key, body) in prepared.objects {
            self.oversized.put(key, body, deadline).await?;
        }
        let mut published = Published::Repeated;
        for (id, item) in prepared.puts {
            let stamped = |now| {
                let mut item = item.clone();
                item::stamp(&mut item, id, now, self.feed_shards, self.retention_ms);
                item
            };
            if self.put(stamped, clock, deadline).await?.is_none() {
                published = Published::Stored;
            }
        }
        Ok(published)
    }

    /// Whether the key stands for this request: now, or since before.
    async fn claim(
        &self,
        claim: Claim<'_>,
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        let digest = AttributeValue::B(Blob::new(Sha256::digest(claim.request).to_vec()));
        let item = |now: Millis| {
            let text = |text: &str| AttributeValue::S(text.to_owned());
            let expires_at = now.plus(self.retention_ms).as_secs().to_string();
            HashMap::from([
                (attribute::PK.to_owned(), text(&keys::claim(claim.id))),
                (attribute::SK.to_owned(), text("key")),
                (attribute::VERSION.to_owned(), version()),
                (attribute::REQUEST.to_owned(), digest.clone()),
                (
                    attribute::EXPIRES_AT.to_owned(),
                    AttributeValue::N(expires_at),
                ),
            ])
        };
        Ok(match self.put(item, clock, deadline).await? {
            None => true,
            Some(there) => there.get(attribute::REQUEST) == Some(&digest),
        })
    }

    /// Puts an item where none is; answers the one that is there.
    async fn put(
        &self,
        item: impl Fn(Millis) -> Item,
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<Option<Item>, StoreError> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let now = clock();
            let seconds = AttributeValue::N(now.as_secs().to_string());
            let call = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item(now)))
                .condition_expression(ABSENT)
                .expression_attribute_names("#pk", attribute::PK)
                .expression_attribute_names("#expires_at", attribute::EXPIRES_AT)
                .expression_attribute_values(":now", seconds)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .send()
                .await;
            match call.map_err(there) {
                Ok(_) => return Ok(None),
                Err(Ok(there)) => return Ok(Some(there)),
                Err(Err(StoreError::Throttled { operation })) => backoff.pause(operation).await?,
                Err(Err(error)) => return Err(error),
            }
        }
    }
}

/// The item for whose sake a put was refused, or why it failed.
fn there<R>(error: SdkError<PutItemError, R>) -> Result<Item, StoreError>
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failed)) => {
            Ok(failed.item.clone().unwrap_or_default())
        }
        _ => Err(classify("PutItem", error)),
    }
}

fn version() -> AttributeValue {
    AttributeValue::N("1".to_owned())
}
