//! Storing one event that somebody publishes, once for each key that they give.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::{DAY_MS, EventId, Millis};
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
const ABSENT: &str = "attribute_not_exists(#pk)";
/// What is stored for a key and has expired is not there any more, though DynamoDB may take days
/// to remove it. ("Using time to live".) An event is never put over another, expired or not: that
/// would be no insert, and `push` takes nothing else.
const ABSENT_OR_EXPIRED: &str = "attribute_not_exists(#pk) OR #expires_at < :now";

/// That a publisher's key stands for this request and its event, and for no other.
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
    /// It is stored, now or since before, under this id.
    Stored(EventId),
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
            retention_ms: u64::from(retention_days) * DAY_MS,
            oversized,
        }
    }

    /// Stores an event under its id, which is new. With a claim, that is written first: who comes
    /// with the same key finds it, and with the same request the id under which its event is
    /// stored. Safe to repeat, also after only a part of it was done, and at the same moment by
    /// several. `clock` is asked at each call.
    ///
    /// # Errors
    /// When it could not be stored; it may be all the same.
    pub async fn publish(
        &self,
        mut event: NewEvent<'_>,
        claim: Option<Claim<'_>>,
        clock: fn() -> Millis,
    ) -> Result<Published, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        if let Some(claim) = claim {
            let Some(id) = self.claim(claim, event.id, clock, deadline).await? else {
                return Ok(Published::Conflict);
            };
            event.id = id;
        }
        let prepared = events::prepare(&[&event])?;
        // Before the item: who finds an item that names an object finds the object.
        for (key, body) in prepared.objects {
            self.oversized.put(key, body, deadline).await?;
        }
        for (id, item) in prepared.puts {
            let stamped = |now| {
                let mut item = item.clone();
                item::stamp(&mut item, id, now, self.feed_shards, self.retention_ms);
                item
            };
            self.put(stamped, ABSENT, clock, deadline).await?;
        }
        Ok(Published::Stored(event.id))
    }

    /// The event that the key stands for: this one from now on, or, since before, the one of the
    /// same request. None when it stands for another request.
    async fn claim(
        &self,
        claim: Claim<'_>,
        event: EventId,
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<Option<EventId>, StoreError> {
        let digest = AttributeValue::B(Blob::new(Sha256::digest(claim.request).to_vec()));
        let item = |now: Millis| {
            let text = |text: &str| AttributeValue::S(text.to_owned());
            let expires_at = now.plus(self.retention_ms).as_secs().to_string();
            HashMap::from([
                (attribute::PK.to_owned(), text(&keys::claim(claim.id))),
                (attribute::SK.to_owned(), text("key")),
                (attribute::VERSION.to_owned(), version()),
                (attribute::REQUEST.to_owned(), digest.clone()),
                (attribute::EVENT.to_owned(), text(&event.key())),
                (
                    attribute::EXPIRES_AT.to_owned(),
                    AttributeValue::N(expires_at),
                ),
            ])
        };
        let there = self.put(item, ABSENT_OR_EXPIRED, clock, deadline).await?;
        let Some(there) = there else {
            return Ok(Some(event));
        };
        if there.get(attribute::REQUEST) != Some(&digest) {
            return Ok(None);
        }
        let id = there.get(attribute::EVENT).and_then(|id| id.as_s().ok());
        let id = id.and_then(|key| EventId::from_key(key).ok());
        id.map(Some)
            .ok_or(StoreError::Corrupt("a claim names no event"))
    }

    /// Puts an item where `condition` holds; answers the one that is there where it does not.
    async fn put(
        &self,
        item: impl Fn(Millis) -> Item,
        condition: &'static str,
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<Option<Item>, StoreError> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let now = clock();
            let mut call = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item(now)))
                .condition_expression(condition)
                .expression_attribute_names("#pk", attribute::PK)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
            // DynamoDB takes no name that the condition does not use.
            if condition == ABSENT_OR_EXPIRED {
                let seconds = AttributeValue::N(now.as_secs().to_string());
                call = call
                    .expression_attribute_names("#expires_at", attribute::EXPIRES_AT)
                    .expression_attribute_values(":now", seconds);
            }
            match call.send().await.map_err(there) {
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
