//! DynamoDB and S3: the only place that knows keys and attribute names.
//!
//! Each type is what some function may do to a table or a bucket, with the IAM actions that it needs for it;
//! a function's rights are those of the types in its `Deps`. `docs/DATA-MODEL.md` describes the
//! tables.

mod attributes;
mod backoff;
mod batch;
pub mod compression;
mod conditional;
pub mod connections;
pub mod deliveries;
pub mod endpoints;
mod error;
pub mod events;
pub mod feed;
pub mod health;
pub mod item;
mod keys;
mod late;
mod messages;
mod oversized;
mod partition;
pub mod poll;
mod publish;
mod reader;
mod transaction;

pub use connections::{
    Connection, ConnectionForget, ConnectionList, ConnectionRegister, ConnectionSession,
};
pub use deliveries::{
    Claimed, DeliveriesCreated, DeliveryClaim, DeliveryCreator, DeliveryCursor, DeliveryReader,
    DeliveryRecord, DeliveryRetry, Due, DueDeliveries, ParkedRecords, PutOff, Retried,
};
pub use endpoints::{
    Created, DeletedEndpoint, DeletedEndpoints, Edited, EndpointCache, EndpointEditor,
    EndpointReader, Endpoints, KnownEndpoint,
};
pub use error::StoreError;
pub use events::{Appended, EventWriter, NewEvent};
pub use feed::{Direction, Events, FeedReader, FeedScan};
pub use health::{Aftermath, HealthKeeper, Slots};
pub use late::LateNotes;
pub use messages::{MessagePage, MessageReader};
pub use oversized::{OversizedReader, OversizedWriter};
pub use poll::{Follow, Look, Page};
pub use publish::{Claim, EventPublisher, Published};
pub use reader::EventReader;
