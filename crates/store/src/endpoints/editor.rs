//! Creating, changing and deleting endpoints.

use aws_sdk_dynamodb::Client;
use domain::{Endpoint, EndpointId, Millis};

use crate::error::StoreError;

/// What became of an endpoint that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Stored,
    /// There are [`MAX_ENDPOINTS`](domain::endpoint::MAX_ENDPOINTS) already.
    TooMany,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edited<E> {
    /// The endpoint as it is stored now.
    Stored(Box<Endpoint>),
    /// The change itself refused.
    Refused(E),
    /// There is no such endpoint (any more).
    Missing,
    /// Others changed it all the time.
    Conflict,
}

/// Creates, changes and deletes endpoints: for `api`.
#[derive(Debug, Clone)]
pub struct EndpointEditor {
    client: Client,
    table: String,
}

impl EndpointEditor {
    /// The IAM actions that it needs on the endpoints table.
    pub const ACTIONS: &'static [&'static str] = &[
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];

    /// On the endpoints table.
    #[must_use]
    pub fn new(client: Client, table: String) -> EndpointEditor {
        EndpointEditor { client, table }
    }

    /// Stores a new endpoint.
    ///
    /// # Errors
    /// When it could not be stored; it may be all the same.
    pub async fn create(&self, _endpoint: &Endpoint) -> Result<Created, StoreError> {
        let _ = (&self.client, &self.table);
        todo!()
    }

    /// Changes an endpoint as `change` does, which may be asked several times, each time with the
    /// endpoint as it is then. `version` and `updated_at` are set here. Enabling one forgets how it
    /// fared.
    ///
    /// # Errors
    /// When it could not be stored; it may be all the same.
    pub async fn edit<E>(
        &self,
        _id: EndpointId,
        _now: Millis,
        _change: impl FnMut(&mut Endpoint) -> Result<(), E>,
    ) -> Result<Edited<E>, StoreError> {
        todo!()
    }

    /// Deletes an endpoint; whether there was one.
    ///
    /// # Errors
    /// When it could not be deleted; it may be all the same.
    pub async fn delete(&self, _id: EndpointId) -> Result<bool, StoreError> {
        todo!()
    }
}
