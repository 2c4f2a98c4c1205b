//! Reading deliveries and attempts.

use aws_sdk_dynamodb::Client;
use domain::delivery::Attempt;
use domain::{Delivery, DeliveryId, DeliveryStatus, EndpointId, EventId, Millis};

use crate::error::StoreError;

/// A place in a list of deliveries or attempts, newest first: by time, event, endpoint and number
/// (0 in a list of deliveries). `Display` and `FromStr` are its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryCursor {
    /// When it was settled, is due, or was made.
    pub at: Millis,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Which attempt of it.
    pub attempt: u16,
}

impl std::fmt::Display for DeliveryCursor {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

impl std::str::FromStr for DeliveryCursor {
    type Err = domain::delivery::InvalidDeliveryId;

    fn from_str(_text: &str) -> Result<DeliveryCursor, Self::Err> {
        todo!()
    }
}

/// A delivery and what was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryWithAttempts {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, newest first.
    pub attempts: Vec<Attempt>,
}

/// Some deliveries of an event, by their endpoints' ids.
#[derive(Debug)]
pub struct EventDeliveries {
    /// Some of them.
    pub deliveries: Vec<DeliveryWithAttempts>,
    /// After which endpoint the next page goes on; none when this is the last.
    pub next: Option<EndpointId>,
}

/// Some deliveries.
#[derive(Debug)]
pub struct DeliveryPage {
    /// Those of a page that are as the list says, which may be fewer than there are on it.
    pub deliveries: Vec<Delivery>,
    /// Where the next page goes on; none when this is the last.
    pub next: Option<DeliveryCursor>,
}

/// Some attempts.
#[derive(Debug)]
pub struct AttemptPage {
    /// Newest first.
    pub attempts: Vec<Attempt>,
    /// Where the next page goes on; none when this is the last.
    pub next: Option<DeliveryCursor>,
}

/// Reads deliveries and attempts: for `api`.
#[derive(Debug, Clone)]
pub struct DeliveryReader {
    client: Client,
    table: String,
}

impl DeliveryReader {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:BatchGetItem", "dynamodb:Query"];
    /// The IAM actions that it needs on its index `by_endpoint`.
    pub const INDEX_ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String) -> DeliveryReader {
        DeliveryReader { client, table }
    }

    /// These deliveries, those that there are, in no order. Consistent.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn get(
        &self,
        _ids: &[DeliveryId],
        _now: Millis,
    ) -> Result<Vec<Delivery>, StoreError> {
        let _ = (&self.client, &self.table);
        todo!()
    }

    /// At most `limit` deliveries of an event to the endpoints after this one, each with its
    /// attempts.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn of_event(
        &self,
        _event: EventId,
        _after: Option<EndpointId>,
        _limit: usize,
        _now: Millis,
    ) -> Result<EventDeliveries, StoreError> {
        todo!()
    }

    /// At most `limit` deliveries with this status to these endpoints, newest first: by when they
    /// were settled, or, pending ones, by when they are due.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn list(
        &self,
        _status: DeliveryStatus,
        _endpoints: &[EndpointId],
        _before: Option<DeliveryCursor>,
        _limit: usize,
        _now: Millis,
    ) -> Result<DeliveryPage, StoreError> {
        todo!()
    }

    /// At most `limit` deliveries to an endpoint that failed at `since` or later, oldest first, from
    /// behind `after`.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn failed_since(
        &self,
        _endpoint: EndpointId,
        _since: Millis,
        _after: Option<DeliveryCursor>,
        _limit: usize,
        _now: Millis,
    ) -> Result<DeliveryPage, StoreError> {
        todo!()
    }

    /// At most `limit` attempts at an endpoint, newest first.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn attempts(
        &self,
        _endpoint: EndpointId,
        _before: Option<DeliveryCursor>,
        _limit: usize,
        _now: Millis,
    ) -> Result<AttemptPage, StoreError> {
        todo!()
    }
}
