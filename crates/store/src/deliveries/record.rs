//! Recording attempts, and putting off or cancelling deliveries.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use domain::cursor::CLOCK_SKEW_MS;
use domain::delivery::{CLAIM_MS, Settled};
use domain::{Chain, DeliveryId, DeliveryStatus, Millis};
use tokio::time::Instant;

use super::item::{self, attribute};
use crate::attributes::{number, text, time};
use crate::backoff::retrying;
use crate::batch;
use crate::compression::Compressor;
use crate::conditional::{Conditional, conditional};
use crate::error::StoreError;
use crate::keys::{self, DeliveryKey};

/// How long writing may take: with the attempt before it, less than a claim holds.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A delivery whose attempt is not to be made before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOff {
    /// Which delivery.
    pub id: DeliveryId,
    /// The attempt that is put off: its number.
    pub attempt: u16,
    /// Until when; then `requeue` sends it.
    pub until: Millis,
    /// How long its row is kept: see [`RetrySchedule::keep_ms`](domain::RetrySchedule::keep_ms).
    pub keep_ms: u64,
}

/// Records what came of attempts: for `deliver`.
#[derive(Debug, Clone)]
pub struct DeliveryRecord {
    client: Client,
    table: String,
    retention_ms: u64,
}

impl DeliveryRecord {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] =
        &["dynamodb:BatchWriteItem", "dynamodb:UpdateItem"];

    /// On the deliveries table, where attempts are kept for `retention_hours`.
    #[must_use]
    pub fn new(client: Client, table: String, retention_hours: u32) -> DeliveryRecord {
        DeliveryRecord {
            client,
            table,
            retention_ms: u64::from(retention_hours) * 60 * 60 * 1_000,
        }
    }

    /// How long attempts are kept, in milliseconds.
    #[must_use]
    pub fn retention_ms(&self) -> u64 {
        self.retention_ms
    }

    /// Writes attempts and the deliveries as they are after them. Only for who has claimed them,
    /// and within that minute. Who dies in between leaves some unwritten: an attempt whose delivery
    /// does not know of it is made, and recorded, once more.
    ///
    /// Answers those that are not on record.
    ///
    /// # Errors
    /// When there is no memory to compress answers with.
    pub async fn record(&self, settled: &[Settled]) -> Result<HashSet<DeliveryId>, StoreError> {
        let mut compressor = Compressor::new()?;
        let attempts = settled
            .iter()
            .map(|settled| item::of_attempt(&settled.attempt, self.retention_ms, &mut compressor));
        let mut items = attempts.collect::<Result<Vec<_>, _>>()?;
        items.extend(settled.iter().map(|s| item::of_delivery(&s.delivery)));
        let deadline = Instant::now() + TIME_LIMIT;
        let Err(left) = batch::put(&self.client, &self.table, items, deadline).await else {
            return Ok(HashSet::new());
        };
        tracing::error!(
            error = %Chain(&left.error),
            items = left.items.len(),
            "Attempts are not on record."
        );
        let unrecorded = left.items.iter().filter_map(item::key_of);
        Ok(unrecorded.map(DeliveryKey::delivery).collect())
    }

    /// Puts an attempt off, unless it was claimed or made: then nothing is done.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn put_off(&self, off: PutOff, now: Millis) -> Result<(), StoreError> {
        let expires_at = off.until.plus(off.keep_ms).as_secs();
        change(&self.client, &self.table, off.id, now, |call| {
            call.update_expression(
                "SET due_at = :until, state_at = :state_at, expires_at = :expires_at \
                 REMOVE taken",
            )
            .condition_expression(format!("{IDLE} AND recorded = :last"))
            .expression_attribute_values(":until", time(off.until))
            .expression_attribute_values(":state_at", item::pending_at(off.id, off.until))
            .expression_attribute_values(":expires_at", number(expires_at))
            .expression_attribute_values(":last", number(off.attempt.saturating_sub(1)))
        })
        .await
        .map(drop)
    }

    /// Cancels a delivery, unless it is settled or an attempt may be under way; whether it did.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn cancel(&self, id: DeliveryId, now: Millis) -> Result<bool, StoreError> {
        cancel(&self.client, &self.table, id, now).await
    }
}

/// Cancels a delivery, unless it is settled or an attempt may be under way; whether it did.
pub(super) async fn cancel(
    client: &Client,
    table: &str,
    id: DeliveryId,
    now: Millis,
) -> Result<bool, StoreError> {
    let cancelled = DeliveryStatus::Cancelled;
    let state_at = keys::delivery_at(cancelled, now, id.event);
    change(client, table, id, now, |call| {
        call.update_expression(
            "SET #status = :cancelled, settled_at = :now, state_at = :state_at REMOVE due_at",
        )
        .condition_expression(IDLE)
        .expression_attribute_values(":cancelled", text(cancelled.as_str()))
        .expression_attribute_values(":state_at", text(state_at.clone()))
    })
    .await
}

/// Changes a row if its condition, which contains [`IDLE`], holds; whether it did.
async fn change(
    client: &Client,
    table: &str,
    id: DeliveryId,
    now: Millis,
    change: impl Fn(UpdateItemFluentBuilder) -> UpdateItemFluentBuilder,
) -> Result<bool, StoreError> {
    let changed = retrying(Instant::now() + TIME_LIMIT, || {
        let call = client
            .update_item()
            .table_name(table)
            .set_key(Some(item::delivery_key(id)))
            .expression_attribute_names("#status", attribute::STATUS)
            .expression_attribute_values(":pending", pending())
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":unclaimed", unclaimed(now));
        conditional(change(call))
    });
    Ok(matches!(changed.await?, Conditional::Done(_)))
}

/// The condition that a delivery is pending and nobody is at it: a claim that ends further ahead than
/// any does was made by a clock that was ahead, or before ours was set back.
pub(super) const IDLE: &str = "#status = :pending AND (attempts = recorded \
     OR claimed_until < :now OR claimed_until > :unclaimed)";

/// What `:unclaimed` stands for in [`IDLE`].
pub(super) fn unclaimed(now: Millis) -> aws_sdk_dynamodb::types::AttributeValue {
    time(now.plus(CLAIM_MS + CLOCK_SKEW_MS))
}

/// What `:pending` stands for in [`IDLE`].
pub(super) fn pending() -> aws_sdk_dynamodb::types::AttributeValue {
    text(DeliveryStatus::Pending.as_str())
}
