//! Reading endpoints.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::EndpointId;
use tokio::time::Instant;

use super::{KnownEndpoint, item, read};
use crate::error::StoreError;
use crate::item::Item;
use crate::{keys, partition};

/// How long reading may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

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
    pub async fn get(&self, id: EndpointId) -> Result<Option<KnownEndpoint>, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let get = |key| read::get(&self.client, &self.table, key, deadline);
        let both = futures::try_join!(get(item::endpoint_key(id)), get(item::health_key(id)));
        let (endpoint, health) = both?;
        let Some(endpoint) = endpoint else {
            return Ok(None);
        };
        let (health, health_version) = item::to_health(health.as_ref());
        Ok(Some(KnownEndpoint {
            endpoint: item::to_endpoint(&endpoint)?,
            health,
            health_version,
        }))
    }

    /// At most `limit` endpoints after this one, by their ids.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn list(
        &self,
        after: Option<EndpointId>,
        limit: usize,
    ) -> Result<EndpointPage, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let from = behind(after);
        let (endpoints, health) = futures::try_join!(
            self.query(keys::ENDPOINTS, &from, Some(limit + 1), deadline),
            self.query(keys::HEALTH, &from, None, deadline),
        )?;
        let mut health: std::collections::HashMap<_, _> = read::healths(&health).collect();
        let is_last = endpoints.len() <= limit;
        let items = &endpoints[..endpoints.len().min(limit)];
        let next = items.last().and_then(item::id_of).filter(|_| !is_last);
        let endpoints = items.iter().filter_map(read::readable).map(|endpoint| {
            let (health, health_version) = health.remove(&endpoint.id).unwrap_or_default();
            KnownEndpoint {
                endpoint,
                health,
                health_version,
            }
        });
        Ok(EndpointPage {
            endpoints: endpoints.collect(),
            next,
        })
    }

    /// The ids of all endpoints, in order.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn ids(&self) -> Result<Vec<EndpointId>, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let from = behind(None);
        let items = self.query(keys::ENDPOINTS, &from, None, deadline).await?;
        Ok(items.iter().filter_map(item::id_of).collect())
    }

    async fn query(
        &self,
        partition: &str,
        from: &str,
        limit: Option<usize>,
        deadline: Instant,
    ) -> Result<Vec<Item>, StoreError> {
        let places = (from, keys::END);
        partition::read(
            &self.client,
            &self.table,
            partition,
            places,
            limit,
            deadline,
        )
        .await
    }
}

/// The place behind an endpoint, or behind the item with the version.
fn behind(after: Option<EndpointId>) -> String {
    let last = after.map_or(keys::ENDPOINTS_VERSION.to_owned(), keys::endpoint);
    format!("{last}{}", keys::END)
}
