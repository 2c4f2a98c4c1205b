//! What the function works with, and the rights that it needs for that.

use domain::Feed;
use platform::connections::Connections;
use platform::{Aws, ConfigError, Lookup, Metrics, Permission, Resource, config, init};
use store::{ConnectionSession, FeedReader};

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    pub(crate) session: ConnectionSession,
    pub(crate) reader: FeedReader,
    pub(crate) feed: Feed,
    /// Where the connections are is in each event: a variable that named the API would make a
    /// circle in the template, as the API names this function.
    pub(crate) aws: Aws,
    pub(crate) metrics: Metrics,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`, `EVENTS_TABLE`, `FEED_SHARDS`, `RETENTION_DAYS`, `FEED_ID` and
    /// `METRICS_STACK`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        Ok(Deps {
            session: ConnectionSession::new(
                aws.dynamodb(),
                config::required(lookup, "CONNECTIONS_TABLE")?,
            ),
            reader: FeedReader::new(
                aws.dynamodb(),
                config::required(lookup, "EVENTS_TABLE")?,
                config::required_parsed(lookup, "FEED_SHARDS")?,
                config::required_parsed(lookup, "RETENTION_DAYS")?,
            ),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            aws: aws.clone(),
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = self.session.get("init").await;
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::ConnectionsTable, ConnectionSession::ACTIONS),
        Permission::new(Resource::EventsTable, FeedReader::TABLE_ACTIONS),
        Permission::new(Resource::EventsFeedIndex, FeedReader::INDEX_ACTIONS),
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
