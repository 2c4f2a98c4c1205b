//! Answers to an event source mapping that reads a queue.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};

/// These messages come again, by their ids; the others are done. An id that is empty makes the
/// whole batch come again. ("Implementing partial batch responses", AWS Lambda.)
#[must_use]
pub fn retry(message_ids: impl Iterator<Item = String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = message_ids
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}
