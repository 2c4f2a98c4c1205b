//! The command line of Posthorn: the whole program, for the binary and for whoever runs it as a
//! part of something else.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::tools::Tool;
use crate::up::{self, UpArgs};

/// Receives Mandrill's webhooks, keeps every event, and tells browsers and other systems at once.
#[derive(Debug, Parser)]
#[command(name = "posthorn", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: UpArgs,
    /// Log more: the functions' own lines at this level.
    #[arg(long, global = true, default_value = "warn", value_name = "LEVEL")]
    log: LevelFilter,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine (the default)
    Up(UpArgs),
    #[command(flatten)]
    Tool(Tool),
}

/// Does what the arguments say, the first of which is the program's name.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    log_to_stderr(cli.log);
    match cli.command {
        None => up::run(cli.up).await,
        Some(Command::Up(args)) => up::run(args).await,
        Some(Command::Tool(tool)) => tool.run().await,
    }
}

/// One line for each webhook request, and whatever needs attention.
fn log_to_stderr(level: LevelFilter) {
    let levels: Targets = platform::telemetry::levels(level)
        .with_target("webhook", level.max(LevelFilter::INFO))
        .with_target("posthorn", level)
        .with_target("local_aws", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .compact();
    tracing_subscriber::registry()
        .with(lines)
        .with(levels)
        .init();
}
