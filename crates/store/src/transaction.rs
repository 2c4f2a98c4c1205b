//! Several writes in one, all of them or none.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use tokio::time::Instant;

use crate::backoff::retrying;
use crate::error::{StoreError, classify};

/// How long a transaction may take, with waiting for others.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const OPERATION: &str = "TransactWriteItems";

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transacted {
    /// All of it is written.
    Done,
    /// Nothing is, as conditions did not hold: for each of its writes, whether its own did.
    Refused(Vec<bool>),
}

/// Writes all of it or nothing. Waits for others that write the same items. Each call has the same
/// token, so that what was written by one whose answer was lost is not written again.
/// (`TransactWriteItems`, `ClientRequestToken`.)
pub(crate) async fn write(
    client: &Client,
    items: Vec<TransactWriteItem>,
) -> Result<Transacted, StoreError> {
    let token = format!("{:032x}", fastrand::u128(..));
    retrying(Instant::now() + TIME_LIMIT, || async {
        let call = client
            .transact_write_items()
            .client_request_token(&token)
            .set_transact_items(Some(items.clone()));
        match call.send().await {
            Ok(_) => Ok(Transacted::Done),
            Err(error) => refused(error),
        }
    })
    .await
}

fn refused<R>(error: SdkError<TransactWriteItemsError, R>) -> Result<Transacted, StoreError>
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return Err(classify(OPERATION, error));
    };
    let reasons = cancelled.cancellation_reasons();
    let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
    if has("ConditionalCheckFailed") {
        let held = |code: Option<&str>| code != Some("ConditionalCheckFailed");
        let held = reasons.iter().map(|reason| held(reason.code()));
        return Ok(Transacted::Refused(held.collect()));
    }
    if has("ValidationError") || has("ItemCollectionSizeLimitExceeded") {
        return Err(StoreError::Refused {
            operation: OPERATION,
            source: error.into(),
        });
    }
    // Another transaction had one of the items, or there was too much at once.
    Err(StoreError::Throttled {
        operation: OPERATION,
    })
}

pub(crate) fn put(put: aws_sdk_dynamodb::types::builders::PutBuilder) -> Option<TransactWriteItem> {
    let put: Put = put.build().ok()?;
    Some(TransactWriteItem::builder().put(put).build())
}

pub(crate) fn update(
    update: aws_sdk_dynamodb::types::builders::UpdateBuilder,
) -> Option<TransactWriteItem> {
    let update: Update = update.build().ok()?;
    Some(TransactWriteItem::builder().update(update).build())
}

pub(crate) fn delete(
    delete: aws_sdk_dynamodb::types::builders::DeleteBuilder,
) -> Option<TransactWriteItem> {
    let delete: Delete = delete.build().ok()?;
    Some(TransactWriteItem::builder().delete(delete).build())
}

/// The writes of a transaction, if each is whole.
pub(crate) fn all<const N: usize>(
    items: [Option<TransactWriteItem>; N],
) -> Result<Vec<TransactWriteItem>, StoreError> {
    let items: Option<Vec<_>> = items.into_iter().collect();
    items.ok_or(StoreError::Corrupt("a write without a key"))
}
