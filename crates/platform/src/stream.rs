//! Answers to an event source mapping that reads a stream.
//!
//! Lambda goes on at the lowest sequence number that is returned, and repeats everything from
//! there on, whatever else the answer says. ("Configuring partial batch response with DynamoDB
//! and Lambda".)

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};

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
