//! What a feed is to follow.

use std::time::Duration;

use crate::tools::target::Secret;
use crate::tools::tickets::Tickets;

/// How often everything is looked at once more after connecting.
pub(super) const LOOKS: usize = 2;

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
    pub looks: [Duration; LOOKS],
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
