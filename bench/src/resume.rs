//! A client that comes back after 10,000 events, beside the least that this takes: reading them.

use std::time::{Duration, Instant};

use domain::{Feed, Position};
use futures::{SinkExt, StreamExt};
use platform::{Aws, clients, clock, config};
use posthorn::tools::target::Secret;
use posthorn::tools::tickets::Tickets;
use serde_json::{Value, json};
use store::FeedReader;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Server, post};
use crate::{Result, batches, out};

const BATCHES: usize = 10;
const EVENTS: usize = 1_000;
/// As many events as `message` reads at once.
const PAGE: usize = 100;
const RUNS: usize = 7;

/// Measures both, in turn.
///
/// # Errors
/// When the stack does not do what it should.
pub async fn run() -> Result<()> {
    let server = Server::posthorn(&[]).await?;
    let lookup = |name: &str| server.variable(name);
    let start = Position::start_of(clock::now());
    let feed = Feed::new(config::required(&lookup, "FEED_ID")?);
    let poster = server.poster()?;
    for batch in batches::batches(4, BATCHES, EVENTS)? {
        post(&poster, &poster.sign(&batch.json)).await?;
    }
    let aws = Aws::new(&lookup, clients::http_client(&lookup))?;
    let reader = FeedReader::new(
        aws.dynamodb(),
        config::required(&lookup, "EVENTS_TABLE")?,
        config::required_parsed(&lookup, "FEED_SHARDS")?,
        config::required_parsed(&lookup, "RETENTION_DAYS")?,
    );
    let api = format!("http://{}", server.address());
    let tickets = Tickets::new(&api, Secret::new(server.token()))
        .map_err(|error| format!("no tickets: {error:?}"))?;
    let (mut bound, mut ours) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        let began = Instant::now();
        expect(read(&reader, start).await?)?;
        bound = bound.min(began.elapsed());
        let url = tickets.socket_url().await?;
        let (took, events) = resume(url.reveal(), feed.cursor_at(start)).await?;
        expect(events)?;
        ours = ours.min(took);
    }
    out::line(format!(
        "resume of {} events, best of {RUNS}: {} ms; reading them alone: {} ms",
        BATCHES * EVENTS,
        out::ms(ours),
        out::ms(bound)
    ));
    Ok(())
}

fn expect(events: usize) -> Result<()> {
    if events == BATCHES * EVENTS {
        return Ok(());
    }
    Err(format!("{events} events came").into())
}

async fn read(reader: &FeedReader, start: Position) -> Result<usize> {
    let mut scan = reader.after(start, clock::now());
    let mut events = 0;
    while let Some((page, _)) = scan.next(PAGE).await? {
        events += page.count();
    }
    Ok(events)
}

/// From the request to `live`; and how many events came.
async fn resume(url: &str, cursor: String) -> Result<(Duration, usize)> {
    let (mut socket, _) = connect_async(url).await?;
    let began = Instant::now();
    let mut request = json!({ "action": "resume", "cursor": cursor });
    let mut events = 0;
    loop {
        socket.send(Message::text(request.to_string())).await?;
        loop {
            let message = socket.next().await.ok_or("the connection ended")??;
            let Message::Text(text) = message else {
                continue;
            };
            let message: Value = serde_json::from_str(&text)?;
            match message["type"].as_str() {
                Some("events") if message["replay"] == true => {
                    events += message["events"].as_array().map_or(0, Vec::len);
                }
                Some("continue") => {
                    request = json!({ "action": "resume", "cursor": message["cursor"] });
                    break;
                }
                Some("live") => return Ok((began.elapsed(), events)),
                Some("events") => {}
                _ => return Err(format!("the server says {text}").into()),
            }
        }
    }
}
