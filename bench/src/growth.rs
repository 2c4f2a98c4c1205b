//! How the cost of `push` grows: with connections, with the events of a batch, and with distinct
//! filters. Each row is beside the calls of `PostToConnection` that the same messages take of the
//! bare SDK, in the same run: what is more than that is ours.

use std::collections::HashMap;
use std::time::Duration;

use aws_lambda_events::event::dynamodb;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use domain::{Filter, Rights, Scope, Scopes, frame};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lambda_runtime::{Context, LambdaEvent};
use platform::{Aws, clients, clock};
use posthorn::tools::generator::Kind;
use push::Deps;
use serde_json::{Value, json};
use store::{ConnectionRegister, EventWriter, OversizedWriter};

use crate::server::Server;
use crate::{Result, batches, cpu, gateway, out};

/// As many calls are under way at once as in `push`.
const CALLS_AT_ONCE: usize = 64;
/// The least of so many runs counts.
const RUNS: usize = 5;
/// `push` keeps its list of connections for a second.
const LIST_AGE: Duration = Duration::from_millis(1_100);
/// What the connections want, and what none of them does.
const WANTED: [Kind; 1] = [Kind::Click];
const UNWANTED: [Kind; 1] = [Kind::HardBounce];

/// What is measured at once.
#[derive(Debug, Clone, Copy)]
struct Case {
    connections: usize,
    events: usize,
    filters: usize,
}

const CASES: [Case; 11] = [
    case(10, 1, 1),
    case(100, 1, 1),
    case(1_000, 1, 1),
    case(10_000, 1, 1),
    case(1_000, 10, 1),
    case(1_000, 100, 1),
    case(1_000, 500, 1),
    case(1_000, 100, 10),
    case(1_000, 100, 100),
    case(1_000, 100, 1_000),
    case(10_000, 1, 10_000),
];

const fn case(connections: usize, events: usize, filters: usize) -> Case {
    Case {
        connections,
        events,
        filters,
    }
}

/// Prints all of it.
///
/// # Errors
/// When something cannot be measured.
pub fn run() -> Result<()> {
    out::line(format!(
        "\ngrowth: one push, CPU on one thread as in Lambda, least of {RUNS}; load {}",
        out::load()
    ));
    out::line(
        "connections  events filters | messages  KB each | nobody wants it: listed, ms | from the list, ms | all want it, ms | us a message: SDK    ours   more |  ms all, SDK",
    );
    // A function has one thread.
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            for case in CASES {
                measure(case).await?;
            }
            Ok(())
        })
    });
    thread.join().map_err(|_| "the measuring thread panicked")?
}

async fn measure(case: Case) -> Result<()> {
    let server = Server::gateway()?;
    let variables = variables(&server);
    let lookup = |name: &str| variables.get(name).cloned();
    let aws = Aws::new(&lookup, clients::http_client(&lookup))?;
    register(&aws, case).await?;
    let deps = Deps::new(&aws, &lookup)?;
    let (mut listed, mut unwanted, mut wanted, mut sdk) =
        (Duration::MAX, Duration::MAX, Duration::MAX, Duration::MAX);
    let (mut messages, mut bytes) = (0, 0);
    for run in 0..RUNS {
        let seed = run as u64;
        let nobodys = records(&aws, &server, &UNWANTED, seed, case.events).await?;
        let everybodys = records(&aws, &server, &WANTED, seed, case.events).await?;
        tokio::time::sleep(LIST_AGE).await;
        listed = listed.min(pushed(&deps, nobodys.clone()).await?);
        unwanted = unwanted.min(pushed(&deps, nobodys).await?);
        taken(&server).await?;
        let all = pushed(&deps, everybodys).await?;
        wanted = wanted.min(all);
        messages = taken(&server).await?;
        bytes = message_bytes(case.events, messages / case.connections);
        sdk = sdk.min(posted(&aws, messages, bytes).await);
    }
    let each = |time: Duration| out::us(time) / messages.max(1) as f64;
    let sending = wanted.saturating_sub(unwanted);
    out::line(format!(
        "{:>11}{:>8}{:>8} | {messages:>8}{:>9.1} | {:>27} | {:>17} | {:>15} | {:>17.1}{:>8.1}{:>7.1} | {:>8} {:>6}",
        case.connections,
        case.events,
        case.filters,
        bytes as f64 / 1_024.0,
        out::ms(listed),
        out::ms(unwanted),
        out::ms(wanted),
        each(sdk),
        each(sending),
        each(sending) - each(sdk),
        out::ms(sending),
        out::ms(sdk),
    ));
    Ok(())
}

fn variables(server: &Server) -> HashMap<String, String> {
    let endpoint = format!("http://{}", server.address());
    [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("WEBSOCKET_API_ID", "api"),
        ("WEBSOCKET_STAGE", "live"),
        ("CONNECTIONS_TABLE", "connections"),
        ("RETENTION_DAYS", "30"),
        ("FEED_ID", "bench"),
        ("METRICS_STACK", "bench"),
        // As fast as it can: what is measured is the code and not its bound.
        ("PUSH_RATE", "4000000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Connections that want everything but what nobody wants.
async fn register(aws: &Aws, case: Case) -> Result<()> {
    let register = ConnectionRegister::new(aws.dynamodb(), "connections".to_owned());
    let rights = Rights {
        scopes: Scopes::of(&[Scope::Read]),
        filter: Filter::default(),
        asked: Filter::default(),
        mask: false,
        until: clock::now().plus(60 * 60 * 1_000),
    };
    for index in 0..case.connections {
        // As long as those of the gateway.
        let id = format!("{index:015}=");
        let filter = format!("-tag:none-{} -type:hard_bounce", index % case.filters);
        register
            .register(&id, &rights, filter, clock::now())
            .await?;
    }
    Ok(())
}

/// What the stream says of events that were stored just now.
async fn records(
    aws: &Aws,
    server: &Server,
    kinds: &[Kind],
    seed: u64,
    count: usize,
) -> Result<dynamodb::Event> {
    let objects = OversizedWriter::new(aws.s3(), "oversized".to_owned());
    let writer = EventWriter::new(aws.dynamodb(), "events".to_owned(), 8, 30, objects);
    let batch = batches::of_kinds(kinds, seed, 1, count)?.remove(0);
    let raw = mandrill::split(batch.json.as_bytes());
    let events = webhook::intake::events(&raw, Some("main"));
    writer.append(&events, clock::now).await?;
    let images = ask(server, gateway::WRITTEN).await?;
    let images = images.as_array().ok_or("no items were written")?;
    let records: Vec<_> = images.iter().map(record).collect();
    Ok(serde_json::from_value(json!({ "Records": records }))?)
}

fn record(image: &Value) -> Value {
    json!({
        "awsRegion": "us-east-1",
        "eventID": "00000000000000000000000000c0ffee",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/events/stream/s",
        "eventVersion": "1.1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_300_000.0,
            "Keys": { "pk": image["pk"], "sk": image["sk"] },
            "NewImage": image,
            "SequenceNumber": "000000000000000100000",
            "SizeBytes": 600,
            "StreamViewType": "NEW_IMAGE",
        },
    })
}

async fn ask(server: &Server, path: &str) -> Result<Value> {
    let url = format!("http://{}{path}", server.address());
    let answer = reqwest::get(url).await?.bytes().await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// How many messages the gateway took since the last time.
async fn taken(server: &Server) -> Result<usize> {
    let taken = ask(server, gateway::TAKEN).await?;
    let taken = taken.as_u64().and_then(|taken| usize::try_from(taken).ok());
    Ok(taken.ok_or("the gateway does not count")?)
}

/// The CPU of one invocation.
async fn pushed(deps: &Deps, event: dynamodb::Event) -> Result<Duration> {
    let event = LambdaEvent::new(event, Context::default());
    let before = cpu::of_thread();
    let answer = push::handle(deps, event).await?;
    let time = cpu::of_thread().saturating_sub(before);
    if !answer.batch_item_failures.is_empty() {
        return Err("a batch was not pushed".into());
    }
    Ok(time)
}

/// How large the messages are on average, with so many for each connection.
fn message_bytes(events: usize, messages: usize) -> usize {
    /// A click without its `data`, as the generator makes them.
    const EVENT_BYTES: usize = 800;
    let all = events * EVENT_BYTES + messages * frame::ENVELOPE_BYTES;
    all / messages.max(1)
}

/// The CPU of so many messages through the bare SDK.
async fn posted(aws: &Aws, messages: usize, bytes: usize) -> Duration {
    let client = aws.connections("api", "live");
    let message = vec![b'x'; bytes];
    let before = cpu::of_thread();
    let mut sending = FuturesUnordered::new();
    for index in 0..messages {
        if sending.len() == CALLS_AT_ONCE {
            sending.next().await;
        }
        let call = client
            .post_to_connection()
            .connection_id(format!("{index:015}="));
        sending.push(call.data(Blob::new(message.as_slice())).send());
    }
    while sending.next().await.is_some() {}
    cpu::of_thread().saturating_sub(before)
}
