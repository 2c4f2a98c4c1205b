//! Deliveries whose time has come.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::{Delivery, DeliveryId, DeliveryStatus, EndpointId, Millis};
use tokio::time::Instant;

use super::index::{self, Span};
use super::item::{self, attribute};
use super::record::{IDLE, pending};
use crate::attributes::time;
use crate::backoff::retrying;
use crate::conditional::{Conditional, conditional};
use crate::error::StoreError;
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

/// Finds deliveries whose time has come: for `requeue`.
#[derive(Debug, Clone)]
pub struct DueDeliveries {
    client: Client,
    table: String,
}

impl DueDeliveries {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:UpdateItem"];
    /// The IAM actions that it needs on its index `by_endpoint`.
    pub const INDEX_ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String) -> DueDeliveries {
        DueDeliveries { client, table }
    }

    /// At most `limit` of an endpoint's deliveries whose time has come, the earliest first, behind
    /// `after`: the index may still show for a while what was just taken.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn due(
        &self,
        endpoint: EndpointId,
        after: Option<Due>,
        now: Millis,
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
            to: keys::listed_to(listed, now),
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

    /// Takes one of them to send it: it is due again at `again_at` unless something has happened to
    /// it by then. None when it is settled, was taken by somebody else, or an attempt may be under
    /// way.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn take(
        &self,
        due: Due,
        again_at: Millis,
        now: Millis,
    ) -> Result<Option<Delivery>, StoreError> {
        let taken = retrying(Instant::now() + TIME_LIMIT, || {
            let call = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(item::delivery_key(due.id)))
                .update_expression("SET due_at = :again, state_at = :state_at")
                .condition_expression(format!("{IDLE} AND due_at = :due"))
                .expression_attribute_names("#status", attribute::STATUS)
                .expression_attribute_values(":pending", pending())
                .expression_attribute_values(":now", time(now))
                .expression_attribute_values(":due", time(due.due_at))
                .expression_attribute_values(":again", time(again_at))
                .expression_attribute_values(":state_at", item::pending_at(due.id, again_at))
                .return_values(ReturnValue::AllNew);
            conditional(call)
        });
        match taken.await? {
            Conditional::Done(row) => item::to_delivery(&row).map(Some),
            Conditional::Refused(_) => Ok(None),
        }
    }
}
