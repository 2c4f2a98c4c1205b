//! The command line tools of the `posthorn` binary: a Mandrill on a desk (`simulate`, `send`, `sign`, `verify`),
//! endpoints and events to play with (`seed`), an endpoint (`receive`), the feed in a terminal (`listen`), tokens
//! (`token`), and the bill foreseen (`cost`).
//!
//! Those that talk to a server do so over its public interfaces only, so they serve a deployed stack as well as the local one.
//! Secrets never appear in what they print, but for those that `seed` makes and a server shows once.

mod api;
mod client;
pub mod cost;
mod duration;
mod error;
pub mod feed;
pub mod generator;
pub mod listen;
pub(crate) mod out;
pub mod post;
mod random;
pub mod receive;
pub mod seed;
pub mod send;
pub mod sign;
pub mod simulate;
pub mod target;
pub mod tickets;
pub mod token;

use std::process::ExitCode;

pub use error::ToolError;

/// The subcommands of this module, to be flattened into those of the binary.
#[derive(Debug, clap::Subcommand)]
pub enum Tool {
    /// A Mandrill: posts signed batches of invented events
    Simulate(simulate::Args),
    /// Post a file of events as one signed batch
    Send(send::Args),
    /// Print the signature Mandrill would send with a body
    Sign(sign::SignArgs),
    /// Check the signature of a body
    Verify(sign::VerifyArgs),
    /// Load endpoints and events to play with
    Seed(seed::Args),
    /// Follow the feed in the terminal
    Listen(listen::Args),
    /// Be an endpoint: take webhooks, verify them, and fail on demand
    Receive(receive::Args),
    /// Mint a token for the HTTP API
    Token(token::Args),
    /// Foresee what a workload costs on AWS in a month
    Cost(cost::Args),
}

impl Tool {
    /// Runs the tool to its end; a failure is printed as one line on stderr.
    pub async fn run(self) -> ExitCode {
        let ended = match self {
            Self::Simulate(args) => simulate::run(args).await,
            Self::Send(args) => send::run(args).await,
            Self::Sign(args) => sign::sign(args),
            Self::Verify(args) => sign::verify(args),
            Self::Seed(args) => seed::run(args).await,
            Self::Listen(args) => listen::run(args).await,
            Self::Receive(args) => receive::run(args).await,
            Self::Token(args) => token::run(&args),
            Self::Cost(args) => cost::run(&args),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            // `posthorn listen | head` is a normal way to end.
            Err(ToolError::OutputClosed) => ExitCode::SUCCESS,
            Err(error) => {
                out::note(&format!("posthorn: {error}"));
                ExitCode::from(error.exit_code())
            }
        }
    }
}
