//! What a function may call, as its code says it: a test compares this with the template.

/// What a right is on, by its name in `infra/template.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The table of events.
    EventsTable,
    /// Its index `feed`.
    EventsFeedIndex,
    /// The table of connections.
    ConnectionsTable,
    /// The table of endpoints.
    EndpointsTable,
    /// The table of deliveries.
    DeliveriesTable,
    /// Its index `by_endpoint`.
    DeliveriesIndex,
    /// The queue of deliveries.
    DeliveriesQueue,
    /// The objects with events that are too large for the table.
    OversizedObjects,
    /// Their bucket.
    OversizedBucket,
    /// The deployment's secret.
    Secret,
    /// The connections of the WebSocket API's stage, for one HTTP method of the management API.
    Connections {
        /// `POST` to send, `DELETE` to close.
        method: &'static str,
    },
}

/// Rights on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// On what.
    pub resource: Resource,
    /// The IAM actions.
    pub actions: &'static [&'static str],
}

impl Permission {
    /// The right to call `actions` on `resource`.
    #[must_use]
    pub const fn new(resource: Resource, actions: &'static [&'static str]) -> Permission {
        Permission { resource, actions }
    }
}
