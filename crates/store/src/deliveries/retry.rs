//! Trying once more what somebody asks for.

use aws_sdk_dynamodb::Client;
use domain::{Delivery, DeliveryId, Millis, TimeScale};

use crate::error::StoreError;

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
        _id: DeliveryId,
        _keep_ms: u64,
        _now: Millis,
    ) -> Result<Retried, StoreError> {
        let _ = (&self.client, &self.table, self.scale);
        todo!()
    }
}
