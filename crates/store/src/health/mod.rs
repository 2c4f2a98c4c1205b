//! How endpoints fare, shared by all environments.

mod slots;

use aws_sdk_dynamodb::Client;
use domain::endpoint::DisabledReason;
use domain::health::{Admission, Notice, Report};
use domain::{EndpointId, Health, Millis, TimeScale};

pub use slots::Slots;

use crate::endpoints::KnownEndpoint;
use crate::error::StoreError;

/// What has to be told after attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct Aftermath {
    /// How the endpoint fares now.
    pub health: Health,
    /// What is to be published.
    pub notices: Vec<Notice>,
    /// Why it was disabled just now.
    pub disabled: Option<DisabledReason>,
}

/// Asks how endpoints fare and notes how attempts went: for `deliver`.
#[derive(Debug)]
pub struct HealthKeeper {
    client: Client,
    table: String,
    scale: TimeScale,
}

impl HealthKeeper {
    /// The IAM actions that it needs on the endpoints table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:UpdateItem"];

    /// On the endpoints table.
    #[must_use]
    pub fn new(client: Client, table: String, scale: TimeScale) -> HealthKeeper {
        HealthKeeper {
            client,
            table,
            scale,
        }
    }

    /// Lets as many of the attempts that are `wanted` begin as may. Writes nothing for an endpoint
    /// that is healthy, or whose breaker is open.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn admit(
        &self,
        _known: &KnownEndpoint,
        _wanted: usize,
        _now: Millis,
    ) -> Result<Admission, StoreError> {
        let _ = (&self.client, &self.table, self.scale);
        todo!()
    }

    /// Notes how attempts of one endpoint went, in their order, and gives their permits back.
    /// Disables the endpoint when that follows. Writes nothing for successes of a healthy one.
    ///
    /// # Errors
    /// When DynamoDB does not take it, in which case what is lost is that these attempts count.
    pub async fn after(
        &self,
        _known: &KnownEndpoint,
        _reports: &[Report],
        _now: Millis,
    ) -> Result<Aftermath, StoreError> {
        todo!()
    }

    /// Notes that an attempt has been under way for long.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn strain(&self, _known: &KnownEndpoint, _now: Millis) -> Result<(), StoreError> {
        todo!()
    }

    /// Takes the next `count` times under a rate limit, for all environments together.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn reserve(
        &self,
        _endpoint: EndpointId,
        _per_second: std::num::NonZeroU32,
        _count: usize,
        _now: Millis,
    ) -> Result<Slots, StoreError> {
        todo!()
    }
}
