//! What the function works with, and the rights that it needs for that.

use domain::TimeScale;
use platform::queue::Queue;
use platform::{Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init};
use store::{DeletedEndpoints, DueDeliveries, EndpointCache};

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    pub(crate) endpoints: EndpointCache,
    pub(crate) deleted: DeletedEndpoints,
    pub(crate) due: DueDeliveries,
    pub(crate) queue: Queue,
    pub(crate) metrics: Metrics,
}

impl Deps {
    /// Reads `DELIVERIES_QUEUE`, `DELIVERIES_TABLE`, `ENDPOINTS_TABLE`, `METRICS_STACK` and
    /// `TIME_SCALE`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let (endpoints, deliveries) = (
            config::required(lookup, "ENDPOINTS_TABLE")?,
            config::required(lookup, "DELIVERIES_TABLE")?,
        );
        let scale = TimeScale::new(config::required_parsed(lookup, "TIME_SCALE")?);
        Ok(Deps {
            endpoints: EndpointCache::new(aws.dynamodb(), endpoints.clone()),
            deleted: DeletedEndpoints::new(aws.dynamodb(), endpoints),
            due: DueDeliveries::new(aws.dynamodb(), deliveries, scale),
            queue: Queue::new(aws.sqs(), lookup, "DELIVERIES_QUEUE")?,
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = self.endpoints.current(clock::now()).await;
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EndpointsTable, EndpointCache::ACTIONS),
        Permission::new(Resource::EndpointsTable, DeletedEndpoints::ACTIONS),
        Permission::new(Resource::DeliveriesTable, DueDeliveries::ACTIONS),
        Permission::new(Resource::DeliveriesIndex, DueDeliveries::INDEX_ACTIONS),
        Permission::new(Resource::DeliveriesQueue, Queue::ACTIONS),
    ]
}
