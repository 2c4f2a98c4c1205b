//! The list of connections, kept for a moment.

use std::sync::Arc;

use domain::{Filter, Millis};
use store::{Connection, ConnectionList, StoreError};
use tokio::sync::Mutex;

/// How old the list may be. A client resumes once more some seconds after it connected, which
/// covers what was pushed past it in that time.
const MAX_AGE_MS: u64 = 1_000;

/// A connection that may get live events.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: String,
    pub(crate) form: Form,
    /// When its rights end.
    pub(crate) until: Millis,
}

/// What decides how a message looks: connections with the same form get the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// What it wants of what it may see.
    pub(crate) filter: Filter,
    pub(crate) with_data: bool,
    pub(crate) mask: bool,
}

/// Who is connected.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) listeners: Arc<Vec<Listener>>,
    /// Connections whose rights have ended; only when the list was read just now, so that each is
    /// closed once a second at most.
    pub(crate) ended: Vec<String>,
}

/// The connections as they were at most a second ago.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    state: Mutex<Option<(Millis, Arc<Vec<Listener>>)>>,
}

impl Directory {
    /// The lock is held while reading, so that batches that come together read once.
    pub(crate) async fn connections(
        &self,
        list: &ConnectionList,
        now: Millis,
    ) -> Result<Known, StoreError> {
        let mut state = self.state.lock().await;
        if let Some((read_at, listeners)) = state.as_ref()
            && now < read_at.plus(MAX_AGE_MS)
        {
            return Ok(Known {
                listeners: listeners.clone(),
                ended: Vec::new(),
            });
        }
        let connections = list.list(now).await?;
        let (holding, ended): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|connection| connection.rights.hold(now));
        let listeners: Arc<Vec<_>> = Arc::new(holding.into_iter().filter_map(listener).collect());
        *state = Some((now, listeners.clone()));
        Ok(Known {
            listeners,
            ended: ended.into_iter().map(|connection| connection.id).collect(),
        })
    }
}

/// Who is not subscribed, or has missed something and not resumed yet, gets nothing.
fn listener(connection: Connection) -> Option<Listener> {
    if !connection.subscribed || connection.missed_since.is_some() {
        return None;
    }
    let own: Option<Filter> = connection.filter.parse().ok();
    let Some(filter) = own.and_then(|own| connection.rights.narrow(&own).ok()) else {
        tracing::error!(
            connection.id = connection.id,
            "A stored filter cannot be used."
        );
        return None;
    };
    Some(Listener {
        id: connection.id,
        form: Form {
            filter,
            with_data: connection.with_data,
            mask: connection.rights.mask,
        },
        until: connection.rights.until,
    })
}
