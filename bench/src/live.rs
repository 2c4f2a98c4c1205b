//! From Mandrill's POST to every WebSocket client: latency, deliveries a second, CPU, losses and
//! memory, against a server that does no more than fan out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use platform::connections::{Connections, Posted};
use platform::{Aws, clients};
use posthorn::tools::post::{Poster, SignedBatch};

use crate::batches::{self, Batch, Key};
use crate::clients::{Clients, Log};
use crate::server::{Server, post};
use crate::{Result, cpu, out};

const CLIENTS: [usize; 4] = [1, 10, 100, 1_000];
const BATCHES: [usize; 3] = [1, 100, 1_000];
/// The cells that are run at Lambda's pace as well.
const AT_AWS_PACE: [(usize, usize); 2] = [(1, 1), (100, 100)];
/// How many POSTs are in flight while batches are pumped.
const IN_FLIGHT: usize = 8;
/// `push` keeps its list of connections for a second: before that has passed, a client that has
/// just connected may get nothing yet.
const LIST_AGE: Duration = Duration::from_millis(1_200);
/// `push` posts as fast as it can: what is measured is the code and not its bound.
pub(crate) const UNBOUND: [&str; 2] = ["--parameter", "PushRate=100000"];
/// Calls of `PostToConnection` on its own, and how many at once, as in `push`.
const CALLS: usize = 20_000;
const CALLS_AT_ONCE: usize = 64;
/// The size of a message with one event.
const MESSAGE_BYTES: usize = 650;

/// Runs the cells that are wanted by name, and those at Lambda's pace if `pace` is.
///
/// # Errors
/// When something cannot be measured.
pub async fn run(wants: impl Fn(&str) -> bool) -> Result<()> {
    let cells: Vec<Cell> = CLIENTS
        .into_iter()
        .flat_map(|clients| BATCHES.map(|batch| Cell { clients, batch }))
        .filter(|cell| wants(&cell.to_string()))
        .collect();
    if cells.is_empty() && !wants("pace") {
        return Ok(());
    }
    header();
    for cell in cells {
        measure("posthorn", Server::posthorn(&UNBOUND).await?, cell).await?;
        measure("fan-out", Server::fan_out()?, cell).await?;
    }
    if wants("pace") {
        for (clients, batch) in AT_AWS_PACE {
            let server = Server::posthorn(&[&UNBOUND[..], &["--aws-pace"]].concat()).await?;
            measure("--aws-pace", server, Cell { clients, batch }).await?;
        }
    }
    Ok(())
}

/// How many clients, and how many events in a batch.
#[derive(Debug, Clone, Copy)]
struct Cell {
    clients: usize,
    batch: usize,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.clients, self.batch)
    }
}

impl Cell {
    fn deliveries(self) -> usize {
        self.clients * self.batch
    }

    /// Batches that are posted one after the other, for latencies.
    fn single(self) -> usize {
        (200_000 / self.deliveries())
            .min(4_000 / self.batch)
            .clamp(3, 200)
    }

    /// Batches that are pumped.
    fn pumped(self) -> usize {
        (800_000 / self.deliveries())
            .min(20_000 / self.batch)
            .clamp(IN_FLIGHT, 400)
    }
}

fn header() {
    out::line(format!(
        "{:<21} | one POST after the other         | {IN_FLIGHT} POSTs in flight",
        ""
    ));
    out::line(format!(
        "{:<11}{:>10} | {:>8}{:>8}{:>8}{:>8} | {:>9}{:>10}{:>9}{:>8}{:>7} | {:>6}{:>7}{:>8}",
        "",
        "cell",
        "p50 ms",
        "p95",
        "p99",
        "us CPU",
        "events/s",
        "deliv./s",
        "p95 ms",
        "us CPU",
        "gen %",
        "lost",
        "twice",
        "MB"
    ));
}

async fn measure(name: &str, server: Server, cell: Cell) -> Result<()> {
    let clients =
        Clients::connect(server.address(), &server.socket_url().await?, cell.clients).await?;
    tokio::time::sleep(LIST_AGE).await;
    let poster = server.poster()?;
    // Everything is read, compiled and allocated once before it counts.
    one_by_one(
        &clients,
        &poster,
        &batches::batches(1, 10_usize.div_ceil(cell.batch), cell.batch)?,
    )
    .await?;
    let single = batches::batches(2, cell.single(), cell.batch)?;
    let before = server.cpu()?;
    let single = one_by_one(&clients, &poster, &single).await?;
    let single_cpu = server.cpu()?.saturating_sub(before);
    let pumped = batches::batches(3, cell.pumped(), cell.batch)?;
    let (before, own_before) = (server.cpu()?, cpu::of_process());
    let pumped = pump(&clients, &poster, &pumped).await?;
    let cpu = server.cpu()?.saturating_sub(before);
    let own = cpu::of_process().saturating_sub(own_before);
    let seconds = pumped.took.as_secs_f64();
    let deliveries = pumped.latencies.len();
    let share = own.as_secs_f64() / (own + cpu).as_secs_f64();
    let each = |cpu, deliveries: usize| out::us(cpu) / deliveries.max(1) as f64;
    out::line(format!(
        "{name:<11}{:>10} | {:>8}{:>8}{:>8}{:>8.1} | {:>9.0}{:>10.0}{:>9}{:>8.1}{:>7.0} | {:>6}{:>7}{:>8.0}",
        cell.to_string(),
        out::ms(single.percentile(50)),
        out::ms(single.percentile(95)),
        out::ms(single.percentile(99)),
        each(single_cpu, single.latencies.len()),
        deliveries as f64 / cell.clients as f64 / seconds,
        deliveries as f64 / seconds,
        out::ms(pumped.percentile(95)),
        each(cpu, deliveries),
        100.0 * share,
        single.lost + pumped.lost,
        single.repeated + pumped.repeated,
        cpu::memory_mb(server.pid(), "VmHWM")?,
    ));
    Ok(())
}

/// What became of some batches.
#[derive(Debug, Default)]
struct Outcome {
    /// Of each delivery, from the start of its POST; sorted.
    latencies: Vec<Duration>,
    /// From the first POST to the last delivery.
    took: Duration,
    lost: usize,
    repeated: usize,
}

impl Outcome {
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}

/// Posts a batch, waits until every client has it, posts the next.
async fn one_by_one(clients: &Clients, poster: &Poster, batches: &[Batch]) -> Result<Outcome> {
    let mut posted = HashMap::new();
    for batch in batches {
        clients.expect(batch.keys.len() * clients.count());
        let signed = poster.sign(&batch.json);
        let at = Instant::now();
        posted.extend(batch.keys.iter().map(|key| (*key, at)));
        post(poster, &signed).await?;
        clients.wait().await;
    }
    Ok(outcome(&posted, clients.take()))
}

/// Posts batches, [`IN_FLIGHT`] at a time.
async fn pump(clients: &Clients, poster: &Poster, batches: &[Batch]) -> Result<Outcome> {
    let signed: Vec<SignedBatch> = batches
        .iter()
        .map(|batch| poster.sign(&batch.json))
        .collect();
    let events: usize = batches.iter().map(|batch| batch.keys.len()).sum();
    clients.expect(events * clients.count());
    let (next, signed) = (Arc::new(AtomicUsize::new(0)), Arc::new(signed));
    let senders = (0..IN_FLIGHT).map(|_| {
        let (poster, next, signed) = (poster.clone(), next.clone(), signed.clone());
        tokio::spawn(async move {
            let mut posted = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = signed.get(index) else {
                    return Ok(posted);
                };
                posted.push((index, Instant::now()));
                post(&poster, batch).await?;
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut posted = HashMap::new();
    for sender in senders {
        let sent: Result<Vec<(usize, Instant)>> = sender.await?;
        for (index, at) in sent? {
            posted.extend(batches[index].keys.iter().map(|key| (*key, at)));
        }
    }
    clients.wait().await;
    Ok(outcome(&posted, clients.take()))
}

fn outcome(posted: &HashMap<Key, Instant>, logs: Vec<Log>) -> Outcome {
    let mut outcome = Outcome::default();
    let first = posted.values().min().copied();
    for log in logs {
        let mut seen = HashSet::with_capacity(log.keys.len());
        let mut start = 0;
        for (end, at) in log.messages {
            for key in &log.keys[start..end] {
                let Some(sent) = posted.get(key) else {
                    continue;
                };
                if seen.insert(*key) {
                    outcome.latencies.push(at.saturating_duration_since(*sent));
                } else {
                    outcome.repeated += 1;
                }
            }
            start = end;
            outcome.took = first.map_or(outcome.took, |first| {
                outcome.took.max(at.saturating_duration_since(first))
            });
        }
        outcome.lost += posted.len() - seen.len();
    }
    outcome.latencies.sort_unstable();
    outcome
}

/// What the SDK's call of `PostToConnection` takes of the caller's CPU, against a server that
/// answers 200 and does nothing: the part of a delivery that is not ours to shorten.
///
/// # Errors
/// When there is no server to call.
pub async fn call() -> Result<()> {
    let server = Server::fan_out()?;
    let lookup = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(format!("http://{}", server.address())),
        "AWS_REGION" => Some("us-east-1".to_owned()),
        _ => Some("local".to_owned()),
    };
    let aws = Aws::new(&lookup, clients::http_client(&lookup))?;
    let connections = Connections::new(aws.connections("api", "live"));
    let message = vec![b'x'; MESSAGE_BYTES];
    let calls = || async {
        stream::iter((0..CALLS).map(|_| connections.post("L0SM9cOFvHcCIhw=", &message)))
            .buffer_unordered(CALLS_AT_ONCE)
            .filter(|posted| std::future::ready(*posted == Posted::Sent))
            .count()
            .await
    };
    calls().await;
    let (started, before) = (Instant::now(), cpu::of_process());
    let sent = calls().await;
    let cpu = cpu::of_process().saturating_sub(before);
    out::line(format!(
        "PostToConnection on its own: {sent} calls, {:.1} us CPU of the caller each, {:.0} calls/s",
        out::us(cpu) / CALLS as f64,
        CALLS as f64 / started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// What the stack needs at rest, and with clients and events.
///
/// # Errors
/// When the stack does not start.
pub async fn memory() -> Result<()> {
    let server = Server::posthorn(&UNBOUND).await?;
    tokio::time::sleep(LIST_AGE).await;
    out::line(format!(
        "memory at rest: {:.0} MB",
        cpu::memory_mb(server.pid(), "VmRSS")?
    ));
    let poster = server.poster()?;
    for batch in batches::batches(4, 10, 100)? {
        post(&poster, &poster.sign(&batch.json)).await?;
    }
    let clients = Clients::connect(server.address(), &server.socket_url().await?, 1_000).await?;
    tokio::time::sleep(LIST_AGE).await;
    out::line(format!(
        "memory with 1,000 events stored and 1,000 clients: {:.0} MB",
        cpu::memory_mb(server.pid(), "VmRSS")?
    ));
    one_by_one(&clients, &poster, &batches::batches(5, 10, 1)?).await?;
    out::line(format!(
        "memory after 10 more events to 1,000 clients: {:.0} MB",
        cpu::memory_mb(server.pid(), "VmRSS")?
    ));
    Ok(())
}
