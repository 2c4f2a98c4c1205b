//! Recording attempts, and putting off or cancelling deliveries.

use aws_sdk_dynamodb::Client;
use domain::delivery::Settled;
use domain::{DeliveryId, Millis};

use crate::error::StoreError;

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
    /// and within that minute.
    ///
    /// # Errors
    /// When not all of them could be written; some may be.
    pub async fn record(&self, _settled: &[Settled]) -> Result<(), StoreError> {
        let _ = (&self.client, &self.table);
        todo!()
    }

    /// Puts an attempt off, unless it was claimed or made: then nothing is done.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn put_off(&self, _off: PutOff, _now: Millis) -> Result<(), StoreError> {
        todo!()
    }

    /// Cancels a delivery, unless it is settled or an attempt may be under way: then nothing is
    /// done.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn cancel(&self, _id: DeliveryId, _now: Millis) -> Result<(), StoreError> {
        todo!()
    }
}
