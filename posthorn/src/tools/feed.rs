//! A client of the feed that misses nothing: it reconnects, resumes from its cursor and removes duplicates.
//!
//! `ARCHITECTURE.md` says why each step is needed; the rules are in `session`, the socket is in `socket`.

mod session;
mod socket;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::target::Secret;
use super::tickets::Tickets;

use socket::Connector;

/// Events that may wait for a slow reader before the socket is left unread.
const WAITING_ITEMS: usize = 1_024;

/// What lets a connection in.
#[derive(Debug, Clone)]
pub enum Entrance {
    /// The `ws://` or `wss://` address with a ticket, for as long as that is good.
    Address(Secret),
    /// A new ticket for each connection.
    Tickets(Tickets),
}

/// What to follow and how.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    pub entrance: Entrance,
    pub filter: Option<String>,
    /// Whether events come with what was received.
    pub data: bool,
    /// How many stored events to begin with when there is no cursor.
    pub last: u32,
    /// Where an earlier feed ended.
    pub cursor: Option<String>,
    pub pace: Pace,
    /// How many ids are kept to recognise duplicates. A resume repeats 15 s.
    pub remembered_ids: usize,
}

impl FeedOptions {
    pub fn new(entrance: Entrance) -> Self {
        Self {
            entrance,
            filter: None,
            data: false,
            last: 0,
            cursor: None,
            pace: Pace::default(),
            remembered_ids: 100_000,
        }
    }
}

/// The times of a feed.
#[derive(Debug, Clone)]
pub struct Pace {
    /// From connecting, or subscribing, to each further resume. The first covers the server's list of connections (1 s
    /// old at most), the last an index that lags.
    pub looks: [Duration; session::LOOKS],
    pub ping: Duration,
    /// How long the server may stay silent after a ping, and in the middle of a replay.
    pub pong: Duration,
    /// Bounds of the pause before reconnecting.
    pub shortest_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            looks: [Duration::from_secs(2), Duration::from_secs(12)],
            ping: Duration::from_secs(60),
            pong: Duration::from_secs(20),
            shortest_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(15),
        }
    }
}

/// What a feed tells its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// An event that was not told before.
    Event {
        id: String,
        cursor: String,
        /// Whether it was stored before it was asked for, and not pushed.
        replay: bool,
        /// The exact JSON text of the event.
        text: String,
    },
    /// Everything stored so far was told. `recovered` is false if something before it is not kept any more.
    Live { recovered: bool },
    /// What a later feed has to begin with (`FeedOptions::cursor`) so as to miss nothing but what was told until here.
    Place { cursor: String },
    /// From here on it is this filter that decides, for everything after the cursor.
    Filtered {
        filter: String,
        from: Option<String>,
    },
    /// The connection was lost; the feed goes on by itself.
    Reconnecting { reason: String },
}

/// Why a feed cannot go on. Nothing here contains the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    #[error("the server does not accept the token")]
    Unauthorized,
    #[error("the server refused the connection with {status}")]
    Refused { status: u16 },
    #[error("the server refused the filter: {message}")]
    Filter { message: String },
    #[error("the server refused what was asked: {code}: {message}")]
    Rejected { code: String, message: String },
    /// Only from the first connection; later ones are tried again.
    #[error("the server cannot be reached: {reason}")]
    Unreachable { reason: String },
    #[error("the feed ended")]
    Ended,
}

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
