//! DynamoDB's batch calls: what they did not get to is asked for again.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use domain::EventId;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{StoreError, classify};
use crate::item::{Item, attribute};

/// The most keys that `BatchGetItem` takes.
const GET_KEYS: usize = 100;
/// How many calls are under way at once.
const CONCURRENCY: usize = 8;

/// What to read of each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Whether it is there.
    Key,
    /// All of it.
    Item,
}

/// Gets the items that exist, in no order.
pub(crate) async fn get(
    client: &Client,
    table: &str,
    ids: &[EventId],
    read: Read,
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    // Collected first: a stream over the closure itself cannot be sent between threads.
    let calls: Vec<_> = ids
        .chunks(GET_KEYS)
        .map(|ids| get_chunk(client, table, ids, read, deadline))
        .collect();
    stream::iter(calls)
        .buffer_unordered(CONCURRENCY)
        .try_concat()
        .await
}

async fn get_chunk(
    client: &Client,
    table: &str,
    ids: &[EventId],
    read: Read,
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    let mut backoff = Backoff::until(deadline);
    let mut items = Vec::with_capacity(ids.len());
    let mut asked = keys(ids, read)?;
    loop {
        let call = client
            .batch_get_item()
            .request_items(table, asked.clone())
            .send()
            .await;
        let mut answer = match call.map_err(|error| classify("BatchGetItem", error)) {
            Ok(answer) => answer,
            // None of it was read.
            Err(StoreError::Throttled { operation }) => {
                backoff.pause(operation).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(found) = answer
            .responses
            .as_mut()
            .and_then(|tables| tables.remove(table))
        {
            items.extend(found);
        }
        match answer
            .unprocessed_keys
            .and_then(|mut tables| tables.remove(table))
        {
            Some(rest) => asked = rest,
            None => return Ok(items),
        }
        backoff.pause("BatchGetItem").await?;
    }
}

fn keys(ids: &[EventId], read: Read) -> Result<KeysAndAttributes, StoreError> {
    let keys = ids.iter().map(key).collect();
    // Consistent: an item that the index shows already may be missing from an eventual read.
    let request = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .consistent_read(true);
    let request = match read {
        Read::Key => request.projection_expression(format!("{}, {}", attribute::PK, attribute::SK)),
        Read::Item => request,
    };
    request
        .build()
        .map_err(|_| StoreError::Corrupt("no keys to ask for"))
}

fn key(id: &EventId) -> HashMap<String, AttributeValue> {
    HashMap::from([
        (attribute::PK.to_owned(), AttributeValue::S(id.partition())),
        (attribute::SK.to_owned(), AttributeValue::S(id.sort())),
    ])
}

/// The id in an item's keys.
pub(crate) fn id_of(item: &Item) -> Option<EventId> {
    let text = |name| item.get(name).and_then(|value| value.as_s().ok());
    EventId::from_key(&format!("{}{}", text(attribute::PK)?, text(attribute::SK)?)).ok()
}
