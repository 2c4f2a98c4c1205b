//! Creating, changing and deleting endpoints.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Delete, Put};
use domain::endpoint::{EndpointStatus, MAX_ENDPOINTS};
use domain::{Endpoint, EndpointId, Millis};
use tokio::time::Instant;

use super::item::{self, attribute};
use super::read;
use crate::attributes::number;
use crate::backoff::Backoff;
use crate::error::StoreError;
use crate::transaction::{self, Transacted};

/// How long a change may take, with trying it again on what others made of the endpoint.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What became of an endpoint that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Stored,
    /// There are [`MAX_ENDPOINTS`] already.
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

/// What becomes of how an endpoint fares when it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Kept,
    Forgotten,
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
    pub async fn create(&self, endpoint: &Endpoint) -> Result<Created, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::of_endpoint(endpoint)?))
            .condition_expression("attribute_not_exists(pk)");
        let one_more = item::bump(&self.table)
            .update_expression("SET #v = :v ADD #version :one, #count :one")
            .condition_expression("attribute_not_exists(#count) OR #count < :most")
            .expression_attribute_names("#count", attribute::COUNT)
            .expression_attribute_values(":most", number(MAX_ENDPOINTS));
        let writes = transaction::all([transaction::put(put), transaction::update(one_more)])?;
        match transaction::write(&self.client, writes).await? {
            Transacted::Done => Ok(Created::Stored),
            Transacted::Refused(held) if held.first() == Some(&false) => {
                // Its id is random: it was stored by a call whose answer was lost.
                Ok(Created::Stored)
            }
            Transacted::Refused(_) => Ok(Created::TooMany),
        }
    }

    /// Changes an endpoint as `change` does, which may be asked several times, each time with the
    /// endpoint as it is then. `version` and `updated_at` are set here.
    ///
    /// # Errors
    /// When it could not be stored; it may be all the same.
    pub async fn edit<E>(
        &self,
        id: EndpointId,
        now: Millis,
        change: impl FnMut(&mut Endpoint) -> Result<(), E>,
    ) -> Result<Edited<E>, StoreError> {
        self.change(id, now, Health::Kept, change).await
    }

    /// Enables an endpoint, and forgets how it fared: or the first failure would disable it again.
    ///
    /// # Errors
    /// When it could not be stored; it may be all the same.
    pub async fn enable<E>(&self, id: EndpointId, now: Millis) -> Result<Edited<E>, StoreError> {
        let enable = |endpoint: &mut Endpoint| {
            endpoint.status = EndpointStatus::Enabled;
            Ok(())
        };
        self.change(id, now, Health::Forgotten, enable).await
    }

    async fn change<E>(
        &self,
        id: EndpointId,
        now: Millis,
        health: Health,
        mut change: impl FnMut(&mut Endpoint) -> Result<(), E>,
    ) -> Result<Edited<E>, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let mut backoff = Backoff::until(deadline);
        loop {
            let key = item::endpoint_key(id);
            let Some(found) = read::get(&self.client, &self.table, key, deadline).await? else {
                return Ok(Edited::Missing);
            };
            let before = item::to_endpoint(&found)?;
            let mut endpoint = before.clone();
            if let Err(refusal) = change(&mut endpoint) {
                return Ok(Edited::Refused(refusal));
            }
            endpoint.version = before.version + 1;
            endpoint.updated_at = now;
            if self.replace(&before, &endpoint, health).await? {
                return Ok(Edited::Stored(Box::new(endpoint)));
            }
            if backoff.pause("TransactWriteItems").await.is_err() {
                return Ok(Edited::Conflict);
            }
        }
    }

    /// Puts an endpoint over what it was; whether it still was that.
    async fn replace(
        &self,
        before: &Endpoint,
        after: &Endpoint,
        health: Health,
    ) -> Result<bool, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::of_endpoint(after)?))
            .condition_expression("#version = :seen")
            .expression_attribute_names("#version", attribute::VERSION)
            .expression_attribute_values(":seen", number(before.version));
        let bump = transaction::update(item::bump(&self.table));
        let mut writes = transaction::all([transaction::put(put), bump])?;
        if health == Health::Forgotten {
            let forget = item::forget_health(&self.table, after.id, after.updated_at)?;
            writes.extend(transaction::update(forget));
        }
        let written = transaction::write(&self.client, writes).await?;
        Ok(written == Transacted::Done)
    }

    /// Deletes an endpoint; whether there was one. It is noted, so that what is still owed to it is
    /// cancelled: see [`DeletedEndpoints`](super::DeletedEndpoints).
    ///
    /// # Errors
    /// When it could not be deleted; it may be all the same.
    pub async fn delete(&self, id: EndpointId, now: Millis) -> Result<bool, StoreError> {
        let delete = |key| Delete::builder().table_name(&self.table).set_key(Some(key));
        let endpoint = delete(item::endpoint_key(id)).condition_expression("attribute_exists(pk)");
        let one_less = item::bump(&self.table)
            .update_expression("SET #v = :v ADD #version :one, #count :less")
            .expression_attribute_names("#count", attribute::COUNT)
            .expression_attribute_values(
                ":less",
                aws_sdk_dynamodb::types::AttributeValue::N("-1".to_owned()),
            );
        let note = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item::of_deleted(id, now)));
        let writes = transaction::all([
            transaction::delete(endpoint),
            transaction::update(one_less),
            transaction::delete(delete(item::health_key(id))),
            transaction::put(note),
        ])?;
        let written = transaction::write(&self.client, writes).await?;
        Ok(written == Transacted::Done)
    }
}
