//! Reading deliveries and attempts.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::delivery::Attempt;
use domain::{Delivery, DeliveryId, DeliveryStatus, EndpointId, EventId, Millis};
use tokio::time::Instant;

use super::cursor::DeliveryCursor;
use super::index::{self, Entry, Span};
use super::item;
use crate::attributes::key;
use crate::batch::{self, Read};
use crate::error::StoreError;
use crate::item::Item;
use crate::keys::{self, DeliveryKey, Listed};
use crate::partition;

/// How long reading a page may take. API Gateway waits 30 s at most.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// How many endpoints' entries are in memory at once.
const SPANS: usize = 32;

/// A delivery and what was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryWithAttempts {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts, newest first.
    pub attempts: Vec<Attempt>,
}

/// Some deliveries of an event, by their endpoints' ids.
#[derive(Debug)]
pub struct EventDeliveries {
    /// Some of them.
    pub deliveries: Vec<DeliveryWithAttempts>,
    /// After which endpoint the next page goes on; none when this is the last.
    pub next: Option<EndpointId>,
}

/// Some deliveries.
#[derive(Debug)]
pub struct DeliveryPage {
    /// Those of a page that are as the list says, which may be fewer than stand on it.
    pub deliveries: Vec<Delivery>,
    /// Where the next page goes on; none when this is the last.
    pub next: Option<DeliveryCursor>,
}

/// Some attempts.
#[derive(Debug)]
pub struct AttemptPage {
    /// Newest first.
    pub attempts: Vec<Attempt>,
    /// Where the next page goes on; none when this is the last.
    pub next: Option<DeliveryCursor>,
}

/// Reads deliveries and attempts: for `api`.
#[derive(Debug, Clone)]
pub struct DeliveryReader {
    client: Client,
    table: String,
}

impl DeliveryReader {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:BatchGetItem", "dynamodb:Query"];
    /// The IAM actions that it needs on its index `by_endpoint`.
    pub const INDEX_ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// On the deliveries table.
    #[must_use]
    pub fn new(client: Client, table: String) -> DeliveryReader {
        DeliveryReader { client, table }
    }

    /// These deliveries, those that there are, in no order. Consistent.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn get(&self, ids: &[DeliveryId], now: Millis) -> Result<Vec<Delivery>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys = ids.into_iter().map(item::delivery_key).collect();
        let rows = self.items(keys, now, deadline()).await?;
        rows.iter().map(item::to_delivery).collect()
    }

    /// At most `limit` deliveries of an event to the endpoints after this one, each with its
    /// attempts.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn of_event(
        &self,
        event: EventId,
        after: Option<EndpointId>,
        limit: usize,
        now: Millis,
    ) -> Result<EventDeliveries, StoreError> {
        let deadline = deadline();
        let partition = keys::deliveries(event);
        let places = keys::deliveries_after(after);
        let rows = self
            .query(&partition, &places, Some(limit + 1), deadline)
            .await?;
        let is_last = rows.len() <= limit;
        let rows = &rows[..rows.len().min(limit)];
        let id = |row: &Item| match item::key_of(row) {
            Some(DeliveryKey::Delivery(id)) => Some(id.endpoint),
            _ => None,
        };
        let (first, last) = (rows.first().and_then(id), rows.last().and_then(id));
        let mut attempts: BTreeMap<DeliveryId, Vec<Attempt>> = BTreeMap::new();
        if let (Some(first), Some(last)) = (first, last) {
            let places = keys::attempts_between(first, last);
            let items = self.query(&partition, &places, None, deadline).await?;
            for item in items.iter().filter(|item| !item::is_expired(item, now)) {
                let attempt = item::to_attempt(item)?;
                let of_delivery = attempts.entry(attempt.delivery).or_default();
                of_delivery.insert(0, attempt);
            }
        }
        let kept = rows.iter().filter(|row| !item::is_expired(row, now));
        let deliveries = kept.map(|row| {
            let delivery = item::to_delivery(row)?;
            let attempts = attempts.remove(&delivery.id).unwrap_or_default();
            Ok(DeliveryWithAttempts { delivery, attempts })
        });
        Ok(EventDeliveries {
            deliveries: deliveries.collect::<Result<_, StoreError>>()?,
            next: last.filter(|_| !is_last),
        })
    }

    /// At most `limit` deliveries with this status to these endpoints, newest first: by when they
    /// were settled, or, pending ones, by when they are due.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn list(
        &self,
        status: DeliveryStatus,
        endpoints: &[EndpointId],
        before: Option<DeliveryCursor>,
        limit: usize,
        now: Millis,
    ) -> Result<DeliveryPage, StoreError> {
        let listed = Listed::Deliveries(status);
        let spans = endpoints.iter().map(|endpoint| {
            let span = newest_first(listed, *endpoint, before, limit);
            (*endpoint, span)
        });
        self.deliveries(status, spans.collect(), now).await
    }

    /// At most `limit` deliveries to an endpoint that failed at `since` or later, oldest first, from
    /// behind `after`.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn failed_since(
        &self,
        endpoint: EndpointId,
        since: Millis,
        after: Option<DeliveryCursor>,
        limit: usize,
        now: Millis,
    ) -> Result<DeliveryPage, StoreError> {
        let listed = Listed::Deliveries(DeliveryStatus::Failed);
        let from = keys::listed_from(listed, since);
        let behind = after.map(|cursor| cursor.start_behind(listed, endpoint));
        let span = Span {
            from: behind.map_or(from.clone(), |behind| behind.max(from)),
            to: keys::listed_end(listed),
            newest_first: false,
            limit,
        };
        self.deliveries(DeliveryStatus::Failed, vec![(endpoint, span)], now)
            .await
    }

    /// At most `limit` attempts at an endpoint, newest first.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn attempts(
        &self,
        endpoint: EndpointId,
        before: Option<DeliveryCursor>,
        limit: usize,
        now: Millis,
    ) -> Result<AttemptPage, StoreError> {
        let span = newest_first(Listed::Attempts, endpoint, before, limit);
        let deadline = deadline();
        let (entries, next) = self.entries(vec![(endpoint, span)], deadline).await?;
        let attempts = self.in_order(&entries, now, deadline, item::to_attempt);
        Ok(AttemptPage {
            attempts: attempts.await?,
            next,
        })
    }

    /// The deliveries that the index has in these spans and that have this status.
    async fn deliveries(
        &self,
        status: DeliveryStatus,
        spans: Vec<(EndpointId, Span)>,
        now: Millis,
    ) -> Result<DeliveryPage, StoreError> {
        let deadline = deadline();
        let (entries, next) = self.entries(spans, deadline).await?;
        let deliveries = self.in_order(&entries, now, deadline, item::to_delivery);
        let mut deliveries = deliveries.await?;
        // The index lags.
        deliveries.retain(|delivery| delivery.status == status);
        Ok(DeliveryPage { deliveries, next })
    }

    /// The first entries of all spans, in their order, and where the next page goes on. With many
    /// spans, some at a time: of what is read, only as much is kept as the page may have.
    async fn entries(
        &self,
        spans: Vec<(EndpointId, Span)>,
        deadline: Instant,
    ) -> Result<(Vec<Entry>, Option<DeliveryCursor>), StoreError> {
        let (mut entries, mut is_more) = (Vec::new(), false);
        for some in spans.chunks(SPANS) {
            let (read, rest) =
                index::read(&self.client, &self.table, some.to_vec(), deadline).await?;
            entries.extend(read);
            let Some((_, span)) = some.first() else {
                continue;
            };
            entries.sort_unstable_by_key(DeliveryCursor::of);
            if span.newest_first {
                entries.reverse();
            }
            is_more = is_more || rest || entries.len() > span.limit;
            entries.truncate(span.limit);
        }
        let last = entries.last().map(DeliveryCursor::of);
        Ok((entries, last.filter(|_| is_more)))
    }

    /// The items of entries, in their order.
    async fn in_order<T>(
        &self,
        entries: &[Entry],
        now: Millis,
        deadline: Instant,
        read: fn(&Item) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        // A lagging index may show a delivery in two places.
        let mut named = std::collections::HashSet::new();
        let entries: Vec<_> = entries
            .iter()
            .filter(|entry| named.insert(entry.key))
            .collect();
        let keys = entries.iter().map(|entry| key_of(entry.key)).collect();
        let items = self.items(keys, now, deadline).await?;
        let keyed = items
            .into_iter()
            .filter_map(|item| Some((item::key_of(&item)?, item)));
        let items: HashMap<_, _> = keyed.collect();
        let found = entries.iter().filter_map(|entry| items.get(&entry.key));
        found.map(read).collect()
    }

    /// The items of these keys that are there and have not expired.
    async fn items(
        &self,
        keys: Vec<Item>,
        now: Millis,
        deadline: Instant,
    ) -> Result<Vec<Item>, StoreError> {
        let items = batch::get_keys(&self.client, &self.table, keys, Read::Item, deadline);
        let mut items = items.await?;
        items.retain(|item| !item::is_expired(item, now));
        Ok(items)
    }

    /// What stands in a partition of the table from one place to another, consistently.
    async fn query(
        &self,
        partition: &str,
        (from, to): &(String, String),
        limit: Option<usize>,
        deadline: Instant,
    ) -> Result<Vec<Item>, StoreError> {
        let (client, table) = (&self.client, &self.table);
        partition::read(client, table, partition, (from, to), limit, deadline).await
    }
}

fn deadline() -> Instant {
    Instant::now() + TIME_LIMIT
}

fn key_of(entry: DeliveryKey) -> Item {
    match entry {
        DeliveryKey::Delivery(id) => item::delivery_key(id),
        DeliveryKey::Attempt(id, number) => key(
            keys::deliveries(id.event),
            keys::attempt(id.endpoint, number),
        ),
    }
}

/// An endpoint's part of a list before a cursor.
fn newest_first(
    listed: Listed,
    endpoint: EndpointId,
    before: Option<DeliveryCursor>,
    limit: usize,
) -> Span {
    let end = before.map(|cursor| cursor.end_before(listed, endpoint));
    Span {
        from: keys::listed_from(listed, Millis(0)),
        to: end.unwrap_or_else(|| keys::listed_end(listed)),
        newest_first: true,
        limit,
    }
}
