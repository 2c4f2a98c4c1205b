//! The list of connections, kept for a moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::time::Moment;
use domain::{Filter, Millis, Rights, View};
use store::{Connection, ConnectionList, StoreError};
use tokio::sync::Mutex;

/// How old the list may be. A client resumes once more some seconds after it connected, which
/// covers what was pushed past it in that time.
const MAX_AGE: Duration = Duration::from_secs(1);

/// A connection that may get live events.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: String,
    /// When its rights end.
    pub(crate) until: Millis,
}

/// Connections that want the same: they get the same bytes.
#[derive(Debug)]
pub(crate) struct Audience {
    pub(crate) form: Form,
    pub(crate) listeners: Vec<Listener>,
}

/// What decides which messages a connection gets.
#[derive(Debug)]
pub(crate) struct Form {
    /// What it wants of what it may see.
    pub(crate) view: View,
    pub(crate) look: Look,
}

/// How an event looks to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Look {
    pub(crate) with_data: bool,
    pub(crate) mask: bool,
}

/// Who is connected.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) audiences: Arc<Vec<Audience>>,
    /// Connections whose rights have ended; only when the list was read just now, so that each is
    /// asked to close once a second at most.
    pub(crate) ended: Vec<String>,
}

/// The connections as they were at most a second ago.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    state: Mutex<Option<(Moment, Arc<Vec<Audience>>)>>,
}

impl Directory {
    /// The lock is held while reading, so that batches that come together read once.
    pub(crate) async fn connections(
        &self,
        list: &ConnectionList,
        now: Millis,
    ) -> Result<Known, StoreError> {
        let mut state = self.state.lock().await;
        let moment = Moment::new(now, Instant::now());
        if let Some((read_at, audiences)) = state.as_ref()
            && moment.is_within(MAX_AGE, *read_at)
        {
            return Ok(Known {
                audiences: audiences.clone(),
                ended: Vec::new(),
            });
        }
        let connections = list.list(now).await?;
        let (holding, ended): (Vec<_>, Vec<_>) = connections
            .into_iter()
            .partition(|connection| connection.rights.hold(now));
        let audiences = Arc::new(audiences(holding));
        *state = Some((moment, audiences.clone()));
        Ok(Known {
            audiences,
            ended: ended.into_iter().map(|connection| connection.id).collect(),
        })
    }
}

/// Puts together who wants the same. Who is not subscribed, or has missed something and not resumed
/// yet, gets nothing. A filter is read once, however many connections have it.
fn audiences(connections: Vec<Connection>) -> Vec<Audience> {
    let mut audiences: Vec<Audience> = Vec::new();
    let mut places = HashMap::new();
    let listening = connections
        .into_iter()
        .filter(|connection| connection.subscribed && connection.missed_since.is_none());
    for connection in listening {
        let Connection {
            id, rights, filter, ..
        } = connection;
        let look = Look {
            with_data: connection.with_data,
            mask: rights.mask,
        };
        let place = *places
            .entry((rights.filter.clone(), rights.asked.clone(), filter, look))
            .or_insert_with_key(|(_, _, own, look)| {
                let form = form(&rights, own, *look, &id)?;
                audiences.push(Audience {
                    form,
                    listeners: Vec::new(),
                });
                Some(audiences.len() - 1)
            });
        if let Some(audience) = place.and_then(|place| audiences.get_mut(place)) {
            audience.listeners.push(Listener {
                id,
                until: rights.until,
            });
        }
    }
    audiences
}

fn form(rights: &Rights, own: &str, look: Look, connection_id: &str) -> Option<Form> {
    let Some(view) = Filter::stored(own)
        .ok()
        .and_then(|own| rights.narrow(&own).ok())
    else {
        tracing::error!(
            connection.id = connection_id,
            "A stored filter cannot be used."
        );
        return None;
    };
    Some(Form { view, look })
}
