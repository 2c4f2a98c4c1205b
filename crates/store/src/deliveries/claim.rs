//! Claiming an attempt: of all who come with its number, one makes it.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::delivery::{CLAIM_MS, Pending};
use domain::{DeliveryId, DeliveryStatus, Millis};
use tokio::time::Instant;

use super::item::{self, attribute};
use super::record::unclaimed;
use crate::attributes::{get_number, number, text, time};
use crate::backoff::retrying;
use crate::conditional::{Conditional, conditional};
use crate::error::StoreError;

/// How long claiming may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What became of a claim.
#[derive(Debug, PartialEq)]
pub enum Claimed {
    /// The attempt is ours to make, for a minute.
    Ours(Pending),
    /// It was made, is being made, or is not to be made: the message is done.
    NotOurs,
    /// There is no such delivery (any more): the message is done.
    Missing,
}

/// Claims attempts: for `deliver`.
#[derive(Debug, Clone)]
pub struct DeliveryClaim {
    client: Client,
    table: String,
}

impl DeliveryClaim {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:UpdateItem"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String) -> DeliveryClaim {
        DeliveryClaim { client, table }
    }

    /// Claims the attempt of this number.
    ///
    /// # Errors
    /// When DynamoDB does not answer: it may be claimed all the same, and can be claimed again in a
    /// minute.
    pub async fn claim(
        &self,
        id: DeliveryId,
        attempt: u16,
        now: Millis,
    ) -> Result<Claimed, StoreError> {
        // The call may be made twice, by the SDK as well, when an answer is lost.
        let claim = fastrand::u64(..);
        let claimed = retrying(Instant::now() + TIME_LIMIT, || {
            self.update(id, attempt, claim, now)
        });
        let row = match claimed.await? {
            Conditional::Done(row) => row,
            Conditional::Refused(row) if row.is_empty() => return Ok(Claimed::Missing),
            Conditional::Refused(row) if get_number(&row, attribute::CLAIM) == Some(claim) => row,
            Conditional::Refused(_) => return Ok(Claimed::NotOurs),
        };
        Ok(Claimed::Ours(Pending::claimed(item::to_delivery(&row)?)))
    }

    async fn update(
        &self,
        id: DeliveryId,
        attempt: u16,
        claim: u64,
        now: Millis,
    ) -> Result<Conditional, StoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::delivery_key(id)))
            .update_expression("SET attempts = :this, claimed_until = :until, claim = :claim")
            .condition_expression(
                "#status = :pending AND recorded = :last \
                 AND (attempts = :last OR (attempts = :this \
                 AND (claimed_until < :now OR claimed_until > :unclaimed)))",
            )
            .expression_attribute_names("#status", attribute::STATUS)
            .expression_attribute_values(":pending", text(DeliveryStatus::Pending.as_str()))
            .expression_attribute_values(":this", number(attempt))
            .expression_attribute_values(":last", number(attempt.saturating_sub(1)))
            .expression_attribute_values(":claim", number(claim))
            .expression_attribute_values(":until", time(now.plus(CLAIM_MS)))
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":unclaimed", unclaimed(now))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        conditional(call).await
    }
}
