//! What a feed says.

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
    /// Everything stored so far was returned. `recovered` is false if earlier events have expired.
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
