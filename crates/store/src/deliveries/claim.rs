//! Claiming an attempt: of all who come with its number, one makes it.

use aws_sdk_dynamodb::Client;
use domain::delivery::Pending;
use domain::{DeliveryId, Millis};

use crate::error::StoreError;

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
        _id: DeliveryId,
        _attempt: u16,
        _now: Millis,
    ) -> Result<Claimed, StoreError> {
        let _ = (&self.client, &self.table);
        todo!()
    }
}
