//! Reading the feed: all events in the order in which they were stored, forwards and backwards.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use std::vec;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::cursor::CLOCK_SKEW_MS;
use domain::time::Day;
use domain::{DAY_MS, Event, EventId, Millis, Position};
use futures::future::{join_all, try_join_all};
use tokio::time::Instant;

use crate::batch::{self, Read};
use crate::error::{StoreError, classify};
use crate::item::{self, Item, attribute};
use crate::keys;

const INDEX: &str = "feed";
/// How long getting a page's items may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// After a day without events, ever more days are looked at together, up to this many: a quiet
/// deployment is mostly empty days.
const MOST_DAYS: u64 = 16;
/// The fewest positions that a partition is asked for at once. Who goes on reading gets twice as
/// many each time, so that a long walk takes few calls, up to what one read of 1 MB has in any case:
/// an entry of the index has less than 250 bytes.
const LEAST_PER_QUERY: usize = 16;
const MOST_PER_QUERY: usize = 512;

/// Which way to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forwards,
    /// Newest first.
    Backwards,
}

/// Reads the feed.
#[derive(Debug, Clone)]
pub struct FeedReader {
    client: Client,
    table: String,
    shards: u32,
    retention_ms: u64,
}

impl FeedReader {
    /// The IAM actions that it needs on the table.
    pub const TABLE_ACTIONS: &'static [&'static str] = &["dynamodb:BatchGetItem"];
    /// The IAM actions that it needs on the table's index `feed`.
    pub const INDEX_ACTIONS: &'static [&'static str] = &["dynamodb:Query"];

    /// Reads from `table`, which keeps events for `retention_days` and spreads a day's over
    /// `shards` partitions.
    #[must_use]
    pub fn new(client: Client, table: String, shards: u32, retention_days: u32) -> FeedReader {
        FeedReader {
            client,
            table,
            shards: shards.max(1),
            retention_ms: u64::from(retention_days) * DAY_MS,
        }
    }

    /// Opens as many ways to DynamoDB as a page needs, which asks all shards at once, by looks for an
    /// event that there cannot be.
    pub async fn open(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        let ids = [EventId::ZERO];
        let looks = (0..self.shards)
            .map(|_| batch::get(&self.client, &self.table, &ids, Read::Key, deadline));
        join_all(looks).await;
    }

    /// Since when events are kept.
    #[must_use]
    pub fn kept_since(&self, now: Millis) -> Millis {
        now.minus(self.retention_ms)
    }

    /// What was stored after `position`, oldest first, up to `now`. What is not kept any more is
    /// not there.
    #[must_use]
    pub fn after(&self, position: Position, now: Millis) -> FeedScan<'_> {
        let from = position.max(Position::start_of(self.kept_since(now)));
        // Just before midnight, a clock that is ahead writes into the next day.
        let last_day = now.plus(CLOCK_SKEW_MS).day();
        FeedScan::new(
            self,
            Direction::Forwards,
            from,
            from.received_at.day().min(last_day),
            last_day,
            now,
        )
    }

    /// What was stored before `position`, newest first, back to what is kept.
    #[must_use]
    pub fn before(&self, position: Position, now: Millis) -> FeedScan<'_> {
        // Nothing is stored in the future, so the days up to a cursor's, if it lies there, are empty.
        let first_day = position.received_at.day().min(now.day().next());
        FeedScan::new(
            self,
            Direction::Backwards,
            position,
            first_day,
            self.kept_since(now).day(),
            now,
        )
    }

    /// Gets the events at these positions, in their order, without those that are gone.
    pub(crate) async fn events(
        &self,
        positions: &[Position],
        now: Millis,
    ) -> Result<Events, StoreError> {
        if positions.is_empty() {
            return Ok(Events::default());
        }
        let ids: Vec<_> = positions.iter().map(|position| position.id).collect();
        let deadline = Instant::now() + TIME_LIMIT;
        let items = batch::get(&self.client, &self.table, &ids, Read::Item, deadline).await?;
        let mut found: HashMap<EventId, _> = items
            .into_iter()
            .filter_map(|item| batch::id_of(&item).map(|id| (id, item)))
            .collect();
        let kept_since = self.kept_since(now);
        let items: Vec<_> = positions
            .iter()
            // Expired items stay readable until DynamoDB gets to them.
            .filter(|position| position.received_at >= kept_since)
            .filter_map(|position| found.remove(&position.id))
            .collect();
        Ok(Events(items.into_iter()))
    }
}

/// Events as they are stored. Each is decompressed when its turn comes: a hundred mails at once may
/// not fit a function's memory.
#[derive(Debug, Default)]
pub struct Events(vec::IntoIter<Item>);

impl Iterator for Events {
    type Item = Event<'static>;

    fn next(&mut self) -> Option<Event<'static>> {
        self.0.find_map(|item| match item::from_item(&item) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::error!(event.id = ?batch::id_of(&item), %error, "A stored event cannot be read.");
                None
            }
        })
    }
}

/// A walk through the feed, page by page: the partitions of a day, or of some days, are merged.
#[derive(Debug)]
pub struct FeedScan<'r> {
    reader: &'r FeedReader,
    direction: Direction,
    bound: Position,
    now: Millis,
    /// The next day to be read, none when all are.
    next_day: Option<Day>,
    last_day: Day,
    /// How many days are read together.
    days: u64,
    /// Nothing stored before it is wanted; for reading backwards.
    oldest: Millis,
    /// The last position that was answered.
    last: Option<Position>,
    lanes: Vec<Lane>,
}

/// One partition of a day being read.
#[derive(Debug)]
struct Lane {
    shard: String,
    /// Positions that were read and not yet taken.
    ready: VecDeque<Position>,
    /// Where the next query goes on; none when everything was read.
    next: Option<Start>,
    /// How many positions the query before asked for.
    asked: usize,
}

#[derive(Debug, Clone)]
enum Start {
    Bound,
    After(HashMap<String, AttributeValue>),
}

impl<'r> FeedScan<'r> {
    fn new(
        reader: &'r FeedReader,
        direction: Direction,
        bound: Position,
        day: Day,
        last_day: Day,
        now: Millis,
    ) -> Self {
        let mut scan = FeedScan {
            reader,
            direction,
            bound,
            now,
            next_day: Some(day),
            last_day,
            days: 1,
            oldest: Millis(0),
            last: None,
            lanes: Vec::new(),
        };
        scan.turn();
        scan
    }

    /// Ends a walk backwards at what was stored at `oldest` or later.
    #[must_use]
    pub fn down_to(mut self, oldest: Millis) -> Self {
        let day = oldest.day();
        self.oldest = oldest;
        self.last_day = self.last_day.max(day);
        self.next_day = self.next_day.filter(|next| *next >= day);
        self
    }

    /// The next events, at most `limit`, and none at the end. Events that are gone are left out,
    /// so a page may be shorter than `limit`, or even empty, without being the last: the position
    /// beside it tells, which is the last one that was looked at.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn next(&mut self, limit: usize) -> Result<Option<(Events, Position)>, StoreError> {
        let positions = self.positions(limit).await?;
        let Some(last) = positions.last().copied() else {
            return Ok(None);
        };
        Ok(Some((
            self.reader.events(&positions, self.now).await?,
            last,
        )))
    }

    /// The next positions, at most `limit`, and none at the end.
    pub(crate) async fn positions(&mut self, limit: usize) -> Result<Vec<Position>, StoreError> {
        let mut positions = Vec::with_capacity(limit);
        while positions.len() < limit {
            self.fill(limit - positions.len()).await?;
            match self.take() {
                // Nobody writes an item whose place is another's; one that is there all the same must
                // not make a call name a key twice.
                Some(position) if self.last == Some(position) => {}
                Some(position) if position.received_at < self.oldest => {
                    self.next_day = None;
                    self.lanes.clear();
                    break;
                }
                Some(position) => {
                    self.days = 1;
                    self.last = Some(position);
                    positions.push(position);
                }
                None if self.turn() => {}
                None => break,
            }
        }
        Ok(positions)
    }

    /// Queries every partition from which nothing is at hand. Until each has something, or is at
    /// its end, nobody knows which position is next.
    async fn fill(&mut self, wanted: usize) -> Result<(), StoreError> {
        let share = wanted.div_ceil(self.lanes.len().max(1)) + LEAST_PER_QUERY;
        let (reader, direction, bound) = (self.reader, self.direction, self.bound);
        let empty = self
            .lanes
            .iter_mut()
            .filter(|lane| lane.ready.is_empty() && lane.next.is_some());
        try_join_all(empty.map(|lane| lane.query(reader, direction, bound, share))).await?;
        Ok(())
    }

    fn take(&mut self) -> Option<Position> {
        let heads = self.lanes.iter_mut().filter(|lane| !lane.ready.is_empty());
        let lane = match self.direction {
            Direction::Forwards => heads.min_by_key(|lane| lane.ready.front().copied()),
            Direction::Backwards => heads.max_by_key(|lane| lane.ready.front().copied()),
        };
        lane?.ready.pop_front()
    }

    /// Goes on to the next days; false when there are none.
    fn turn(&mut self) -> bool {
        self.lanes.clear();
        for _ in 0..self.days {
            let Some(day) = self.next_day else { break };
            self.open(day);
            self.next_day = match self.direction {
                Direction::Forwards => Some(day.next()).filter(|day| *day <= self.last_day),
                Direction::Backwards => day.previous().filter(|day| *day >= self.last_day),
            };
        }
        self.days = (self.days * 2).min(MOST_DAYS);
        !self.lanes.is_empty()
    }

    fn open(&mut self, day: Day) {
        self.lanes.extend((0..self.reader.shards).map(|shard| Lane {
            shard: keys::feed_shard(day, shard),
            ready: VecDeque::new(),
            next: Some(Start::Bound),
            asked: 0,
        }));
    }
}

impl Lane {
    /// Reads on until there is something at hand, or the end is reached.
    async fn query(
        &mut self,
        reader: &FeedReader,
        direction: Direction,
        bound: Position,
        limit: usize,
    ) -> Result<(), StoreError> {
        let operator = match direction {
            Direction::Forwards => ">",
            Direction::Backwards => "<",
        };
        while self.ready.is_empty() {
            let Some(start) = self.next.take() else {
                break;
            };
            self.asked = (self.asked * 2).min(MOST_PER_QUERY).max(limit);
            let answer = reader
                .client
                .query()
                .table_name(&reader.table)
                .index_name(INDEX)
                .key_condition_expression(format!("#shard = :shard AND #at {operator} :at"))
                .expression_attribute_names("#shard", attribute::FEED_SHARD)
                .expression_attribute_names("#at", attribute::FEED_AT)
                .expression_attribute_values(":shard", AttributeValue::S(self.shard.clone()))
                .expression_attribute_values(":at", AttributeValue::S(keys::feed_at(bound)))
                .scan_index_forward(direction == Direction::Forwards)
                .limit(i32::try_from(self.asked).unwrap_or(i32::MAX))
                .set_exclusive_start_key(match start {
                    Start::Bound => None,
                    Start::After(key) => Some(key),
                })
                .send()
                .await
                .map_err(|error| classify("Query", error))?;
            self.next = answer.last_evaluated_key.map(Start::After);
            let places = answer.items.unwrap_or_default();
            self.ready.extend(places.iter().filter_map(|item| {
                keys::parse_feed_at(item.get(attribute::FEED_AT)?.as_s().ok()?)
            }));
        }
        Ok(())
    }
}
