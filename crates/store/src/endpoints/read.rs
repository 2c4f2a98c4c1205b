//! What reading endpoints has in common.

use aws_sdk_dynamodb::Client;
use domain::{Endpoint, EndpointId, Health};
use tokio::time::Instant;

use super::item;
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
