//! Outbound webhooks: how many a second, what one costs and where, how soon one arrives, and what
//! becomes of the others when an endpoint hangs or is dead.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use platform::{Aws, clients, config};
use posthorn::tools::generator::Kind;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::batches::{self, Batch, Key};
use crate::endpoints::{Arrival, Asker, DEAD, HANGING};
use crate::live::UNBOUND;
use crate::server::{Server, post};
use crate::{Result, cpu, out, start};

/// Endpoints of the first figures, each of which gets every event.
const ENDPOINTS: usize = 50;
/// Events in a batch, and batches that are posted at once: 20,000 deliveries.
const BATCH: usize = 100;
const BATCHES: usize = 4;
/// A low rate: an event every so often, one at a time.
const PAUSE: Duration = Duration::from_millis(50);
const SINGLE: usize = 300;
/// Endpoints of which one hangs.
const TEN: usize = 10;
/// Deliveries that wait for one endpoint.
const WAITING: usize = 150_000;
const WAITING_BATCH: usize = 1_000;
/// Resident memory, and that part of it that no file has: without the program, and the pages of the
/// database's file that are mapped.
const RESIDENT: &str = "VmRSS";
const OWN: &str = "RssAnon";
/// When nothing has come for this long, nothing will.
const SILENCE: Duration = Duration::from_secs(15);
/// How often it is looked whether all has come.
const LOOK: Duration = Duration::from_millis(50);
/// Calls of the SDK on its own.
const CALLS: u32 = 5_000;

/// Runs every part; the functions run in the stack's process.
///
/// # Errors
/// When something cannot be measured.
pub async fn run() -> Result<()> {
    throughput(&UNBOUND).await?;
    latency().await?;
    hanging().await?;
    dead().await
}

/// The first figures once more with the functions as processes of their own (`make build`), so that
/// each one's CPU is its own. They talk to the stack over the Lambda Runtime API, which costs both
/// sides what it does not cost in one process.
///
/// # Errors
/// When a function is not built.
pub async fn run_built() -> Result<()> {
    let built = start::built();
    let functions = built.to_str().ok_or("an odd directory")?;
    throughput(&[&UNBOUND[..], &["--functions", functions]].concat()).await
}

/// A local stack, and a process that is all of its endpoints.
struct Setup {
    stack: Server,
    receiver: Server,
    asker: Asker,
    client: reqwest::Client,
}

impl Setup {
    async fn start(options: &[&str]) -> Result<Setup> {
        let stack = Server::posthorn(options).await?;
        let receiver = Server::endpoints()?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let asker = Asker::new(client.clone(), receiver.address());
        Ok(Setup {
            stack,
            receiver,
            asker,
            client,
        })
    }

    /// Creates an endpoint of the receiver at this path, for what passes the filter.
    async fn subscribe(&self, path: &str, filter: &str) -> Result<()> {
        let body = json!({ "url": self.asker.url(path), "filter": filter });
        let request = self
            .client
            .post(format!("http://{}/v1/endpoints", self.stack.address()))
            .bearer_auth(self.stack.token())
            .body(body.to_string());
        let answer = request.send().await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("no endpoint: {status} {}", answer.text().await?).into());
        }
        Ok(())
    }

    /// Endpoints that answer at once, at the paths `/0` to `/<count - 1>`.
    async fn subscribe_many(&self, count: usize, filter: &str) -> Result<()> {
        for number in 0..count {
            self.subscribe(&format!("/{number}"), filter).await?;
        }
        Ok(())
    }

    /// Waits until so many deliveries have come, or nothing comes any more; answers what came.
    async fn collect(&self, expected: usize) -> Result<Vec<Arrival>> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let count = self.asker.count().await?;
            if count != before {
                (before, since) = (count, Instant::now());
            }
            if count >= expected || since.elapsed() > SILENCE {
                return self.asker.take().await;
            }
            sleep(LOOK).await;
        }
    }

    /// Posts batches of one event, one after the other at a low rate; answers when each was posted.
    async fn drip(&self, events: &[Batch]) -> Result<HashMap<Key, u64>> {
        let poster = self.stack.poster()?;
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut posted = HashMap::new();
        for event in events {
            let signed = poster.sign(&event.json);
            ticks.tick().await;
            let at = cpu::monotonic_ns();
            posted.extend(event.keys.iter().map(|key| (*key, at)));
            post(&poster, &signed).await?;
        }
        Ok(posted)
    }

    /// The latencies of single events at a low rate, of `endpoints` endpoints that get all of them.
    async fn latencies(&self, seed: u64, kinds: &[Kind], endpoints: usize) -> Result<Latencies> {
        let events = batches::of_kinds(kinds, seed, SINGLE, 1)?;
        let posted = self.drip(&events).await?;
        let arrivals = self.collect(SINGLE * endpoints).await?;
        Ok(Latencies::of(&posted, &arrivals, SINGLE * endpoints))
    }

    /// Compiles, connects and allocates everything once, before it counts.
    async fn warm_up(&self, kinds: &[Kind], endpoints: usize) -> Result<()> {
        let poster = self.stack.poster()?;
        let warm = batches::of_kinds(kinds, 99, 1, 20)?.remove(0);
        post(&poster, &poster.sign(&warm.json)).await?;
        self.collect(20 * endpoints).await?;
        Ok(())
    }

    /// What AWS would have counted so far.
    async fn bill(&self) -> Result<BTreeMap<String, f64>> {
        let url = format!("http://{}/_stack/bill", self.stack.address());
        let request = self.client.get(url).bearer_auth(self.stack.stack_token());
        let bill: Value = serde_json::from_str(&request.send().await?.text().await?)?;
        let lines = bill["lines"].as_array().ok_or("a bill without lines")?;
        let line = |line: &Value| {
            let name = line["name"].as_str()?.to_owned();
            Some((name, line["quantity"].as_f64()?))
        };
        Ok(lines.iter().filter_map(line).collect())
    }
}

/// How long deliveries took from the start of their event's POST; sorted, in nanoseconds.
struct Latencies {
    ns: Vec<u64>,
    expected: usize,
}

impl Latencies {
    fn of(posted: &HashMap<Key, u64>, arrivals: &[Arrival], expected: usize) -> Latencies {
        let taken = arrivals
            .iter()
            .filter_map(|arrival| Some(arrival.at_ns.saturating_sub(*posted.get(&arrival.key)?)));
        let mut ns: Vec<u64> = taken.collect();
        ns.sort_unstable();
        Latencies { ns, expected }
    }

    fn percentile(&self, percent: usize) -> Duration {
        let last = self.ns.len().saturating_sub(1);
        let ns = self.ns.get(last * percent / 100).copied();
        Duration::from_nanos(ns.unwrap_or_default())
    }

    fn text(&self) -> String {
        format!(
            "p50 {} ms, p95 {}, p99 {}, of {} ({} expected)",
            out::ms(self.percentile(50)),
            out::ms(self.percentile(95)),
            out::ms(self.percentile(99)),
            self.ns.len(),
            self.expected
        )
    }
}

async fn throughput(options: &[&str]) -> Result<()> {
    let setup = Setup::start(options).await?;
    setup.subscribe_many(ENDPOINTS, "").await?;
    setup.warm_up(&[Kind::Open], ENDPOINTS).await?;
    let at_rest = memory(&setup, RESIDENT)?;
    let batches = batches::batches(21, BATCHES, BATCH)?;
    let poster = setup.stack.poster()?;
    let signed: Vec<_> = batches.iter().map(|one| poster.sign(&one.json)).collect();
    let (bill, cpu) = (setup.bill().await?, Cpu::now(&setup)?);
    let mut posted = HashMap::new();
    let started = cpu::monotonic_ns();
    for (batch, signed) in batches.iter().zip(&signed) {
        let at = cpu::monotonic_ns();
        posted.extend(batch.keys.iter().map(|key| (*key, at)));
        post(&poster, signed).await?;
    }
    let expected = posted.len() * ENDPOINTS;
    let arrivals = setup.collect(expected).await?;
    // What is written after the last answer belongs to it.
    sleep(Duration::from_secs(1)).await;
    let (cpu, bill) = (
        Cpu::now(&setup)?.since(&cpu),
        difference(&setup.bill().await?, &bill),
    );
    let last = arrivals.iter().map(|arrival| arrival.at_ns).max();
    let took = Duration::from_nanos(last.unwrap_or(started).saturating_sub(started));
    out::line(format!(
        "\ndeliveries: {ENDPOINTS} endpoints, {} events in {BATCHES} batches; load {}",
        posted.len(),
        out::load()
    ));
    out::line(format!(
        "  deliveries/s {:>14.0}   {} in {:.1} s; {}",
        arrivals.len() as f64 / took.as_secs_f64(),
        arrivals.len(),
        took.as_secs_f64(),
        Latencies::of(&posted, &arrivals, expected).text()
    ));
    cpu.print(arrivals.len());
    for (name, quantity) in bill {
        let each = quantity / arrivals.len() as f64;
        out::line(format!("    {each:>7.2} of {name}"));
    }
    sdk_call(&setup).await?;
    out::line(format!(
        "  memory, MB: {at_rest:.0} before, {:.0} after, {:.0} of it its own; the most {:.0}",
        memory(&setup, RESIDENT)?,
        memory(&setup, OWN)?,
        cpu::memory_mb(setup.stack.pid(), "VmHWM")?
    ));
    Ok(())
}

/// CPU time by who took it: threads of the stack's process by their names, its child processes by
/// theirs, and the receiver.
struct Cpu {
    stack: BTreeMap<String, Duration>,
    receiver: Duration,
}

impl Cpu {
    fn now(setup: &Setup) -> Result<Cpu> {
        Ok(Cpu {
            stack: cpu::by_name(setup.stack.pid())?,
            receiver: setup.receiver.cpu()?,
        })
    }

    fn since(self, before: &Cpu) -> Cpu {
        let since = |(name, time): (String, Duration)| {
            let before = before.stack.get(&name).copied().unwrap_or_default();
            (name, time.saturating_sub(before))
        };
        Cpu {
            stack: self.stack.into_iter().map(since).collect(),
            receiver: self.receiver.saturating_sub(before.receiver),
        }
    }

    fn print(&self, deliveries: usize) {
        let each = |time: Duration| out::us(time) / deliveries as f64;
        let total = each(self.stack.values().sum());
        out::line(format!("  us CPU per delivery{total:>8.0}   of which:"));
        for (name, time) in &self.stack {
            let us = each(*time);
            if us >= 1.0 {
                out::line(format!("    {us:>7.0} {name}"));
            }
        }
        let receiver = each(self.receiver);
        out::line(format!(
            "    {receiver:>7.0} the receiver, which is not in the sum"
        ));
    }
}

fn difference(after: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>) -> Vec<(String, f64)> {
    let lines = after.iter().map(|(name, quantity)| {
        let before = before.get(name).copied().unwrap_or_default();
        (name.clone(), quantity - before)
    });
    lines.filter(|(_, quantity)| *quantity > 0.0).collect()
}

/// Everything: the stack with its functions, not what only measures. In MB, by a field of
/// `/proc/<pid>/status`.
fn memory(setup: &Setup, field: &str) -> Result<f64> {
    let children = cpu::children(setup.stack.pid())?;
    let mut sum = cpu::memory_mb(setup.stack.pid(), field)?;
    for child in children {
        sum += cpu::memory_mb(child, field)?;
    }
    Ok(sum)
}

/// What one call of the SDK costs on both sides: the least that a delivery has several of.
async fn sdk_call(setup: &Setup) -> Result<()> {
    let lookup = |name: &str| setup.stack.variable(name);
    let aws = Aws::new(&lookup, clients::http_client(&lookup))?;
    let (client, table) = (
        aws.dynamodb(),
        config::required(&lookup, "ENDPOINTS_TABLE")?,
    );
    let (own, stack) = (cpu::of_process(), setup.stack.cpu()?);
    for _ in 0..CALLS {
        let key = || AttributeValue::S("nobody".to_owned());
        let call = client.get_item().table_name(&table);
        call.key("pk", key()).key("sk", key()).send().await?;
    }
    let own = out::us(cpu::of_process().saturating_sub(own)) / f64::from(CALLS);
    let stack = out::us(setup.stack.cpu()?.saturating_sub(stack)) / f64::from(CALLS);
    out::line(format!(
        "  one GetItem of nothing: {own:.0} us CPU of the SDK's side, {stack:.0} of the local stack's"
    ));
    Ok(())
}

async fn latency() -> Result<()> {
    let setup = Setup::start(&UNBOUND).await?;
    setup.subscribe_many(1, "").await?;
    setup.warm_up(&[Kind::Open], 1).await?;
    let latencies = setup.latencies(31, &[Kind::Open], 1).await?;
    out::line(format!(
        "\nevent in -> receiver, one endpoint, an event each {} ms: {}; load {}",
        PAUSE.as_millis(),
        latencies.text(),
        out::load()
    ));
    Ok(())
}

async fn hanging() -> Result<()> {
    out::line(format!(
        "\n{TEN} endpoints, an event each {} ms",
        PAUSE.as_millis()
    ));
    let healthy = nine_and("/9").await?;
    out::line(format!("  all answer:   {}", healthy.text()));
    let beside = nine_and(HANGING).await?;
    out::line(format!("  one hangs:    {}", beside.text()));
    let ratio = beside.percentile(50).as_secs_f64() / healthy.percentile(50).as_secs_f64();
    out::line(format!("  ratio of p50: {ratio:.2}; load {}", out::load()));
    Ok(())
}

/// The latencies of nine endpoints, beside a tenth at this path.
async fn nine_and(tenth: &str) -> Result<Latencies> {
    let setup = Setup::start(&UNBOUND).await?;
    setup.subscribe_many(TEN - 1, "").await?;
    setup.warm_up(&[Kind::Open], TEN - 1).await?;
    setup.subscribe(tenth, "").await?;
    let events = batches::of_kinds(&[Kind::Open], 41, SINGLE, 1)?;
    let posted = setup.drip(&events).await?;
    let answering = if tenth == HANGING { TEN - 1 } else { TEN };
    let mut arrivals = setup.collect(SINGLE * answering).await?;
    arrivals.retain(|arrival| arrival.endpoint < TEN - 1);
    Ok(Latencies::of(&posted, &arrivals, SINGLE * (TEN - 1)))
}

async fn dead() -> Result<()> {
    let setup = Setup::start(&UNBOUND).await?;
    setup.subscribe_many(1, "type:click").await?;
    setup.subscribe(DEAD, "type:open").await?;
    setup.warm_up(&[Kind::Click], 1).await?;
    let before = setup.latencies(51, &[Kind::Click], 1).await?;
    let (poster, started) = (setup.stack.poster()?, Instant::now());
    for batch in batches::of_kinds(&[Kind::Open], 52, WAITING / WAITING_BATCH, WAITING_BATCH)? {
        post(&poster, &poster.sign(&batch.json)).await?;
    }
    let stored = started.elapsed();
    let after = setup.latencies(53, &[Kind::Click], 1).await?;
    out::line(format!(
        "\n{WAITING} events for a dead endpoint, stored within {:.0} s; another endpoint's deliveries",
        stored.as_secs_f64()
    ));
    out::line(format!("  before: {}", before.text()));
    out::line(format!("  after:  {}", after.text()));
    out::line(format!(
        "  memory, MB: {:.0}, {:.0} of it its own; the most {:.0}; load {}",
        memory(&setup, RESIDENT)?,
        memory(&setup, OWN)?,
        cpu::memory_mb(setup.stack.pid(), "VmHWM")?,
        out::load()
    ));
    Ok(())
}
