//! The events that are sent, each as the text that every attempt sends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use domain::{EventId, Feed, Millis};
use platform::telemetry::Chain;
use store::{EventReader, StoreError};

/// How much of the events is cached: usually the next batch delivers the same events to other
/// endpoints.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// An event as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Sendable {
    /// The event as JSON, with `data` byte for byte as it was received.
    pub(crate) body: Bytes,
    pub(crate) received_at: Millis,
}

/// An event that was looked up.
#[derive(Debug, Clone)]
pub(crate) enum Sought {
    There(Sendable),
    /// It expired or was deleted.
    Missing,
    /// It could not be read for the moment.
    Unread,
}

/// Reads events and caches the latest.
#[derive(Debug)]
pub(crate) struct Events {
    reader: EventReader,
    feed: Feed,
    kept: Mutex<VecDeque<(EventId, Sendable)>>,
}

impl Events {
    pub(crate) fn new(reader: EventReader, feed: Feed) -> Events {
        Events {
            reader,
            feed,
            kept: Mutex::default(),
        }
    }

    /// Looks up each of these.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub(crate) async fn find(
        &self,
        mut ids: Vec<EventId>,
        now: Millis,
    ) -> Result<HashMap<EventId, Sought>, StoreError> {
        ids.sort_unstable();
        ids.dedup();
        let mut found = self.recall(&ids);
        ids.retain(|id| !found.contains_key(id));
        if ids.is_empty() {
            return Ok(found);
        }
        let mut read = self.reader.get_all(&ids, now).await?;
        found.extend(ids.into_iter().map(|id| (id, Sought::Missing)));
        for (id, event) in read.drain(..) {
            let sought = match event {
                Ok(event) => Sought::There(self.keep(&event)),
                Err(error) => {
                    tracing::error!(event.id = %id, error = %Chain(&error), "An event could not be read.");
                    Sought::Unread
                }
            };
            found.insert(id, sought);
        }
        Ok(found)
    }

    fn recall(&self, ids: &[EventId]) -> HashMap<EventId, Sought> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .filter(|(id, _)| ids.binary_search(id).is_ok())
            .map(|(id, sendable)| (*id, Sought::There(sendable.clone())))
            .collect()
    }

    fn keep(&self, event: &domain::Event<'_>) -> Sendable {
        let sendable = Sendable {
            body: event.to_json(&self.feed).into(),
            received_at: event.received_at,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((event.id, sendable.clone()));
        let mut bytes: usize = kept.iter().map(|(_, kept)| kept.body.len()).sum();
        while bytes > KEPT_BYTES
            && let Some((_, oldest)) = kept.pop_front()
        {
            bytes -= oldest.body.len();
        }
        sendable
    }
}
