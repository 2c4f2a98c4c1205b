//! A client of the feed that misses nothing: it reconnects, resumes from its cursor and removes duplicates.
//!
//! `ARCHITECTURE.md` says why each step is needed; the rules are in `session`, the socket is in `socket`.

mod item;
mod options;
mod session;
mod socket;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use item::{FeedError, FeedItem};
pub use options::{Entrance, FeedOptions, Pace};
use socket::Connector;

/// Events that may wait for a slow reader before the socket is left unread.
const WAITING_ITEMS: usize = 1_024;

/// A running feed; dropping it closes the connection.
#[derive(Debug)]
pub struct Feed {
    items: mpsc::Receiver<Result<FeedItem, FeedError>>,
    filter: watch::Sender<Option<String>>,
    follower: JoinHandle<()>,
}

impl Feed {
    /// Connects once; from then on the feed keeps itself connected.
    pub async fn connect(options: FeedOptions) -> Result<Self, FeedError> {
        let connector = Connector::new(&options)?;
        let filter = options.filter.as_deref();
        let first = connector
            .connect(filter)
            .await
            .map_err(|failure| match failure {
                socket::Failure::Fatal(error) => error,
                socket::Failure::Lost(reason) => FeedError::Unreachable { reason },
            })?;
        let (sender, items) = mpsc::channel(WAITING_ITEMS);
        let (filter, filters) = watch::channel(None);
        let ends = socket::Ends {
            items: sender,
            filters,
        };
        let follower = tokio::spawn(socket::follow(connector, first, options, ends));
        Ok(Self {
            items,
            filter,
            follower,
        })
    }

    /// Replaces the filter. [`FeedItem::Filtered`] says from where on it holds.
    pub fn set_filter(&self, filter: impl Into<String>) {
        self.filter.send_replace(Some(filter.into()));
    }

    /// The next item. May be cancelled without losing one. After an error the feed has ended.
    pub async fn next(&mut self) -> Result<FeedItem, FeedError> {
        self.items.recv().await.unwrap_or(Err(FeedError::Ended))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

#[cfg(test)]
mod tests;
