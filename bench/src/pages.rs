//! What a page of the history costs the `api` function.

use std::time::{Duration, Instant};

use lambda_runtime::{Context, LambdaEvent};
use platform::{Aws, clients, clock, config};
use serde_json::{Value, json};
use store::{EventWriter, OversizedWriter};

use crate::server::Server;
use crate::{Result, batches, cpu, out};

const EVENTS: usize = 1_000;
/// How often each page is asked for; the least counts.
const RUNS: usize = 50;

/// Prints all of it.
///
/// # Errors
/// When something cannot be measured.
pub async fn run() -> Result<()> {
    let stack = Server::posthorn(&[]).await?;
    let lookup = |name: &str| stack.variable(name);
    let aws = Aws::new(&lookup, clients::http_client(&lookup))?;
    let writer = EventWriter::new(
        aws.dynamodb(),
        config::required(&lookup, "EVENTS_TABLE")?,
        config::required_parsed(&lookup, "FEED_SHARDS")?,
        config::required_parsed(&lookup, "RETENTION_DAYS")?,
        OversizedWriter::new(aws.s3(), config::required(&lookup, "OVERSIZED_BUCKET")?),
    );
    let batch = batches::batches(1, 1, EVENTS)?.remove(0);
    let raw = mandrill::split(batch.json.as_bytes());
    let events = webhook::intake::events(&raw, Some("main"));
    writer.append(&events, clock::now).await?;
    let deps = api::Deps::new(&aws, &lookup)?;
    out::line(format!("pages: of {EVENTS} events; load {}", out::load()));
    for (name, query, encoding) in [
        ("limit=100", "limit=100", "identity"),
        ("limit=100, compressed", "limit=100", "gzip"),
        (
            "limit=100, of 1,000 with a filter",
            "limit=100&filter=type:click",
            "identity",
        ),
    ] {
        let (cpu, wall, bytes) = page(&deps, &stack, query, encoding).await?;
        out::line(format!(
            "  GET /v1/events, {name:<36}{:>9.0} us CPU, {:>9.0} us, {bytes} B",
            out::us(cpu),
            out::us(wall)
        ));
    }
    Ok(())
}

/// CPU of this process, time and size of one page.
async fn page(
    deps: &api::Deps,
    stack: &Server,
    query: &str,
    encoding: &str,
) -> Result<(Duration, Duration, usize)> {
    let payload = json!({
        "rawPath": "/v1/events",
        "rawQueryString": query,
        "headers": {
            "accept-encoding": encoding,
            "authorization": format!("Bearer {}", stack.token()),
        },
        "requestContext": { "http": { "method": "GET" } },
    })
    .to_string();
    let (mut cpu, mut wall, mut bytes) = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..RUNS {
        let (started, cpu_before) = (Instant::now(), cpu::of_process());
        let event = LambdaEvent::new(serde_json::from_str(&payload)?, Context::default());
        let answer = serde_json::to_string(&api::handle(deps, event).await?)?;
        cpu = cpu.min(cpu::of_process().saturating_sub(cpu_before));
        wall = wall.min(started.elapsed());
        let status = serde_json::from_str::<Value>(&answer)?["statusCode"].clone();
        if status != 200 {
            return Err(format!("{query} is answered {status}").into());
        }
        bytes = answer.len();
    }
    Ok((cpu, wall, bytes))
}
