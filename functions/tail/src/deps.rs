//! What the function works with, and the rights that it needs for that.

use std::time::Duration;

use domain::{Cursor, Feed, Millis};
use platform::cors::Origins;
use platform::tokens::Tokens;
use platform::{Aws, ConfigError, Lookup, Permission, Resource, config, init};
use store::{FeedReader, Follow, LateNotes, StoreError};

/// What pages of other origins may ask with.
const METHODS: &str = "GET";
const HEADERS: &str = "Authorization, Last-Event-ID";

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    pub(crate) reader: FeedReader,
    pub(crate) late: LateNotes,
    pub(crate) feed: Feed,
    pub(crate) tokens: Tokens,
    pub(crate) origins: Origins,
    pub(crate) heartbeat: Duration,
}

impl Deps {
    /// Reads `EVENTS_TABLE`, `FEED_SHARDS`, `RETENTION_DAYS`, `FEED_ID`, `CONNECTIONS_TABLE`,
    /// `SECRET_ID`, `CORS_ORIGINS` and `HEARTBEAT_SECONDS`.
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        Ok(Deps {
            reader: FeedReader::new(
                aws.dynamodb(),
                config::required(lookup, "EVENTS_TABLE")?,
                config::required_parsed(lookup, "FEED_SHARDS")?,
                config::required_parsed(lookup, "RETENTION_DAYS")?,
            ),
            late: LateNotes::new(
                aws.dynamodb(),
                config::required(lookup, "CONNECTIONS_TABLE")?,
            ),
            feed: Feed::new(config::required(lookup, "FEED_ID")?),
            tokens: Tokens::new(aws, lookup)?,
            origins: Origins::read(lookup, METHODS, HEADERS)?,
            heartbeat: Duration::from_secs(config::required_parsed(lookup, "HEARTBEAT_SECONDS")?),
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            tokio::join!(self.tokens.open(), self.reader.open());
        })
        .await;
    }

    /// Follows the feed from a cursor on, or from the present without one.
    pub(crate) async fn follow(
        &self,
        after: Option<Cursor>,
        now: Millis,
    ) -> Result<Follow, StoreError> {
        match after {
            Some(cursor) => self.reader.follow_from(cursor, &self.late, now).await,
            None => self.reader.follow_present(now).await,
        }
    }

    /// Whether nothing is lost of what a reader missed.
    pub(crate) fn keeps_all_after(&self, after: Option<Cursor>, now: Millis) -> bool {
        after.is_none_or(|cursor| self.reader.keeps_all_after(cursor, now))
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::EventsTable, FeedReader::TABLE_ACTIONS),
        Permission::new(Resource::EventsFeedIndex, FeedReader::INDEX_ACTIONS),
        Permission::new(Resource::ConnectionsTable, LateNotes::ACTIONS),
        Permission::new(Resource::Secret, Tokens::ACTIONS),
    ]
}
