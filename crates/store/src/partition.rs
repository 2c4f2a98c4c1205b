//! Reading what stands together in a partition of a table.

use aws_sdk_dynamodb::Client;
use tokio::time::Instant;

use crate::attributes::text;
use crate::backoff::retrying;
use crate::error::{StoreError, classify};
use crate::item::Item;

/// The items of a partition from one place to another, both included, consistently; at most
/// `limit`, or all.
pub(crate) async fn read(
    client: &Client,
    table: &str,
    partition: &str,
    (from, to): (&str, &str),
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
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(partition))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
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
