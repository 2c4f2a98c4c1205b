//! Updates under a condition, whose failure is an answer: the item that stood in the way.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

use crate::error::{StoreError, classify};
use crate::item::Item;

/// What became of an update.
#[derive(Debug)]
pub(crate) enum Conditional {
    /// It is written. What it was asked to return.
    Done(Item),
    /// Its condition did not hold. The item that is there, empty when there is none; only if it was
    /// asked for.
    Refused(Item),
}

/// Updates an item if the condition holds. To be called again when throttled.
pub(crate) async fn conditional(call: UpdateItemFluentBuilder) -> Result<Conditional, StoreError> {
    match call.send().await {
        Ok(answer) => Ok(Conditional::Done(answer.attributes.unwrap_or_default())),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(
                Conditional::Refused(failed.item.clone().unwrap_or_default()),
            ),
            _ => Err(classify("UpdateItem", error)),
        },
    }
}
