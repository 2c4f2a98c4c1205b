//! Reading endpoints.

use aws_sdk_dynamodb::Client;
use domain::EndpointId;

use super::KnownEndpoint;
use crate::error::StoreError;

/// Some endpoints, by their ids.
#[derive(Debug)]
pub struct EndpointPage {
    /// Some of them.
    pub endpoints: Vec<KnownEndpoint>,
    /// After which the next page goes on; none when this is the last.
    pub next: Option<EndpointId>,
}

/// Reads endpoints, consistently: for `api`.
#[derive(Debug, Clone)]
pub struct EndpointReader {
    client: Client,
    table: String,
}

impl EndpointReader {
    /// The IAM actions that it needs on the endpoints table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:GetItem", "dynamodb:Query"];

    /// On the endpoints table.
    #[must_use]
    pub fn new(client: Client, table: String) -> EndpointReader {
        EndpointReader { client, table }
    }

    /// The endpoint with this id, none when there is none (any more).
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn get(&self, _id: EndpointId) -> Result<Option<KnownEndpoint>, StoreError> {
        let _ = (&self.client, &self.table);
        todo!()
    }

    /// At most `limit` endpoints after this one, by their ids.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn list(
        &self,
        _after: Option<EndpointId>,
        _limit: usize,
    ) -> Result<EndpointPage, StoreError> {
        todo!()
    }

    /// The ids of all endpoints, in order.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn ids(&self) -> Result<Vec<EndpointId>, StoreError> {
        todo!()
    }
}
