//! Deliveries whose time has come.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use domain::delivery::heals_queued_at;
use domain::{Chain, Delivery, DeliveryId, DeliveryStatus, EndpointId, Millis, TimeScale};
use tokio::time::Instant;

use super::index::{self, Span};
use super::item::{self, attribute};
use super::record::{self, IDLE, pending, unclaimed};
use crate::attributes::{get_number, time};
use crate::backoff::retrying;
use crate::conditional::{Conditional, conditional};
use crate::error::StoreError;
use crate::item::Item;
use crate::keys::{self, DeliveryKey, Listed};

/// How long a call may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A delivery whose time has come, by the index, which may lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which delivery.
    pub id: DeliveryId,
    /// Since when.
    pub due_at: Millis,
}

impl Due {
    fn state_at(&self) -> String {
        keys::delivery_at(DeliveryStatus::Pending, self.due_at, self.id.event)
    }
}

/// Finds deliveries whose time has come, or that nobody wants any more: for `requeue`.
#[derive(Debug, Clone)]
pub struct DueDeliveries {
    client: Client,
    table: String,
    scale: TimeScale,
}

impl DueDeliveries {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:UpdateItem"];
    /// The IAM actions that it needs on its index `by_endpoint`.
    pub const INDEX_ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String, scale: TimeScale) -> DueDeliveries {
        DueDeliveries {
            client,
            table,
            scale,
        }
    }

    /// At most `limit` of an endpoint's deliveries whose time has come by `until`, or all that are
    /// pending, the earliest first, behind `after`: the index may still show for a while what was
    /// just taken.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn due(
        &self,
        endpoint: EndpointId,
        after: Option<Due>,
        until: Option<Millis>,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let listed = Listed::Deliveries(DeliveryStatus::Pending);
        let span = Span {
            from: match after {
                Some(due) => keys::just_behind(&due.state_at()),
                None => keys::listed_from(listed, Millis(0)),
            },
            to: match until {
                Some(until) => keys::listed_to(listed, until),
                None => keys::listed_end(listed),
            },
            newest_first: false,
            limit,
        };
        let deadline = Instant::now() + TIME_LIMIT;
        let spans = vec![(endpoint, span)];
        let (entries, _) = index::read(&self.client, &self.table, spans, deadline).await?;
        let due = entries.into_iter().filter_map(|entry| match entry.key {
            DeliveryKey::Delivery(id) => Some(Due {
                id,
                due_at: entry.at,
            }),
            DeliveryKey::Attempt(..) => None,
        });
        let mut due: Vec<_> = due.collect();
        // As the index has them.
        due.sort_by_cached_key(Due::state_at);
        due.truncate(limit);
        Ok(due)
    }

    /// Takes one of them to send it: it is due again when its message has to be lost, unless
    /// something has happened to it by then. Each time that nothing has, that is twice as late: the
    /// queue may only be behind, and more messages would keep it there.
    ///
    /// None when it is settled, was taken by somebody else, or an attempt may be under way.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn take(&self, due: Due, now: Millis) -> Result<Option<Delivery>, StoreError> {
        let again = heals_queued_at(now, 1, self.scale);
        let Some(row) = self.put_off(due, again, 1, now).await? else {
            return Ok(None);
        };
        let mut delivery = item::to_delivery(&row)?;
        let taken: u32 = get_number(&row, attribute::TAKEN).unwrap_or(1);
        if taken > 1 {
            let later = heals_queued_at(now, taken, self.scale);
            let id = due.id;
            match self.put_off(Due { id, due_at: again }, later, 0, now).await {
                Ok(Some(_)) => delivery.due_at = Some(later),
                Ok(None) => {}
                // It is taken all the same, and due again sooner.
                Err(error) => {
                    tracing::warn!(delivery.id = %id, error = %Chain(&error), "A delivery that was taken before is due again soon.");
                }
            }
        }
        Ok(Some(delivery))
    }

    /// Gives one back that was taken and not sent: it is due now.
    ///
    /// # Errors
    /// When DynamoDB does not take it: it is due again when it would have been.
    pub async fn give_back(&self, delivery: &Delivery, now: Millis) -> Result<(), StoreError> {
        let Some(due_at) = delivery.due_at else {
            return Ok(());
        };
        let id = delivery.id;
        self.put_off(Due { id, due_at }, now, -1, now)
            .await
            .map(drop)
    }

    /// Makes a delivery due again at another time, if it is due when it was; the row as it is then,
    /// which counts that it was taken so many times `more`.
    async fn put_off(
        &self,
        due: Due,
        again: Millis,
        more: i8,
        now: Millis,
    ) -> Result<Option<Item>, StoreError> {
        let put = retrying(Instant::now() + TIME_LIMIT, || {
            let call = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(item::delivery_key(due.id)))
                .update_expression("SET due_at = :again, state_at = :state_at ADD #taken :more")
                .condition_expression(format!("{IDLE} AND due_at = :due"))
                .expression_attribute_names("#status", attribute::STATUS)
                .expression_attribute_names("#taken", attribute::TAKEN)
                .expression_attribute_values(":more", AttributeValue::N(more.to_string()))
                .expression_attribute_values(":pending", pending())
                .expression_attribute_values(":now", time(now))
                .expression_attribute_values(":unclaimed", unclaimed(now))
                .expression_attribute_values(":due", time(due.due_at))
                .expression_attribute_values(":again", time(again))
                .expression_attribute_values(":state_at", item::pending_at(due.id, again))
                .return_values(ReturnValue::AllNew);
            conditional(call)
        });
        Ok(match put.await? {
            Conditional::Done(row) => Some(row),
            Conditional::Refused(_) => None,
        })
    }

    /// Cancels one of them, unless it is settled or an attempt may be under way; whether it did.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn cancel(&self, id: DeliveryId, now: Millis) -> Result<bool, StoreError> {
        record::cancel(&self.client, &self.table, id, now).await
    }
}
