//! `posthorn up`: runs the local stack until it is told to stop.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use platform::telemetry::Chain;

use crate::stack::{Options, Stack, StartError, TEMPLATE};
use crate::tools::out;

/// Runs everything in one process.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Where events, keys and everything else are kept.
    #[arg(long, default_value = ".posthorn", value_name = "DIR")]
    data_dir: PathBuf,
    /// Keep nothing: the data goes into a temporary directory. `stack.json` is still written to --data-dir.
    #[arg(long)]
    memory: bool,
    /// The webhook's URL as it stands in Mandrill, for a tunnel. Can be repeated.
    #[arg(long, value_name = "URL")]
    webhook_url: Vec<String>,
    /// A key that Mandrill signs with, in place of the generated one. Can be repeated.
    #[arg(long, value_name = "[NAME=]KEY")]
    webhook_key: Vec<String>,
    /// A parameter that the webhook's URL has to have.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    url_secret: Option<(String, String)>,
    /// A value for a parameter of the template. Can be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
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
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    socket_limit: Option<u64>,
    /// Let retries, breaks and schedules come so many times as soon (1 to 3600).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    time_scale: u32,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() || value.is_empty() {
        return Err("write NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// `KEY`, or `NAME=KEY`; a key may end with `=`.
fn key(text: &str) -> (String, String) {
    match text.split_once('=') {
        Some((name, key)) if !key.trim_matches('=').is_empty() => (name.to_owned(), key.to_owned()),
        _ => ("main".to_owned(), text.to_owned()),
    }
}

/// Why it ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum UpError {
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
            UpError::Template(..) | UpError::Start(StartError::Template(_)) => 2,
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
    let options = Options {
        host: args.host,
        port: args.port,
        template,
        parameters: args.parameter.iter().cloned().collect(),
        webhook_urls: args.webhook_url.clone(),
        webhook_keys: args.webhook_key.iter().map(|text| key(text)).collect(),
        url_secret: args.url_secret.clone(),
        at_aws_pace: args.aws_pace,
        functions: args.functions.clone(),
        socket_limit: args.socket_limit.map(Duration::from_secs),
        time_scale: args.time_scale,
        ..Options::new(data_dir)
    };
    let stack = Stack::start(options).await?;
    if args.memory {
        share_files(&stack, &args.data_dir)
            .map_err(|error| UpError::StackFile(args.data_dir.clone(), error))?;
    }
    // Who closed our output still wants the stack.
    let _ = out::line(&announcement(&stack, &args));
    stopped().await;
    out::note("Stopping.");
    stack.stop().await;
    Ok(())
}

/// The tools look for these files in the data directory, also when nothing else is there.
fn share_files(stack: &Stack, directory: &std::path::Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for name in ["stack.json", "functions.env"] {
        let text = std::fs::read_to_string(stack.data_dir().join(name))?;
        crate::identity::write_private_text(&directory.join(name), &text)?;
    }
    Ok(())
}

fn announcement(stack: &Stack, args: &UpArgs) -> String {
    let urls = stack.urls();
    let default = PathBuf::from(".posthorn");
    let data_dir = if args.data_dir == default {
        String::new()
    } else {
        format!(" --data-dir {}", args.data_dir.display())
    };
    format!(
        "Posthorn is running.\n\n  \
         Page      {http}/#token={token}\n  \
         Webhook   {webhook}\n  \
         Key       {key}\n  \
         Data      {data}\n\n\
         Try, in another terminal:\n\n  \
         cargo run -- simulate{data_dir}          # a Mandrill that sends five events a second\n  \
         cargo run -- listen{data_dir}            # the feed in a terminal\n  \
         cargo run -- receive                     # an endpoint on port 8888 for outbound webhooks\n  \
         cargo run -- seed events/seed.json{data_dir}  # endpoints at that port, and events\n  \
         curl -s -H 'Authorization: Bearer {token}' '{http}/v1/events?limit=3'\n  \
         curl -s {http}/_stack/bill   # what it would have cost on AWS\n\n\
         Ctrl-C stops it; {kept}.\n",
        http = urls.http,
        token = urls.token,
        webhook = urls.webhook_url,
        key = urls.webhook_keys.join(", "),
        kept = if args.memory {
            "nothing stays"
        } else {
            "everything stored stays"
        },
        data = if args.memory {
            "in memory, gone when it stops".to_owned()
        } else {
            args.data_dir.display().to_string()
        },
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_a_name_and_may_end_with_an_equals_sign() {
        let key = |text| key(text);
        assert_eq!(key("abc"), ("main".into(), "abc".into()));
        assert_eq!(key("eu=abc"), ("eu".into(), "abc".into()));
        assert_eq!(key("abc=="), ("main".into(), "abc==".into()));
        assert_eq!(key("eu=abc=="), ("eu".into(), "abc==".into()));
    }
}
