//! Records that `dispatch` gave up.

use aws_sdk_dynamodb::Client;
use domain::{EventId, Millis};

use crate::error::StoreError;

/// Notes records that were given up: for `dispatch`.
#[derive(Debug, Clone)]
pub struct ParkedRecords {
    client: Client,
    table: String,
    keep_ms: u64,
}

impl ParkedRecords {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:PutItem"];

    /// On the deliveries table, for `keep_days`.
    #[must_use]
    pub fn new(client: Client, table: String, keep_days: u32) -> ParkedRecords {
        ParkedRecords {
            client,
            table,
            keep_ms: u64::from(keep_days) * 24 * 60 * 60 * 1_000,
        }
    }

    /// Notes that the record of this event was given up, and why. The key is the event's, or what
    /// stands in the record's keys when that cannot be read.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn park(
        &self,
        _event: Result<EventId, &str>,
        _reason: &str,
        _now: Millis,
    ) -> Result<(), StoreError> {
        let _ = (&self.client, &self.table, self.keep_ms);
        todo!()
    }
}
