//! Trying once more what somebody asks for.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::delivery::heals_new_at;
use domain::{Delivery, DeliveryId, Millis, TimeScale};
use tokio::time::Instant;

use super::item::{self, attribute};
use super::record::pending;
use crate::attributes::{flag, number, time};
use crate::backoff::retrying;
use crate::conditional::{Conditional, conditional};
use crate::error::StoreError;

/// How long it may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What became of a wish for one more attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// Its message is to be sent at once. A settled delivery gets one attempt more and none after
    /// it; a pending one gets the attempt to come now, and its schedule goes on from there.
    Send(Delivery),
    /// An attempt is under way.
    UnderWay,
    /// There is no such delivery (any more).
    Missing,
}

/// Makes settled deliveries pending again: for `api`.
#[derive(Debug, Clone)]
pub struct DeliveryRetry {
    client: Client,
    table: String,
    scale: TimeScale,
}

impl DeliveryRetry {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:UpdateItem"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String, scale: TimeScale) -> DeliveryRetry {
        DeliveryRetry {
            client,
            table,
            scale,
        }
    }

    /// Wants one more attempt. If its message is then not sent, `requeue` sends it within the hour.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn retry(
        &self,
        id: DeliveryId,
        keep_ms: u64,
        now: Millis,
    ) -> Result<Retried, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let updated = retrying(deadline, || self.reopen(id, keep_ms, now)).await?;
        let row = match updated {
            Conditional::Done(row) | Conditional::Refused(row) => row,
        };
        if row.is_empty() || item::is_expired(&row, now) {
            return Ok(Retried::Missing);
        }
        let delivery = item::to_delivery(&row)?;
        Ok(if delivery.is_claimed(now) {
            Retried::UnderWay
        } else {
            Retried::Send(delivery)
        })
    }

    /// Makes a settled delivery pending, for one attempt.
    async fn reopen(
        &self,
        id: DeliveryId,
        keep_ms: u64,
        now: Millis,
    ) -> Result<Conditional, StoreError> {
        let due_at = heals_new_at(now, self.scale);
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::delivery_key(id)))
            .update_expression(
                "SET #status = :pending, once = :once, due_at = :due, state_at = :state_at, \
                 expires_at = :expires_at REMOVE settled_at, taken",
            )
            .condition_expression(
                "attribute_exists(pk) AND #status <> :pending AND expires_at >= :seconds",
            )
            .expression_attribute_names("#status", attribute::STATUS)
            .expression_attribute_values(":pending", pending())
            .expression_attribute_values(":once", flag(true))
            .expression_attribute_values(":due", time(due_at))
            .expression_attribute_values(":state_at", item::pending_at(id, due_at))
            .expression_attribute_values(":expires_at", number(due_at.plus(keep_ms).as_secs()))
            .expression_attribute_values(":seconds", number(now.as_secs()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        conditional(call).await
    }
}
