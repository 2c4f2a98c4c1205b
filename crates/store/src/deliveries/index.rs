//! Reading the index `by_endpoint`: in each of an endpoint's partitions, what stands between two
//! places.

use aws_sdk_dynamodb::Client;
use domain::{EndpointId, Millis};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::item;
use super::item::attribute;
use crate::attributes::{get_text, text};
use crate::backoff::retrying;
use crate::error::{StoreError, classify};
use crate::keys::{self, DeliveryKey};

const INDEX: &str = "by_endpoint";
/// How many partitions are asked at once.
const CONCURRENCY: usize = 32;

/// From which place to which, both included, in which order, and at most how much.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) newest_first: bool,
    pub(super) limit: usize,
}

/// An entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Millis,
    pub(super) key: DeliveryKey,
}

/// What stands in the spans of endpoints, in no order, each partition up to its limit; and whether
/// some partition has more.
pub(super) async fn read(
    client: &Client,
    table: &str,
    spans: Vec<(EndpointId, Span)>,
    deadline: Instant,
) -> Result<(Vec<Entry>, bool), StoreError> {
    let partitions = spans.into_iter().flat_map(|(endpoint, span)| {
        let name = move |shard| keys::endpoint_shard_name(endpoint, shard);
        (0..keys::DELIVERY_SHARDS).map(move |shard| (name(shard), span.clone()))
    });
    // Collected first: a stream over the closure itself cannot be sent between threads.
    let calls: Vec<_> = partitions
        .map(|(partition, span)| partition_of(client, table, partition, span, deadline))
        .collect();
    stream::iter(calls)
        .buffer_unordered(CONCURRENCY)
        .try_fold(
            (Vec::new(), false),
            |(mut all, more), (some, rest)| async move {
                all.extend(some);
                Ok((all, more || rest))
            },
        )
        .await
}

async fn partition_of(
    client: &Client,
    table: &str,
    partition: String,
    span: Span,
    deadline: Instant,
) -> Result<(Vec<Entry>, bool), StoreError> {
    let mut entries = Vec::new();
    let mut start = None;
    loop {
        let left = i32::try_from(span.limit - entries.len()).unwrap_or(i32::MAX);
        let answer = retrying(deadline, || async {
            let call = client
                .query()
                .table_name(table)
                .index_name(INDEX)
                .key_condition_expression("#shard = :shard AND #at BETWEEN :from AND :to")
                .expression_attribute_names("#shard", attribute::ENDPOINT_SHARD)
                .expression_attribute_names("#at", attribute::STATE_AT)
                .expression_attribute_values(":shard", text(&partition))
                .expression_attribute_values(":from", text(&span.from))
                .expression_attribute_values(":to", text(&span.to))
                .scan_index_forward(!span.newest_first)
                .limit(left)
                .set_exclusive_start_key(start.clone());
            let answer = call.send().await;
            answer.map_err(|error| classify("Query", error))
        })
        .await?;
        let items = answer.items.unwrap_or_default();
        entries.extend(items.iter().filter_map(entry));
        start = answer.last_evaluated_key;
        if start.is_none() || entries.len() >= span.limit {
            return Ok((entries, start.is_some()));
        }
    }
}

fn entry(found: &crate::item::Item) -> Option<Entry> {
    Some(Entry {
        at: keys::parse_listed_at(get_text(found, attribute::STATE_AT)?)?,
        key: item::key_of(found)?,
    })
}
