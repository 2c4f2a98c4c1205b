//! Records of a DynamoDB stream, and answers to the event source mapping that reads it.
//!
//! Lambda goes on at the lowest sequence number that is returned, and repeats everything from
//! there on, whatever else the answer says. ("Configuring partial batch response with DynamoDB
//! and Lambda".)

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use domain::{DAY_MS, HOUR_MS, Millis};

/// Longer than records live, which is 24 h. ("Change data capture for DynamoDB Streams".)
const STALE_MS: u64 = DAY_MS + HOUR_MS;

/// Whether what a record says was written longer ago than records live: then its table was restored
/// from a backup, and consumers have seen it before.
#[must_use]
pub fn is_stale(written_at: Millis, now: Millis) -> bool {
    written_at.plus(STALE_MS) < now
}

/// The whole batch is done.
#[must_use]
pub fn done() -> DynamoDbEventResponse {
    DynamoDbEventResponse::default()
}

/// Everything from this record on has to come again. An empty sequence number would fail the
/// whole batch, which is the same.
#[must_use]
pub fn retry_from(sequence_number: Option<String>) -> DynamoDbEventResponse {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(sequence_number.unwrap_or_default());
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures.push(failure);
    response
}
