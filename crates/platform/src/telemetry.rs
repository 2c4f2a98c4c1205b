//! Logs: one JSON object a line on standard output, as Lambda collects them.
//! `docs/LOGGING.md` says what may stand in them.

use std::error::Error;
use std::fmt;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config;

/// Our own crates, which know what must not be logged.
const OWN: [&str; 10] = [
    "api",
    "connect",
    "disconnect",
    "domain",
    "mandrill",
    "message",
    "platform",
    "push",
    "store",
    "webhook",
];

/// Starts logging at the level of `AWS_LAMBDA_LOG_LEVEL`, which the template sets; `info` without.
pub fn init() {
    let level = config::optional(&config::process, "AWS_LAMBDA_LOG_LEVEL")
        .and_then(|level| level.to_ascii_lowercase().parse().ok())
        .unwrap_or(LevelFilter::INFO);
    lines(level, std::io::stdout).init();
}

/// What [`init`] starts, writing to `writer`.
pub fn lines<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(json)
        .with(levels(level))
}

/// Lets our own crates log at `level` and everybody else at `warn` at most: the Lambda runtime
/// logs whole payloads at `trace`, the AWS SDK whole requests at `debug`.
#[must_use]
pub fn levels(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(OWN.map(|name| (name, level)))
}

/// Shows an error with everything behind it. The JSON formatter drops the sources of an error
/// that is logged as one: it shows "service error" and not which.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConfigError;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] ConfigError);

    #[test]
    fn a_chain_shows_what_is_behind_an_error() {
        let error = Outer(ConfigError::Missing("TABLE".into()));
        assert_eq!(
            Chain(&error).to_string(),
            "outer: the variable TABLE is not set"
        );
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
