//! Endpoints, and what each function may do to them.

mod cache;
mod deleted;
mod editor;
pub(crate) mod item;
pub(crate) mod read;
mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use cache::EndpointCache;
pub use deleted::{DeletedEndpoint, DeletedEndpoints};
pub use editor::{Created, Edited, EndpointEditor};
pub use reader::{EndpointPage, EndpointReader};

use domain::endpoint::Audience;
use domain::{Content, Endpoint, EndpointId, Health};

/// An endpoint and how it fares, as both were when they were read.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownEndpoint {
    /// Its configuration.
    pub endpoint: Endpoint,
    /// How it fares.
    pub health: Health,
    /// Counts the changes of `health`: 0 when there was none.
    pub(crate) health_version: u64,
}

/// All endpoints as of one moment.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// The number that every change counts.
    pub version: u64,
    by_id: BTreeMap<EndpointId, Arc<KnownEndpoint>>,
}

impl Endpoints {
    /// The endpoint with this id, none when there is none (any more).
    #[must_use]
    pub fn get(&self, id: EndpointId) -> Option<&Arc<KnownEndpoint>> {
        self.by_id.get(&id)
    }

    /// All of them, by their ids.
    pub fn all(&self) -> impl Iterator<Item = &Arc<KnownEndpoint>> {
        self.by_id.values()
    }

    /// Those to which this event is to be sent. Allocates nothing for an event that is for every
    /// subscriber.
    pub fn wanting<'a>(
        &'a self,
        content: &'a Content<'_>,
    ) -> impl Iterator<Item = &'a Arc<KnownEndpoint>> {
        let audience = Audience::of(content);
        let one = match audience {
            Audience::One(id) => self.by_id.get(&id),
            Audience::Subscribers | Audience::Nobody => None,
        };
        let is_for_all = audience == Audience::Subscribers;
        let subscribers = self.by_id.values().filter(move |known| {
            is_for_all && known.endpoint.settings.subscription.matches(content)
        });
        let enabled = |known: &&Arc<KnownEndpoint>| known.endpoint.is_enabled();
        one.into_iter().chain(subscribers).filter(enabled)
    }
}
