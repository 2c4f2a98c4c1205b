//! DynamoDB's batch calls: what they did not get to is asked for again.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};
use domain::EventId;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{StoreError, classify};
use crate::item::{Item, attribute};

/// The most keys that `BatchGetItem` takes.
const GET_KEYS: usize = 100;
/// The most items that `BatchWriteItem` takes.
pub(crate) const WRITE_ITEMS: usize = 25;
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

/// Gets the events that exist, in no order.
pub(crate) async fn get(
    client: &Client,
    table: &str,
    ids: &[EventId],
    read: Read,
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    let keys = ids.iter().map(key).collect();
    get_keys(client, table, keys, read, deadline).await
}

/// Gets the items that exist, in no order. DynamoDB refuses a key that is there twice.
pub(crate) async fn get_keys(
    client: &Client,
    table: &str,
    keys: Vec<Item>,
    read: Read,
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    // Collected first: a stream over the closure itself cannot be sent between threads.
    let calls: Vec<_> = keys
        .chunks(GET_KEYS)
        .map(|keys| get_chunk(client, table, keys, read, deadline))
        .collect();
    stream::iter(calls)
        .buffer_unordered(CONCURRENCY)
        .try_concat()
        .await
}

async fn get_chunk(
    client: &Client,
    table: &str,
    keys: &[Item],
    read: Read,
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    let mut backoff = Backoff::until(deadline);
    let mut items = Vec::with_capacity(keys.len());
    let mut asked = request(keys, read)?;
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

fn request(keys: &[Item], read: Read) -> Result<KeysAndAttributes, StoreError> {
    // Consistent: an item that the index shows already may be missing from an eventual read.
    let request = KeysAndAttributes::builder()
        .set_keys(Some(keys.to_vec()))
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

/// What was not written, and why.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) items: Vec<Item>,
    pub(crate) error: StoreError,
}

/// Puts items, over whatever is there. What is left over at the deadline, or refused, is answered;
/// everything else is written.
pub(crate) async fn put(
    client: &Client,
    table: &str,
    items: Vec<Item>,
    deadline: Instant,
) -> Result<(), Leftover> {
    let results: Vec<_> = stream::iter(items)
        .chunks(WRITE_ITEMS)
        .map(|items| put_in_time(client, table, items, deadline))
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut failed = results.into_iter().filter_map(Result::err);
    let Some(mut all) = failed.next() else {
        return Ok(());
    };
    all.items.extend(failed.flat_map(|left| left.items));
    Err(all)
}

/// Writes the items of one call, unless those before it have taken all of the time.
async fn put_in_time(
    client: &Client,
    table: &str,
    items: Vec<Item>,
    deadline: Instant,
) -> Result<(), Leftover> {
    if Instant::now() >= deadline {
        let error = StoreError::too_slow("BatchWriteItem");
        return Err(Leftover { items, error });
    }
    put_chunk(client, table, items, deadline, |_| {}).await
}

/// Puts the items of one call, over whatever is there, until all are written or the deadline has
/// come. `stamp` is called with them before each attempt.
pub(crate) async fn put_chunk(
    client: &Client,
    table: &str,
    mut items: Vec<Item>,
    deadline: Instant,
    stamp: impl Fn(&mut [Item]),
) -> Result<(), Leftover> {
    let mut backoff = Backoff::until(deadline);
    loop {
        stamp(&mut items);
        let requests = items.iter().cloned().map(put_request).collect();
        let call = client
            .batch_write_item()
            .request_items(table, requests)
            .send()
            .await;
        match call.map_err(|error| classify("BatchWriteItem", error)) {
            Ok(answer) => {
                let rest = answer.unprocessed_items.unwrap_or_default().remove(table);
                let rest = rest.unwrap_or_default().into_iter();
                items = rest
                    .filter_map(|request| Some(request.put_request?.item))
                    .collect();
                if items.is_empty() {
                    return Ok(());
                }
            }
            // None of it was taken.
            Err(StoreError::Throttled { .. }) => {}
            Err(error) => return Err(Leftover { items, error }),
        }
        if let Err(error) = backoff.pause("BatchWriteItem").await {
            return Err(Leftover { items, error });
        }
    }
}

fn put_request(item: Item) -> WriteRequest {
    // An item is all that it must have.
    let put = PutRequest::builder().set_item(Some(item)).build().ok();
    WriteRequest::builder().set_put_request(put).build()
}
