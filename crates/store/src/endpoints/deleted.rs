//! Endpoints that were deleted a short time ago, and to which something may still be owed.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::{EndpointId, Millis};
use tokio::time::Instant;

use super::item::{self, attribute};
use crate::attributes::get_time;
use crate::backoff::retrying;
use crate::error::{StoreError, classify};
use crate::item::Item;
use crate::{keys, partition};

/// How long a call may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// An endpoint that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletedEndpoint {
    /// Its name.
    pub id: EndpointId,
    /// When.
    pub at: Millis,
}

/// Finds endpoints that were deleted, until nothing is owed to them: for `requeue`.
#[derive(Debug, Clone)]
pub struct DeletedEndpoints {
    client: Client,
    table: String,
}

impl DeletedEndpoints {
    /// The IAM actions that it needs on the endpoints table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:DeleteItem", "dynamodb:Query"];

    /// On the endpoints table.
    #[must_use]
    pub fn new(client: Client, table: String) -> DeletedEndpoints {
        DeletedEndpoints { client, table }
    }

    /// All of them that are not forgotten.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn all(&self) -> Result<Vec<DeletedEndpoint>, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let places = (keys::START, keys::END);
        let (client, table) = (&self.client, &self.table);
        let items = partition::read(client, table, keys::DELETED, places, None, deadline).await?;
        let deleted = items.iter().filter_map(|item| {
            Some(DeletedEndpoint {
                id: item::id_of(item)?,
                at: get_time(item, attribute::DELETED_AT)?,
            })
        });
        Ok(deleted.collect())
    }

    /// Forgets one, and how it fared: who was at an attempt when it was deleted may have noted that.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn forget(&self, id: EndpointId) -> Result<(), StoreError> {
        // The note last: as long as it is there, it is tried again.
        for key in [item::health_key(id), item::deleted_key(id)] {
            self.delete(key).await?;
        }
        Ok(())
    }

    async fn delete(&self, key: Item) -> Result<(), StoreError> {
        retrying(Instant::now() + TIME_LIMIT, || async {
            let call = self.client.delete_item().table_name(&self.table);
            let answer = call.set_key(Some(key.clone())).send().await;
            answer
                .map(drop)
                .map_err(|error| classify("DeleteItem", error))
        })
        .await
    }
}
