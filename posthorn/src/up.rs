//! `posthorn up`: runs the local stack until it is told to stop.

mod announcement;
mod values;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use local_aws::files;
use platform::telemetry::Chain;

use crate::stack::{Options, Stack, StartError};
use crate::template::TEMPLATE;
use crate::tools::out;

/// Runs everything in one process.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 8080, allow_negative_numbers = true)]
    port: u16,
    /// Address to listen on; 0.0.0.0 is every one.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS", value_parser = values::host)]
    host: IpAddr,
    /// A name by which the stack may be asked (`Host`), beside `localhost`, --host and the hosts of
    /// --webhook-url. Can be repeated.
    #[arg(long, value_name = "NAME", value_parser = values::allowed_host)]
    allow_host: Vec<String>,
    /// Where events, keys and everything else are kept.
    #[arg(long, default_value = ".posthorn", value_name = "DIR")]
    data_dir: PathBuf,
    /// Keep nothing: the data goes into a temporary directory. `stack.json` is still written to --data-dir.
    #[arg(long)]
    memory: bool,
    /// The webhook's URL as it stands in Mandrill, for a tunnel. Can be repeated.
    #[arg(long, value_name = "URL", value_parser = values::webhook_url)]
    webhook_url: Vec<String>,
    /// A key that Mandrill signs with, in place of the generated one. Can be repeated.
    #[arg(long, value_name = "[NAME=]KEY", allow_hyphen_values = true)]
    webhook_key: Vec<String>,
    /// A parameter that the webhook's URL has to have.
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::url_secret)]
    url_secret: Option<(String, String)>,
    /// Have no webhook key: whoever knows the --url-secret may post.
    #[arg(long, requires = "url_secret", conflicts_with = "webhook_key")]
    no_webhook_key: bool,
    /// A value for a parameter of the template. Can be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::pair)]
    parameter: Vec<(String, String)>,
    /// Another template than the one in this binary.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Poll the stream four times a second, as Lambda does, instead of at once.
    #[arg(long)]
    aws_pace: bool,
    /// Run the built functions in this directory, under the Lambda Runtime API, instead of those in
    /// this program. `make build` leaves them in target/lambda.
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// Close every WebSocket after so many seconds, to see what a client does at the two hours of AWS.
    #[arg(long, value_name = "SECONDS", hide_short_help = true, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..))]
    socket_limit: Option<u64>,
    /// Let retries, breaks and schedules come so many times as soon (1 to 3600).
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    time_scale: u32,
}

/// Why it ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum UpError {
    #[error("--webhook-key: {0}")]
    Key(&'static str),
    #[error("cannot read {0}")]
    Template(PathBuf, #[source] io::Error),
    #[error("cannot make a temporary directory")]
    Temporary(#[source] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot write stack.json into {0}")]
    StackFile(PathBuf, #[source] io::Error),
}

impl UpError {
    /// 2 for what was asked wrongly, 1 for what is wrong with the machine.
    fn exit_code(&self) -> u8 {
        match self {
            UpError::Key(_)
            | UpError::Template(..)
            | UpError::Start(
                StartError::Local(local_aws::StartError::Template(_)) | StartError::WebhookPath(_),
            ) => 2,
            UpError::Temporary(_) | UpError::Start(_) | UpError::StackFile(..) => 1,
        }
    }
}

/// Runs until Ctrl-C or SIGTERM.
pub async fn run(args: UpArgs) -> ExitCode {
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::note(&format!("posthorn: {}", Chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn serve(args: UpArgs) -> Result<(), UpError> {
    let keys = args.webhook_key.iter();
    let keys = keys.map(|text| values::webhook_key(text));
    let webhook_keys = keys.collect::<Result<_, _>>().map_err(UpError::Key)?;
    let template = match &args.template {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| UpError::Template(path.clone(), error))?
        }
        None => TEMPLATE.to_owned(),
    };
    let temporary = if args.memory {
        Some(tempfile::tempdir().map_err(UpError::Temporary)?)
    } else {
        None
    };
    let data_dir = temporary
        .as_ref()
        .map_or(args.data_dir.clone(), |directory| {
            directory.path().to_owned()
        });
    let mut options = Options::new(data_dir);
    options.webhook_urls.clone_from(&args.webhook_url);
    options.webhook_keys = webhook_keys;
    options.without_webhook_key = args.no_webhook_key;
    options.url_secret.clone_from(&args.url_secret);
    let local = &mut options.local;
    local.host = args.host;
    local.port = args.port;
    local.template = template;
    local.parameters = args.parameter.iter().cloned().collect();
    local.allow_hosts.clone_from(&args.allow_host);
    local.at_aws_pace = args.aws_pace;
    local.functions.clone_from(&args.functions);
    local.socket_limit = args.socket_limit.map(Duration::from_secs);
    local.connections = local_aws::connection_limit();
    local.time_scale = args.time_scale;
    let stack = Stack::start(options).await?;
    if args.memory {
        share_files(&stack, &args.data_dir)
            .map_err(|error| UpError::StackFile(args.data_dir.clone(), error))?;
    }
    // Who closed our output still wants the stack.
    let _ = out::line(&announcement::text(&stack, &args.data_dir, !args.memory));
    stopped().await;
    out::note("Stopping.");
    if args.memory {
        take_back(&stack, &args.data_dir);
    }
    stack.stop().await;
    Ok(())
}

/// The tools look for these files in the data directory, also when nothing else is there.
fn share_files(stack: &Stack, directory: &Path) -> io::Result<()> {
    files::create(directory)?;
    for name in [files::FUNCTIONS_ENV, files::STACK] {
        let text = std::fs::read_to_string(stack.data_dir().join(name))?;
        files::write(directory, name, &text)?;
    }
    Ok(())
}

/// Removes what was shared, unless another stack has shared its own there since.
fn take_back(stack: &Stack, directory: &Path) {
    let read = |directory: &Path| std::fs::read(directory.join(files::STACK)).ok();
    if read(directory) == read(stack.data_dir()) {
        // The tools see by the lock that it has stopped.
        let _ = files::remove(directory, files::STACK);
    }
}

async fn stopped() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
