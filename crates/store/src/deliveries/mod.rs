//! Deliveries and their attempts, and what each function may do to them.

mod claim;
mod create;
mod cursor;
mod due;
mod index;
mod item;
mod parked;
mod read;
mod record;
mod retry;

pub use claim::{Claimed, DeliveryClaim};
pub use create::{DeliveriesCreated, DeliveryCreator};
pub use cursor::{DeliveryCursor, InvalidCursor};
pub use due::{Due, DueDeliveries};
pub use parked::ParkedRecords;
pub use read::{AttemptPage, DeliveryPage, DeliveryReader, DeliveryWithAttempts, EventDeliveries};
pub use record::{DeliveryRecord, PutOff};
pub use retry::{DeliveryRetry, Retried};
