//! Ten thousand open connections on the local stack: what they cost in memory, and how soon all of
//! them have an event.

use std::time::{Duration, Instant};

use crate::batches;
use crate::clients::Clients;
use crate::live::UNBOUND;
use crate::server::{Server, post};
use crate::{Result, cpu, out};

const CONNECTIONS: usize = 10_000;
/// One after the other, each of one event.
const POSTS: usize = 5;
/// As in [`crate::live`].
const LIST_AGE: Duration = Duration::from_millis(1_200);

/// Needs as many files open at once in this process, and in that of the stack (`ulimit -n`).
///
/// # Errors
/// When a connection is refused.
pub async fn run() -> Result<()> {
    let server = Server::posthorn(&UNBOUND).await?;
    let at_rest = cpu::memory_mb(server.pid(), "VmRSS")?;
    let (started, before) = (Instant::now(), server.cpu()?);
    let clients =
        Clients::connect(server.address(), &server.socket_url().await?, CONNECTIONS).await?;
    let connecting = (server.cpu()?.saturating_sub(before)) / CONNECTIONS as u32;
    out::line(format!(
        "\nsockets: {CONNECTIONS} connections opened in {:.1} s, {:.0} us CPU each; load {}",
        started.elapsed().as_secs_f64(),
        out::us(connecting),
        out::load()
    ));
    out::line(format!("  memory before, MB{at_rest:>30.0}"));
    let connected = cpu::memory_mb(server.pid(), "VmRSS")?;
    out::line(format!(
        "  memory with all connections, MB{connected:>16.0}"
    ));
    tokio::time::sleep(LIST_AGE).await;
    let poster = server.poster()?;
    for batch in batches::batches(7, POSTS, 1)? {
        clients.expect(CONNECTIONS);
        let signed = poster.sign(&batch.json);
        let (posted, before) = (Instant::now(), server.cpu()?);
        post(&poster, &signed).await?;
        clients.wait().await;
        let mut arrivals: Vec<_> = clients
            .take()
            .iter()
            .filter(|log| log.keys == batch.keys)
            .filter_map(|log| Some(log.messages.first()?.1.saturating_duration_since(posted)))
            .collect();
        arrivals.sort_unstable();
        let at = |share: usize| arrivals.get(arrivals.len().saturating_sub(1) * share / 100);
        out::line(format!(
            "  one event: {} connections have it; the first after {} ms, half after {}, the last after {}; {:.0} us CPU of the stack each",
            arrivals.len(),
            out::ms(at(0).copied().unwrap_or_default()),
            out::ms(at(50).copied().unwrap_or_default()),
            out::ms(at(100).copied().unwrap_or_default()),
            out::us(server.cpu()?.saturating_sub(before)) / CONNECTIONS as f64,
        ));
    }
    out::line(format!(
        "  memory at the end, MB{:>26.0}, the most it was{:>6.0}",
        cpu::memory_mb(server.pid(), "VmRSS")?,
        cpu::memory_mb(server.pid(), "VmHWM")?
    ));
    Ok(())
}
