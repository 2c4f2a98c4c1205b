//! `posthorn simulate`: a Mandrill that signs, batches, sends again what was refused, and now and then posts twice;
//! or with `--custom`, another system that publishes events.

mod custom;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::Api;
use super::duration::duration;
use super::generator::{Batch, Batches, Kind, Settings};
use super::post::{Poster, SignedBatch};
use super::random::Random;
use super::target::{ApiArgs, Secret, WebhookArgs};
use super::{ToolError, out};

use custom::Custom;
use stats::Stats;

/// How many events Mandrill puts into one POST at most.
const MAX_BATCH: u64 = 1_000;

/// With --bursts: this many batches at once, then silence until the rate is right again.
const BURST_BATCHES: u64 = 10;

/// Mandrill waits 15 to 25 minutes between retries; nobody at a desk does.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// How often a batch is posted that gets no answer at all.
const UNANSWERED: u32 = 5;

/// Years that a date may have.
const FIRST_SECONDS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799;

/// How long POSTs on their way may still take after Ctrl-C.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: WebhookArgs,
    /// Events per second; 0 posts as fast as the answers come
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = rate, allow_hyphen_values = true)]
    rate: f64,
    /// Events per POST
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=MAX_BATCH))]
    batch: u64,
    /// Stop after so many events [default: when interrupted]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The same seed and start make the same events [default: another one each time]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Time of the first event in Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(FIRST_SECONDS))]
    start: Option<i64>,
    /// Fraction of the batches that are posted twice, as after a lost answer
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = fraction, allow_negative_numbers = true)]
    duplicates: f64,
    /// Post in bursts with silence between them, at the same rate on average
    #[arg(long)]
    bursts: bool,
    /// POSTs on their way at the same time; Mandrill has one
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// Retries of a batch before giving up, as Mandrill disables a webhook then. A 4xx is not retried
    /// until a first batch was accepted
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        allow_negative_numbers = true
    )]
    retries: u32,
    /// Only these kinds, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Publish events of these types, separated by commas, in place of being a Mandrill; --url is
    /// then the HTTP API's
    #[arg(
        long,
        value_name = "TYPES",
        value_delimiter = ',',
        conflicts_with_all = [
            "key", "sign_url", "rate", "batch", "start", "duplicates", "bursts", "concurrency",
            "retries", "kinds",
        ]
    )]
    custom: Vec<String>,
    /// With --custom, how often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, requires = "custom",
        allow_hyphen_values = true)]
    every: Duration,
    /// With --custom, a token with the scope `write` [default: the local stack's]
    #[arg(long, requires = "custom")]
    token: Option<Secret>,
    /// Write the batches to stdout, one JSON array a line, and post nothing
    #[arg(long)]
    print: bool,
}

/// Posts until the count is reached or Ctrl-C, then prints a summary. Fails if a batch was never accepted.
pub async fn run(args: Args) -> Result<(), ToolError> {
    if !args.custom.is_empty() {
        return publish(args).await;
    }
    let settings = args.settings(Timestamp::now().as_second());
    let seed = settings.seed;
    let batches = Batches::new(settings, args.batch as usize, args.count);
    if args.print {
        return batches
            .map(|batch| batch.json)
            .try_for_each(|json| out::line(&json));
    }
    let poster = Poster::new(args.target.resolve()?)?;
    let stats = Arc::new(Stats::new());
    let progress = tokio::spawn(show_progress(Arc::clone(&stats)));
    post_all(
        &args,
        batches,
        poster,
        Random::seeded(!seed),
        Arc::clone(&stats),
    )
    .await;
    progress.abort();
    out::note(&format!("seed {seed}"));
    out::line(&stats.summary())?;
    match stats.never_accepted() {
        0 => Ok(()),
        lost => Err(ToolError::Failed(format!(
            "{lost} batch(es) were never accepted"
        ))),
    }
}

async fn publish(args: Args) -> Result<(), ToolError> {
    let seed = args.seed.unwrap_or_else(Random::fresh_seed);
    let custom = Custom {
        types: args.custom,
        every: args.every,
        count: args.count,
        random: Random::seeded(seed),
    };
    if args.print {
        return custom.print();
    }
    let target = ApiArgs {
        data_dir: args.target.data_dir,
        url: args.target.url,
        token: args.token,
    };
    let api = Api::new(target.resolve()?)?;
    let ended = custom.publish(&api).await;
    out::note(&format!("seed {seed}"));
    ended
}

impl Args {
    fn settings(&self, now: i64) -> Settings {
        // The first batches are posted at once, so their events happened while they filled.
        let filled = if self.rate > 0.0 {
            (self.at_once() as f64 / self.rate) as i64
        } else {
            0
        };
        Settings {
            seed: self.seed.unwrap_or_else(Random::fresh_seed),
            start: self.start.unwrap_or(now - filled),
            rate: self.rate,
            kinds: self.kinds.clone(),
        }
    }

    /// Events that are posted without a pause between them.
    fn at_once(&self) -> u64 {
        if self.bursts {
            self.batch * BURST_BATCHES
        } else {
            self.batch
        }
    }

    /// When a batch is posted, given the number of events before it: the first at once, the others at the rate.
    fn release(&self, before: u64) -> Duration {
        if self.rate <= 0.0 {
            return Duration::ZERO;
        }
        let step = if self.bursts { self.at_once() } else { 1 };
        Duration::from_secs_f64((before / step * step) as f64 / self.rate)
    }
}

async fn post_all(
    args: &Args,
    batches: Batches,
    poster: Poster,
    mut random: Random,
    stats: Arc<Stats>,
) {
    let (interrupt, interrupted) = watch::channel(false);
    let watcher = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = interrupt.send(true);
        }
        // Kept until the end, as the receivers would take its loss for an interrupt.
        std::future::pending::<()>().await;
    });
    let slots = Arc::new(Semaphore::new(usize::from(args.concurrency)));
    let mut posts = JoinSet::new();
    let (began, mut before) = (Instant::now(), 0);
    for batch in batches {
        let mut stop = interrupted.clone();
        let ready = async {
            sleep_until(began + args.release(before)).await;
            Arc::clone(&slots).acquire_owned().await
        };
        let slot = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            slot = ready => slot,
        };
        if stats.has_given_up() {
            // Mandrill would have disabled the webhook.
            watcher.abort();
            finish(posts).await;
            return;
        }
        before += batch.kinds.len() as u64;
        stats.batch_begun();
        let courier = Courier {
            poster: poster.clone(),
            stats: Arc::clone(&stats),
            interrupted: stop,
            retries: args.retries,
        };
        let is_doubled = random.chance(args.duplicates);
        posts.spawn(async move {
            let _slot = slot;
            courier.deliver(&batch, is_doubled).await;
        });
        // What has ended is not kept.
        while posts.try_join_next().is_some() {}
    }
    tokio::select! {
        () = async { while posts.join_next().await.is_some() {} } => {}
        () = until_interrupted(interrupted) => {
            finish(posts).await;
        }
    }
    watcher.abort();
}

async fn until_interrupted(mut interrupted: watch::Receiver<bool>) {
    let _ = interrupted.wait_for(|stop| *stop).await;
}

async fn finish(mut posts: JoinSet<()>) {
    let _ = timeout(LAST_ANSWERS, async {
        while posts.join_next().await.is_some() {}
    })
    .await;
}

/// Takes one batch to the server.
struct Courier {
    poster: Poster,
    stats: Arc<Stats>,
    interrupted: watch::Receiver<bool>,
    retries: u32,
}

impl Courier {
    async fn deliver(mut self, batch: &Batch, is_doubled: bool) {
        let signed = self.poster.sign(&batch.json);
        if !self.insist(&signed).await {
            self.stats.give_up();
            return;
        }
        self.stats.accepted(&batch.kinds);
        if is_doubled {
            self.stats.doubled();
            // The batch is stored already, whatever becomes of its repetition.
            self.insist(&signed).await;
        }
    }

    /// Whether the batch was accepted in the end.
    async fn insist(&mut self, signed: &SignedBatch) -> bool {
        let (mut wait, mut unanswered) = (FIRST_RETRY, 0);
        for attempt in 0..=self.retries {
            let began = Instant::now();
            let (reason, is_final) = match self.poster.post(signed).await {
                Ok(answer) => {
                    self.stats.answered(began.elapsed());
                    if answer.status == 200 {
                        return true;
                    }
                    (self.poster.refusal(&answer), answer.is_final())
                }
                Err(error) => {
                    unanswered += 1;
                    (error.to_string(), error.is_unreachable)
                }
            };
            // What never worked is a mistake in what was asked, and what did may work again.
            let is_hopeless = is_final && !self.stats.has_accepted();
            if is_hopeless || attempt == self.retries || unanswered == UNANSWERED {
                let attempts = attempt + 1;
                out::note(&format!(
                    "batch given up after {attempts} attempt(s): {reason}"
                ));
                break;
            }
            if self.stats.may_complain() {
                let seconds = wait.as_secs();
                out::note(&format!("batch refused ({reason}); again in {seconds} s"));
            }
            tokio::select! {
                _ = self.interrupted.wait_for(|stop| *stop) => break,
                () = sleep(wait) => self.stats.retried(),
            }
            wait = (wait * 2).min(LONGEST_RETRY);
        }
        false
    }
}

async fn show_progress(stats: Arc<Stats>) {
    let is_live = out::has_progress();
    let pause = Duration::from_millis(if is_live { 200 } else { 5_000 });
    loop {
        sleep(pause).await;
        if is_live {
            out::progress(&stats.progress())
        } else {
            out::note(&stats.progress())
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // An event in three years at the slow end, so that every pause is a valid duration.
    if rate == 0.0 || (1e-8..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err("not between 0.00000001 and 1000000000, nor 0".to_owned())
    }
}

pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text
        .parse()
        .ok()
        .filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.ok_or_else(|| "not between 0 and 1".to_owned())
}

#[cfg(test)]
mod tests;
