//! All endpoints in memory, as new as the question.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::time::Moment;
use domain::{EndpointId, Health, Millis};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::item::attribute;
use super::{Endpoints, KnownEndpoint, read};
use crate::attributes::{get_number, key};
use crate::error::StoreError;
use crate::item::Item;
use crate::{keys, partition};

/// How long reading may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// After how long it is read anew how the endpoints fare, since not every failure counts as a
/// change that everybody has to know at once.
const HEALTH_AGE: Duration = Duration::from_secs(60);

/// Keeps all endpoints as long as their version says that none has changed: for `dispatch`,
/// `deliver` and `requeue`.
#[derive(Debug)]
pub struct EndpointCache {
    client: Client,
    table: String,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    endpoints: Arc<Endpoints>,
    /// Up to which change it was read how they fare.
    health_version: u64,
    /// When that was read; none before the first time.
    health_at: Option<Moment>,
}

/// How many changes there were.
#[derive(Debug, Clone, Copy, Default)]
struct Versions {
    endpoints: u64,
    health: u64,
}

impl EndpointCache {
    /// The IAM actions that it needs on the endpoints table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:GetItem", "dynamodb:Query"];

    /// On the endpoints table.
    #[must_use]
    pub fn new(client: Client, table: String) -> EndpointCache {
        EndpointCache {
            client,
            table,
            loaded: Mutex::default(),
        }
    }

    /// All endpoints, with every change that was answered before the question. One consistent read
    /// of one item; two queries more when an endpoint has changed, and one when an endpoint fares
    /// otherwise or what is known of that is a minute old.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn current(&self, now: Millis) -> Result<Arc<Endpoints>, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        // Before all else: what is read after it is as new as it, or newer.
        let versions = self.versions(deadline).await?;
        let mut loaded = self.loaded.lock().await;
        let now = Moment::new(now, Instant::now().into_std());
        let is_old = |read_at: Moment| !now.is_within(HEALTH_AGE, read_at);
        let is_unread = loaded.health_at.is_none() || loaded.endpoints.version < versions.endpoints;
        let fares_anew = loaded.health_version < versions.health;
        if is_unread {
            loaded.endpoints = Arc::new(self.load(versions.endpoints, deadline).await?);
        } else if fares_anew || loaded.health_at.is_some_and(is_old) {
            let health = self.health(deadline).await?;
            loaded.endpoints = Arc::new(loaded.endpoints.with(health));
        } else {
            return Ok(loaded.endpoints.clone());
        }
        loaded.health_version = loaded.health_version.max(versions.health);
        loaded.health_at = Some(now);
        Ok(loaded.endpoints.clone())
    }

    async fn versions(&self, deadline: Instant) -> Result<Versions, StoreError> {
        let key = key(keys::ENDPOINTS, keys::ENDPOINTS_VERSION);
        let item = read::get(&self.client, &self.table, key, deadline).await?;
        let Some(item) = item else {
            return Ok(Versions::default());
        };
        let count = |name| get_number(&item, name).unwrap_or(0);
        Ok(Versions {
            endpoints: count(attribute::VERSION),
            health: count(attribute::HEALTH),
        })
    }

    async fn load(&self, version: u64, deadline: Instant) -> Result<Endpoints, StoreError> {
        // Behind the item with the version.
        let from = format!("{}{}", keys::ENDPOINTS_VERSION, keys::END);
        let endpoints = self.items(keys::ENDPOINTS, &from, deadline);
        let (items, mut health) = futures::try_join!(endpoints, self.health(deadline))?;
        let known = items.iter().filter_map(read::readable).map(|endpoint| {
            let (health, health_version) = health.remove(&endpoint.id).unwrap_or_default();
            let known = KnownEndpoint {
                endpoint,
                health,
                health_version,
            };
            (known.endpoint.id, Arc::new(known))
        });
        Ok(Endpoints {
            by_id: known.collect(),
            version,
        })
    }

    async fn health(
        &self,
        deadline: Instant,
    ) -> Result<HashMap<EndpointId, (Health, u64)>, StoreError> {
        let items = self.items(keys::HEALTH, keys::START, deadline).await?;
        Ok(read::healths(&items).collect())
    }

    async fn items(
        &self,
        partition: &str,
        from: &str,
        deadline: Instant,
    ) -> Result<Vec<Item>, StoreError> {
        let places = (from, keys::END);
        partition::read(&self.client, &self.table, partition, places, None, deadline).await
    }
}

impl Endpoints {
    /// The same endpoints as they fare now.
    fn with(&self, mut health: HashMap<EndpointId, (Health, u64)>) -> Endpoints {
        let known = self.by_id.iter().map(|(id, known)| {
            let (health, health_version) = health.remove(id).unwrap_or_default();
            let known = KnownEndpoint {
                endpoint: known.endpoint.clone(),
                health,
                health_version,
            };
            (*id, Arc::new(known))
        });
        Endpoints {
            by_id: known.collect(),
            version: self.version,
        }
    }
}
