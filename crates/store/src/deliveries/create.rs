//! Creating deliveries.

use aws_sdk_dynamodb::Client;
use domain::delivery::Owed;
use domain::{Delivery, DeliveryId, Millis, TimeScale};

use crate::error::StoreError;

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
        _owed: &[Owed],
        _now: Millis,
    ) -> Result<DeliveriesCreated, StoreError> {
        let _ = (&self.client, &self.table, self.scale);
        todo!()
    }
}
