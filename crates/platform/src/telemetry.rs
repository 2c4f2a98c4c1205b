//! Logs: one JSON object a line on standard output, as Lambda collects them.
//! `docs/LOGGING.md` says what may stand in them.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{config, metrics};

pub use domain::Chain;

/// Our own crates, which know what must not be logged. A test compares them with the folders.
const OWN: [&str; 14] = [
    "api",
    "connect",
    "deliver",
    "disconnect",
    "dispatch",
    "domain",
    "mandrill",
    "message",
    "platform",
    "push",
    "requeue",
    "store",
    "tail",
    "webhook",
];

/// Starts logging at the level of `AWS_LAMBDA_LOG_LEVEL`, which the template sets; `info` without.
pub fn init() {
    let level = config::optional(&config::process, "AWS_LAMBDA_LOG_LEVEL")
        .and_then(|level| level.to_ascii_lowercase().parse().ok())
        .unwrap_or(LevelFilter::INFO);
    lines(level, std::io::stdout).init();
}

/// What [`init`] starts, writing to `writer`. Metrics are written whatever the level is.
pub fn lines<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .map_event_format(|json| Lines { json, level })
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(json)
        .with(levels(level).with_target(metrics::TARGET, LevelFilter::INFO))
}

/// Writes a line of metrics as it is, and everything else as JSON.
struct Lines<F> {
    json: F,
    level: LevelFilter,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != metrics::TARGET {
            return self.json.format_event(context, writer, event);
        }
        let mut line = MetricsLine::default();
        event.record(&mut line);
        let MetricsLine(line) = line;
        match line.strip_prefix('{') {
            Some(rest) if self.level < LevelFilter::INFO => {
                writer.write_str(r#"{"timestamp":""#)?;
                SystemTime.format_time(&mut writer)?;
                writeln!(writer, r#"","level":"{}",{rest}"#, name(self.level))
            }
            _ => writeln!(writer, "{line}"),
        }
    }
}

/// Lambda drops lines whose level is below the function's, and takes a line for `INFO` that lacks
/// a level or a timestamp ("Log-level filtering", AWS Lambda): under a higher one, a line of
/// metrics has to be of that.
fn name(level: LevelFilter) -> &'static str {
    if level < LevelFilter::WARN {
        "ERROR"
    } else {
        "WARN"
    }
}

/// Takes the one field of an event with metrics.
#[derive(Default)]
struct MetricsLine(String);

impl Visit for MetricsLine {
    fn record_str(&mut self, _field: &Field, value: &str) {
        value.clone_into(&mut self.0);
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// Lets our own crates log at `level` and everybody else at `warn` at most: the Lambda runtime
/// logs whole payloads at `trace`, the AWS SDK whole requests at `debug`.
#[must_use]
pub fn levels(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OWN.map(|name| (name, level)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Without this, what a new function or crate logs below `warn` would be lost.
    #[test]
    fn every_crate_and_function_is_one_of_ours() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let functions = crates.with_file_name("functions");
        let packages: BTreeSet<_> = [crates, &functions]
            .into_iter()
            .flat_map(|folder| folder.read_dir().unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|folder| folder.join("Cargo.toml").is_file())
            .map(|folder| {
                folder
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('-', "_")
            })
            .collect();
        assert_eq!(packages, OWN.map(str::to_owned).into());
    }

    #[test]
    fn foreign_crates_never_log_below_warn() {
        let levels = levels(LevelFilter::TRACE);
        assert!(levels.would_enable("webhook", &tracing::Level::TRACE));
        assert!(levels.would_enable("store::events", &tracing::Level::TRACE));
        assert!(!levels.would_enable("lambda_runtime", &tracing::Level::INFO));
        assert!(!levels.would_enable("aws_smithy_runtime", &tracing::Level::DEBUG));
        assert!(levels.would_enable("hyper", &tracing::Level::WARN));
    }
}
