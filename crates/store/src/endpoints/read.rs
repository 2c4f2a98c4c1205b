//! What reading endpoints has in common.

use aws_sdk_dynamodb::Client;
use domain::{Endpoint, EndpointId, Health};
use tokio::time::Instant;

use super::item;
use crate::attributes::text;
use crate::backoff::retrying;
use crate::error::{StoreError, classify};
use crate::item::Item;

/// One item, consistently.
pub(crate) async fn get(
    client: &Client,
    table: &str,
    key: Item,
    deadline: Instant,
) -> Result<Option<Item>, StoreError> {
    retrying(deadline, || async {
        let call = client
            .get_item()
            .table_name(table)
            .set_key(Some(key.clone()))
            .consistent_read(true);
        let answer = call.send().await;
        Ok(answer.map_err(|error| classify("GetItem", error))?.item)
    })
    .await
}

/// The items of a partition from a place on, consistently; at most `limit`, or all.
pub(super) async fn query(
    client: &Client,
    table: &str,
    partition: &str,
    from: &str,
    limit: Option<usize>,
    deadline: Instant,
) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::new();
    let mut start = None;
    loop {
        let left = limit.map(|limit| limit - items.len());
        let answer = retrying(deadline, || async {
            let call = client
                .query()
                .table_name(table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND sk >= :from")
                .expression_attribute_values(":pk", text(partition))
                .expression_attribute_values(":from", text(from))
                .set_limit(left.map(|left| i32::try_from(left).unwrap_or(i32::MAX)))
                .set_exclusive_start_key(start.clone());
            let answer = call.send().await;
            answer.map_err(|error| classify("Query", error))
        })
        .await?;
        items.extend(answer.items.unwrap_or_default());
        start = answer.last_evaluated_key;
        if start.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
            return Ok(items);
        }
    }
}

/// The endpoint in an item; one that cannot be read is logged and left out, for the others' sake.
pub(super) fn readable(item: &Item) -> Option<Endpoint> {
    match item::to_endpoint(item) {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            tracing::error!(endpoint.id = ?item::id_of(item), %error, "A stored endpoint cannot be read.");
            None
        }
    }
}

/// How the endpoints of these items fare.
pub(super) fn healths(items: &[Item]) -> impl Iterator<Item = (EndpointId, (Health, u64))> {
    let of = |item: &Item| Some((item::id_of(item)?, item::to_health(Some(item))));
    items.iter().filter_map(of)
}
