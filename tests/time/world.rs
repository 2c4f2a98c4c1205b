//! A stack with everything that can go wrong with it, a publisher, and clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flows::{DEADLINE, Mandrill, TestStack, batch, eventually, of_message};
use local_aws::dynamodb::SHARDS;
use local_aws::faults::PostFault;
use serde_json::json;
use tokio::task::JoinSet;

use crate::clients::Client;
use crate::oracle::{self, KINDS, Kinds};

const CLIENTS: usize = 12;
/// How many events a burst has, and any other batch at most.
const BURST: usize = 60;
const BATCH: usize = 6;
/// How long to wait for a moment in which no function runs.
const MOMENT: Duration = Duration::from_millis(300);

pub(crate) struct World<'s> {
    stack: &'s TestStack,
    random: fastrand::Rng,
    clients: Vec<Client>,
    mandrill: Mandrill,
    batches: Vec<Arc<String>>,
    posting: JoinSet<()>,
    /// How many batches Mandrill had to send again.
    refused: Arc<AtomicUsize>,
    /// How often there was a moment for time to pass.
    passed: usize,
    events: usize,
    steps: Vec<String>,
}

impl<'s> World<'s> {
    pub(crate) fn new(stack: &'s TestStack, seed: u64) -> World<'s> {
        let mut random = fastrand::Rng::with_seed(seed);
        let start = domain::Position::start_of(platform::clock::now());
        let start = stack.cursors().cursor_at(start);
        let tickets = stack.tickets();
        let clients = (0..CLIENTS).map(|_| {
            let kinds = Kinds::any(&mut random);
            Client::start(tickets.clone(), start.clone(), kinds)
        });
        World {
            stack,
            clients: clients.collect(),
            random,
            mandrill: stack.mandrill(),
            batches: Vec::new(),
            posting: JoinSet::new(),
            refused: Arc::default(),
            passed: 0,
            events: 0,
            steps: Vec::new(),
        }
    }

    /// Lets something happen.
    pub(crate) async fn step(&mut self) {
        let what = match self.random.u32(..100) {
            0..25 => self.publish(BATCH),
            25..31 => self.publish(BURST),
            31..35 => self.publish_again(),
            35..48 => self.move_a_client(),
            48..56 => self.cut_connections(),
            56..64 => self.pause_shards(),
            64..76 => self.trouble_database(),
            76..83 => self.trouble_posts(),
            83..86 => self.lose_a_row().await,
            86..88 => {
                let repeats = self.random.bool();
                self.stack.faults().set_replays_records(repeats);
                format!("records come twice: {repeats}")
            }
            _ => {
                let time = Duration::from_millis(self.random.u64(1_000..240_000));
                // What takes long is under way: no time can pass beside it.
                let passed = tokio::time::timeout(MOMENT, self.stack.pass(time)).await;
                self.passed += usize::from(passed.is_ok());
                format!("{time:?} pass: {}", passed.is_ok())
            }
        };
        self.steps.push(what);
        // In the time between two steps much goes on, or little.
        let pause = self.random.u64(..60);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn publish(&mut self, most: usize) -> String {
        let count = if most == BURST {
            BURST
        } else {
            self.random.usize(1..=most)
        };
        let numbers = self.events..self.events + count;
        self.events += count;
        let random = &mut self.random;
        let events = numbers.map(|n| {
            // Some events of the same message stand in the same shard.
            let message = if random.bool() { n } else { n % 5 };
            of_message(KINDS[random.usize(..KINDS.len())], message, n)
        });
        let batch = Arc::new(batch(events));
        self.batches.push(batch.clone());
        self.post(batch);
        format!("{count} events")
    }

    fn publish_again(&mut self) -> String {
        let Some(batch) = self.random.choice(&self.batches).cloned() else {
            return "nothing to publish again".to_owned();
        };
        let times = self.random.usize(1..=2);
        for _ in 0..times {
            self.post(batch.clone());
        }
        format!("a batch comes again, {times} times")
    }

    /// Posts as Mandrill does: until it is taken.
    fn post(&mut self, batch: Arc<String>) {
        let (mandrill, refused) = (self.mandrill.clone(), self.refused.clone());
        self.posting.spawn(async move {
            while mandrill.post(batch.as_str()).await.status != 200 {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    fn move_a_client(&mut self) -> String {
        let index = self.random.usize(..self.clients.len());
        let kinds = Kinds::any(&mut self.random);
        let client = &mut self.clients[index];
        if !client.is_alive {
            let kinds = self.random.bool().then_some(kinds);
            let what = format!("client {index} lives again, {kinds:?}");
            client.live(kinds);
            return what;
        }
        if self.random.u32(..3) == 0 {
            client.die();
            return format!("client {index} dies");
        }
        let what = format!("client {index} wants {kinds:?}");
        client.filter(kinds);
        what
    }

    fn connection(&mut self) -> Option<String> {
        let mut ids = self.stack.sockets().ids();
        ids.sort_unstable();
        self.random.choice(ids)
    }

    fn cut_connections(&mut self) -> String {
        if self.random.u32(..4) == 0 {
            self.stack.sockets().close_all();
            return "all connections are cut".to_owned();
        }
        if let Some(id) = self.connection() {
            self.stack.sockets().close(&id);
        }
        "a connection is cut".to_owned()
    }

    fn pause_shards(&mut self) -> String {
        let shard = self.random.usize(..SHARDS);
        let is_paused = self.random.bool();
        self.stack.faults().pause_shard(shard, is_paused);
        format!("shard {shard} is stuck: {is_paused}")
    }

    fn trouble_database(&mut self) -> String {
        let faults = self.stack.dynamodb().faults();
        let share = self.random.f64() * 0.3;
        let time = Duration::from_millis(self.random.u64(1..800));
        match self.random.u32(..7) {
            0 => {
                faults.throttle_share(share);
                format!("throttled: {share:.2}")
            }
            1 => {
                faults.fail_share(share);
                format!("fails: {share:.2}")
            }
            2 => {
                faults.set_latency(time / 20);
                format!("latency: {:?}", time / 20)
            }
            3 | 4 => {
                faults.set_index_lag(time);
                format!("index lag: {time:?}")
            }
            _ => {
                calm(self.stack);
                "the database recovers".to_owned()
            }
        }
    }

    fn trouble_posts(&mut self) -> String {
        let fault = match self.random.u32(..12) {
            0 if self.random.u32(..4) == 0 => Some(PostFault::Hang),
            0..4 => Some(PostFault::Fail),
            4..8 => Some(PostFault::Throttle),
            _ => None,
        };
        if let Some(id) = self.connection() {
            self.stack.faults().set_post(&id, fault);
        }
        format!("posts to a connection: {fault:?}")
    }

    /// As if it had expired, or been deleted by mistake.
    async fn lose_a_row(&mut self) -> String {
        if let Some(id) = self.connection() {
            let table = self.stack.table("ConnectionsTable");
            for shard in 0..4 {
                let key = json!({ "pk": { "S": format!("c{shard}") }, "sk": { "S": id } });
                let request = json!({ "TableName": table, "Key": key }).to_string();
                // One that fails on purpose is a row that stays.
                let call = self.stack.dynamodb().call("DeleteItem", request.into());
                let _ = call.await;
            }
        }
        "a row vanishes".to_owned()
    }

    /// Ends all trouble, and waits until every client has what it is owed.
    pub(crate) async fn settle(&mut self, seed: u64) {
        self.steps.push("all is well".to_owned());
        calm(self.stack);
        let faults = self.stack.faults();
        faults.set_replays_records(false);
        faults.heal_posts();
        self.stack.pause_shards(false);
        for client in self.clients.iter_mut().filter(|client| !client.is_alive) {
            client.live(None);
        }
        while let Some(posted) = self.posting.join_next().await {
            posted.unwrap();
        }
        self.stack.wait_until_pushed().await;
        let stored = oracle::stored(self.stack).await;
        assert_eq!(stored.len(), self.events);
        let settled = eventually(DEADLINE, async || match self.missing(&stored) {
            Some(missing) => Err(missing),
            None => Ok(()),
        });
        let all = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(settled));
        if all.await.is_err() {
            let missing = self.missing(&stored).unwrap_or_default();
            let steps = self.steps.join("\n");
            let rows = self.stack.items("ConnectionsTable").await;
            let ids = self.stack.sockets().ids();
            panic!("seed {seed}:\n{steps}\n{missing}\nrows {rows:#?}\nsockets {ids:?}");
        }
        for (index, client) in self.clients.iter().enumerate() {
            let record = client.record();
            assert!(
                record.complaints.is_empty(),
                "seed {seed}, client {index}: {record:?}"
            );
        }
    }

    /// What some client is owed and does not have.
    fn missing(
        &self,
        stored: &std::collections::BTreeMap<String, oracle::Stored>,
    ) -> Option<String> {
        self.clients.iter().enumerate().find_map(|(index, client)| {
            let record = client.record();
            let owed = stored
                .iter()
                .filter(|(_, event)| oracle::is_owed(&record.filters, event));
            let missing: Vec<_> = owed.filter(|(id, _)| !record.told.contains(*id)).collect();
            (!missing.is_empty()).then(|| {
                format!(
                    "client {index} lacks {} events: {:?}\nfilters {:?}\nhistory {:#?}",
                    missing.len(),
                    &missing[..missing.len().min(5)],
                    record.filters,
                    record.history
                )
            })
        })
    }

    /// How often time has passed amid the trouble.
    pub(crate) fn passed(&self) -> usize {
        self.passed
    }

    /// What happened, in a line.
    pub(crate) fn summary(&self) -> String {
        let told: usize = self
            .clients
            .iter()
            .map(|client| client.record().told.len())
            .sum();
        let lives: usize = self
            .clients
            .iter()
            .map(|client| client.record().history.len())
            .sum();
        format!(
            "{} steps, {} events, {told} told, {lives} turns in clients' lives, {} batches refused, time passed {} times",
            self.steps.len(),
            self.events,
            self.refused.load(Ordering::Relaxed),
            self.passed
        )
    }
}

/// Ends what troubles the database.
fn calm(stack: &TestStack) {
    let faults = stack.dynamodb().faults();
    faults.throttle_share(0.0);
    faults.fail_share(0.0);
    faults.set_latency(Duration::ZERO);
    faults.set_index_lag(Duration::ZERO);
}
