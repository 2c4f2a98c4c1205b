//! Writing events.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::{Content, DAY_MS, EventId, Millis, Source};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::batch::{self, Read, WRITE_ITEMS};
use crate::error::StoreError;
use crate::item::{self, Encoder, Item};
use crate::keys;
use crate::oversized::OversizedWriter;

/// How many calls are under way at once.
const CONCURRENCY: usize = 8;
/// How long a batch may take. API Gateway waits 30 s at most, and Mandrill repeats what failed.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// An event that was received and is to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// Which event.
    pub id: EventId,
    /// What it says.
    pub content: Content<'a>,
    /// The exact text received: valid JSON.
    pub data: Cow<'a, str>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Events that are stored now and were not before.
    pub stored: usize,
    /// Events that were stored before.
    pub duplicates: usize,
    /// Those of the stored that are too large for an item, and are whole in an object.
    pub oversized: usize,
    /// Those of the stored that DynamoDB refused as they were: their items are `unknown`, and they
    /// are whole in an object.
    pub refused: usize,
}

/// Stores events, once each.
#[derive(Debug, Clone)]
pub struct EventWriter {
    client: Client,
    table: String,
    feed_shards: u32,
    retention_ms: u64,
    oversized: OversizedWriter,
}

impl EventWriter {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] =
        &["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"];

    /// Writes to `table`, for `retention_days`, over `feed_shards` partitions a day, and what is
    /// too large for it to `oversized`.
    #[must_use]
    pub fn new(
        client: Client,
        table: String,
        feed_shards: u32,
        retention_days: u32,
        oversized: OversizedWriter,
    ) -> EventWriter {
        EventWriter {
            client,
            table,
            feed_shards: feed_shards.max(1),
            retention_ms: u64::from(retention_days) * DAY_MS,
            oversized,
        }
    }

    /// Opens the way to DynamoDB, by a look for an event that there cannot be.
    pub async fn open(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        let ids = [EventId::ZERO];
        let _ = batch::get(&self.client, &self.table, &ids, Read::Key, deadline).await;
    }

    /// Stores those of the events that are not stored yet. Safe to repeat: the ids decide. `clock`
    /// is asked at each call, since an event's place in the feed is when it was stored.
    ///
    /// # Errors
    /// When not all of them could be stored; some may be.
    pub async fn append(
        &self,
        events: &[NewEvent<'_>],
        clock: fn() -> Millis,
    ) -> Result<Appended, StoreError> {
        self.append_unless_former(events, &HashMap::new(), clock)
            .await
    }

    /// As [`append`](EventWriter::append); an event that is stored under its former id, if it has
    /// one, is stored already.
    ///
    /// # Errors
    /// When not all of them could be stored; some may be.
    pub async fn append_unless_former(
        &self,
        events: &[NewEvent<'_>],
        former: &HashMap<EventId, EventId>,
        clock: fn() -> Millis,
    ) -> Result<Appended, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let absent = self.absent(events, former, deadline).await?;
        let mut appended = Appended {
            duplicates: events.len() - absent.len(),
            ..Appended::default()
        };
        let Prepared { puts, objects } = prepare(&absent)?;
        appended.stored = puts.len();
        appended.oversized = objects.len();
        // Before the items: who finds an item that names an object finds the object.
        stream::iter(objects)
            .map(|(key, body)| self.oversized.put(key, body, deadline))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        appended.refused = stream::iter(chunks(puts))
            .map(|chunk| self.write(chunk, clock, deadline))
            .buffer_unordered(CONCURRENCY)
            .try_fold(0, |sum, refused| async move { Ok(sum + refused) })
            .await?;
        Ok(appended)
    }

    /// The events that are not stored yet, each id once: DynamoDB refuses a call that names a key
    /// twice.
    async fn absent<'e, 'a>(
        &self,
        events: &'e [NewEvent<'a>],
        former: &HashMap<EventId, EventId>,
        deadline: Instant,
    ) -> Result<Vec<&'e NewEvent<'a>>, StoreError> {
        let mut seen = HashSet::with_capacity(events.len());
        let mut absent: Vec<_> = events
            .iter()
            .filter(|event| seen.insert(event.id))
            .collect();
        let ids: HashSet<_> = absent
            .iter()
            .flat_map(|event| [Some(event.id), former.get(&event.id).copied()])
            .flatten()
            .collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let found = batch::get(&self.client, &self.table, &ids, Read::Key, deadline).await?;
        let stored: HashSet<_> = found.iter().filter_map(batch::id_of).collect();
        let is_stored = |id| stored.contains(id);
        absent
            .retain(|event| !is_stored(&event.id) && !former.get(&event.id).is_some_and(is_stored));
        Ok(absent)
    }

    /// Writes the items of one call; answers how many were refused.
    async fn write(
        &self,
        puts: Vec<(EventId, Item)>,
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<usize, StoreError> {
        let items = puts.iter().map(|(_, item)| item.clone()).collect();
        match self.write_all(items, clock, deadline).await {
            Err(StoreError::Refused { .. }) => {}
            result => return result.map(|()| 0),
        }
        // One item spoils the call for all, and DynamoDB does not say which.
        let mut refused = 0;
        for put in puts {
            match self.write_all(vec![put.1.clone()], clock, deadline).await {
                Err(StoreError::Refused { .. }) => {
                    self.write_refused(put, clock, deadline).await?;
                    refused += 1;
                }
                result => result?,
            }
        }
        Ok(refused)
    }

    /// Keeps an event whose item DynamoDB refuses.
    async fn write_refused(
        &self,
        (id, refused): (EventId, Item),
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        // Without what DynamoDB says, which may quote the item.
        tracing::error!(event.id = %id, "DynamoDB refuses an event, whose item is unknown.");
        let key = keys::object(id);
        // An oversized one has its object, with more in it than the item had.
        if item::object(&refused).is_none() {
            let body = item::body(&refused)?.to_vec();
            self.oversized.put(key.clone(), body, deadline).await?;
        }
        let content = Content {
            truncated: true,
            ..Content::new("unknown", Source::Mandrill)
        };
        let body = Encoder::new()?.encode(&content, None)?.body;
        let mut item = item::new(id, &content, body);
        item::set_object(&mut item, key);
        self.write_all(vec![item], clock, deadline).await
    }

    /// Puts the items of one call, stamped anew for each attempt.
    async fn write_all(
        &self,
        items: Vec<Item>,
        clock: fn() -> Millis,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let stamp = |items: &mut [Item]| {
            let now = clock();
            for item in items {
                if let Some(id) = batch::id_of(item) {
                    item::stamp(item, id, now, self.feed_shards, self.retention_ms);
                }
            }
        };
        batch::put_chunk(&self.client, &self.table, items, deadline, stamp)
            .await
            .map_err(|left| left.error)
    }
}

/// Events as the items, and the objects, that they are stored as.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) puts: Vec<(EventId, Item)>,
    /// Keys and contents.
    pub(crate) objects: Vec<(String, Vec<u8>)>,
}

/// Encodes and compresses events, which is all that storing them costs apart from the calls.
///
/// # Errors
/// When one cannot be encoded.
pub fn prepare(events: &[&NewEvent<'_>]) -> Result<Prepared, StoreError> {
    let mut encoder = Encoder::new()?;
    let mut prepared = Prepared {
        puts: Vec::with_capacity(events.len()),
        objects: Vec::new(),
    };
    for event in events {
        let encoded = encoder.encode(&event.content, Some(&event.data))?;
        let mut item = item::new(event.id, &event.content, encoded.body);
        if let Some(whole) = encoded.whole {
            let key = keys::object(event.id);
            item::set_object(&mut item, key.clone());
            prepared.objects.push((key, whole));
        }
        prepared.puts.push((event.id, item));
    }
    Ok(prepared)
}

fn chunks(puts: Vec<(EventId, Item)>) -> Vec<Vec<(EventId, Item)>> {
    let mut puts = puts.into_iter().peekable();
    let mut chunks = Vec::new();
    while puts.peek().is_some() {
        chunks.push(puts.by_ref().take(WRITE_ITEMS).collect());
    }
    chunks
}
