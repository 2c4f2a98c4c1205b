//! Deliveries whose time has come.

use aws_sdk_dynamodb::Client;
use domain::{Delivery, DeliveryId, EndpointId, Millis};

use crate::error::StoreError;

/// A delivery whose time has come, by the index, which may lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which delivery.
    pub id: DeliveryId,
    /// Since when.
    pub due_at: Millis,
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

    /// At most `limit` of an endpoint's deliveries whose time has come, the earliest first.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn due(
        &self,
        _endpoint: EndpointId,
        _now: Millis,
        _limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let _ = (&self.client, &self.table);
        todo!()
    }

    /// Takes one of them to send it: it is due again at `again_at` unless something has happened to
    /// it by then. None when it is settled, was taken by somebody else, or an attempt may be under
    /// way.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn take(
        &self,
        _due: Due,
        _again_at: Millis,
        _now: Millis,
    ) -> Result<Option<Delivery>, StoreError> {
        todo!()
    }
}
