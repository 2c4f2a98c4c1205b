//! How the built functions start: each one runs several times under the Lambda Runtime API, against
//! the local stack in another process; plain, and through TLS with a delay, so that every round trip
//! and every handshake counts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_runtime::Context;
use local_aws::functions::{Environment, FunctionLog, Recipe, show};
use posthorn::tools::post::Poster;
use serde_json::Value;

use crate::batches::batches;
use crate::server::Server;
use crate::{Result, cpu, delay, out};

/// Starts of each function; the figures are medians.
const STARTS: usize = 15;
/// Invocations of each process, the first one not counted.
const INVOCATIONS: usize = 100;
const LIMIT: Duration = Duration::from_secs(30);
/// In the order in which a connection lives, then those of outbound webhooks. All but `tail`, whose
/// answers are streams.
const FUNCTIONS: [&str; 9] = [
    "webhook",
    "connect",
    "message",
    "push",
    "api",
    "disconnect",
    "dispatch",
    "deliver",
    "requeue",
];

/// One process's figures.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// From the start of the process until it asks for its first invocation, and its CPU.
    start: Duration,
    start_cpu: Duration,
    first: Duration,
    /// The median of the others, and their mean CPU.
    warm: Duration,
    warm_cpu: Duration,
    memory_mb: f64,
}

/// Measures what `make build` has built.
///
/// # Errors
/// When a function is not built, or does not work.
pub async fn run() -> Result<()> {
    let server = Server::posthorn(&[]).await?;
    out::line("\nstart: the built functions under the Lambda Runtime API, medians of 15 starts");
    out::line(
        "function     | start ms (CPU) | first ms | warm ms (CPU us) | MB   | with TLS and 2 ms: start, first, warm ms",
    );
    let tls = delay::Endpoint::start(server.address()).await?;
    for function in FUNCTIONS {
        let plain = measure(&server, function, |_| {}).await?;
        let delayed = measure(&server, function, |variables| {
            variables.insert("AWS_ENDPOINT_URL".to_owned(), tls.url());
            variables.insert("SSL_CERT_FILE".to_owned(), tls.roots());
        });
        let delayed = delayed.await?;
        out::line(format!(
            "{function:12} | {:>5} ({:>5}) | {:>8} | {:>5} ({:>4.0})     | {:>4.1} | {:>6} {:>6} {:>6}",
            out::ms(plain.start),
            out::ms(plain.start_cpu),
            out::ms(plain.first),
            out::ms(plain.warm),
            out::us(plain.warm_cpu),
            plain.memory_mb,
            out::ms(delayed.start),
            out::ms(delayed.first),
            out::ms(delayed.warm),
        ));
    }
    Ok(())
}

async fn measure(
    server: &Server,
    function: &str,
    change: impl Fn(&mut BTreeMap<String, String>),
) -> Result<Figures> {
    let mut recipe = recipe(server, function)?;
    change(&mut recipe.variables);
    let mut all = Vec::with_capacity(STARTS);
    for seed in 0..STARTS {
        let payloads = payloads(server, function, seed as u64).await?;
        all.push(figures(&recipe, payloads).await?);
    }
    let median = |of: fn(&Figures) -> Duration| median(all.iter().map(of).collect());
    Ok(Figures {
        start: median(|it| it.start),
        start_cpu: median(|it| it.start_cpu),
        first: median(|it| it.first),
        warm: median(|it| it.warm),
        warm_cpu: median(|it| it.warm_cpu),
        memory_mb: all.iter().map(|it| it.memory_mb).fold(0.0, f64::max),
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn figures(recipe: &Recipe, payloads: Vec<String>) -> Result<Figures> {
    let begun = Instant::now();
    let mut environment = Environment::start(recipe, "start", LIMIT).await?;
    let start = begun.elapsed();
    let pid = environment.process_id().ok_or("the process has ended")?;
    let start_cpu = cpu::of_main_thread(pid)?;
    let mut times = Vec::with_capacity(payloads.len());
    let mut after_first = start_cpu;
    for (number, payload) in payloads.into_iter().enumerate() {
        let begun = Instant::now();
        let invoked = environment.invoke(payload, &context(number), LIMIT).await;
        times.push(begun.elapsed());
        let answer = invoked.map_err(|failure| format!("{}: {failure:?}", recipe.name))?;
        check(&recipe.name, &answer)?;
        if number == 0 {
            after_first = cpu::of_main_thread(pid)?;
        }
    }
    let first = times.remove(0);
    let warm_cpu = cpu::of_main_thread(pid)?.saturating_sub(after_first);
    Ok(Figures {
        start,
        start_cpu,
        first,
        warm_cpu: warm_cpu / u32::try_from(times.len())?,
        warm: median(times),
        memory_mb: cpu::memory_mb(pid, "VmHWM")?,
    })
}

fn context(number: usize) -> Context {
    let mut context = Context::default();
    context.request_id = format!("00000000-0000-4000-8000-{number:012}");
    context.deadline = platform::clock::now().plus(60_000).0;
    context.invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned();
    context
}

/// An answer that says that nothing was done is none to measure.
fn check(function: &str, answer: &str) -> Result<()> {
    let value: Value = serde_json::from_str(answer)?;
    let is_done = value["statusCode"] == 200
        || value["batchItemFailures"]
            .as_array()
            .is_some_and(Vec::is_empty)
        || value["requeued"].is_u64();
    is_done
        .then_some(())
        .ok_or_else(|| format!("{function} answered {answer}").into())
}

/// Where `make build` leaves the functions.
pub(crate) fn built() -> PathBuf {
    root().join("target/lambda")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn recipe(server: &Server, function: &str) -> Result<Recipe> {
    let bootstrap = built().join(function).join("bootstrap");
    if !bootstrap.is_file() {
        return Err(format!("{function} is not built: run `make build` first").into());
    }
    let mut variables: BTreeMap<String, String> = server.variables().clone().into_iter().collect();
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(Recipe {
        name: function.to_owned(),
        bootstrap,
        variables,
        log: Arc::new(FunctionLog::create(Path::new("/dev/null"), show)?),
    })
}

/// What the function is invoked with: the samples, and for `webhook` a new event each time.
async fn payloads(server: &Server, function: &str, seed: u64) -> Result<Vec<String>> {
    let sample = |path: &str| std::fs::read_to_string(root().join("events").join(path));
    let payload = match function {
        "webhook" => {
            return webhook_payloads(&server.poster()?, &sample("webhook/click.json")?, seed);
        }
        "connect" => {
            let url = server.socket_url().await?;
            let (_, ticket) = url.split_once("ticket=").ok_or("no ticket")?;
            sample("connect/ticket.json")?.replace("canary-token", ticket)
        }
        "message" => sample("message/ping.json")?,
        "push" | "dispatch" => {
            let now = platform::clock::now().0.to_string();
            sample(&format!("{function}/insert.json"))?.replace("1790812800123", &now)
        }
        "deliver" => sample("deliver/unknown-endpoint.json")?,
        "requeue" => sample("requeue/schedule.json")?,
        "api" => sample("api/list.json")?.replace("canary-token", server.token()),
        "disconnect" => sample("disconnect/1006-lost.json")?,
        unknown => return Err(format!("start: no sample for the function {unknown}").into()),
    };
    Ok(vec![payload; 1 + INVOCATIONS])
}

fn webhook_payloads(poster: &Poster, sample: &str, seed: u64) -> Result<Vec<String>> {
    let mut payload: HashMap<String, Value> = serde_json::from_str(sample)?;
    batches(1_000 + seed, 1 + INVOCATIONS, 1)?
        .into_iter()
        .map(|batch| {
            let signed = poster.sign(&batch.json);
            payload.insert("body".to_owned(), STANDARD.encode(signed.body).into());
            if let Some(headers) = payload.get_mut("headers") {
                headers["x-mandrill-signature"] = signed.signature.into();
            }
            Ok(serde_json::to_string(&payload)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_function_but_tail_is_measured() {
        let folders = root().join("functions").read_dir().unwrap();
        let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
        let mut functions: BTreeSet<_> = names.collect();
        functions.remove("tail");
        assert_eq!(functions, FUNCTIONS.map(str::to_owned).into());
    }
}
