//! What the function works with, and the rights that it needs for that.

use domain::{DAY_MS, Feed};
use platform::connections::Connections;
use platform::rate::Rate;
use platform::{Aws, ConfigError, Lookup, Metrics, Permission, Resource, clock, config, init};
use store::ConnectionList;

use crate::choosing::Limits;
use crate::directory::Directory;
use crate::late::Reached;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    pub(crate) list: ConnectionList,
    pub(crate) directory: Directory,
    pub(crate) connections: Connections,
    /// Of messages: the account's requests are for the intake, too.
    pub(crate) rate: Rate,
    pub(crate) limits: Limits,
    pub(crate) feed: Feed,
    pub(crate) reached: Reached,
    pub(crate) retention_ms: u64,
    pub(crate) metrics: Metrics,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`, `FEED_ID`, `METRICS_STACK`, `PUSH_RATE`, `RETENTION_DAYS`,
    /// `WEBSOCKET_API_ID` and `WEBSOCKET_STAGE`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let api_id = config::required(lookup, "WEBSOCKET_API_ID")?;
        let stage = config::required(lookup, "WEBSOCKET_STAGE")?;
        let table = config::required(lookup, "CONNECTIONS_TABLE")?;
        let retention_days: u32 = config::required_parsed(lookup, "RETENTION_DAYS")?;
        Ok(Deps {
            list: ConnectionList::new(aws.dynamodb(), table),
            directory: Directory::default(),
            connections: Connections::new(aws.connections(&api_id, &stage)),
            rate: Rate::per_second(config::required_parsed(lookup, "PUSH_RATE")?),
            limits: Limits::default(),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            reached: Reached::default(),
            retention_ms: u64::from(retention_days) * DAY_MS,
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let list = self.directory.connections(&self.list, clock::now());
            let _ = tokio::join!(list, self.connections.open());
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::ConnectionsTable, ConnectionList::ACTIONS),
        Permission::new(
            Resource::Connections { method: "POST" },
            Connections::ACTIONS,
        ),
        Permission::new(
            Resource::Connections { method: "DELETE" },
            Connections::ACTIONS,
        ),
    ]
}
