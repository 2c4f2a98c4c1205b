//! Creating deliveries.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::delivery::Owed;
use domain::{Chain, Delivery, DeliveryId, DeliveryStatus, Millis, TimeScale};
use tokio::time::Instant;

use super::item;
use crate::batch::{self, Read};
use crate::error::StoreError;
use crate::keys::DeliveryKey;

/// How long creating a batch of them may take.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// What became of deliveries that were to be created.
#[derive(Debug, Default, PartialEq)]
pub struct DeliveriesCreated {
    /// Those that need a message: new ones, and ones from before that were never tried.
    pub to_send: Vec<Delivery>,
    /// Those from before that were tried, or are settled.
    pub existing: Vec<Delivery>,
    /// Those that could not be stored in time.
    pub failed: Vec<DeliveryId>,
}

/// Creates deliveries, once each: for `dispatch` and `api`.
#[derive(Debug, Clone)]
pub struct DeliveryCreator {
    client: Client,
    table: String,
    scale: TimeScale,
}

impl DeliveryCreator {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] =
        &["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String, scale: TimeScale) -> DeliveryCreator {
        DeliveryCreator {
            client,
            table,
            scale,
        }
    }

    /// Creates those deliveries that are not there yet. Safe to repeat. What DynamoDB does not take
    /// within 15 s is among the failed, and the others are done.
    ///
    /// # Errors
    /// When nothing is known of any of them.
    pub async fn create(
        &self,
        owed: &[Owed],
        now: Millis,
    ) -> Result<DeliveriesCreated, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let mut named = HashSet::with_capacity(owed.len());
        let owed: Vec<_> = owed.iter().filter(|owed| named.insert(owed.id)).collect();
        let keys = owed.iter().map(|owed| item::delivery_key(owed.id));
        let found = batch::get_keys(
            &self.client,
            &self.table,
            keys.collect(),
            Read::Item,
            deadline,
        );
        let mut there = HashMap::new();
        for row in found.await? {
            // An expired one is as good as gone.
            if !item::is_expired(&row, now) {
                let delivery = item::to_delivery(&row)?;
                there.insert(delivery.id, delivery);
            }
        }
        let (before, absent): (Vec<_>, Vec<_>) = owed
            .into_iter()
            .partition(|owed| there.contains_key(&owed.id));
        let before = before.iter().filter_map(|owed| there.remove(&owed.id));
        let is_untried = |delivery: &Delivery| {
            delivery.status == DeliveryStatus::Pending && delivery.attempts == 0
        };
        let (untried, existing) = before.partition(is_untried);
        let absent = absent
            .iter()
            .map(|owed| Delivery::new(owed, now, self.scale));
        let mut created = self.put(absent.collect(), deadline).await?;
        created.to_send.extend::<Vec<_>>(untried);
        created.existing = existing;
        Ok(created)
    }

    async fn put(
        &self,
        absent: Vec<Delivery>,
        deadline: Instant,
    ) -> Result<DeliveriesCreated, StoreError> {
        let rows = absent.iter().map(item::of_delivery).collect();
        let mut created = DeliveriesCreated {
            to_send: absent,
            ..DeliveriesCreated::default()
        };
        let Err(left) = batch::put(&self.client, &self.table, rows, deadline).await else {
            return Ok(created);
        };
        // No later try will do: the caller finds out which it is. The others are found to be there.
        if let StoreError::Refused { .. } = left.error {
            return Err(left.error);
        }
        tracing::error!(
            error = %Chain(&left.error),
            deliveries = left.items.len(),
            "Deliveries are not stored."
        );
        let failed = left.items.iter().filter_map(item::key_of);
        let failed = failed.filter_map(|key| match key {
            DeliveryKey::Delivery(id) => Some(id),
            DeliveryKey::Attempt(..) => None,
        });
        created.failed = failed.collect();
        let is_stored = |delivery: &Delivery| !created.failed.contains(&delivery.id);
        created.to_send.retain(is_stored);
        Ok(created)
    }
}
