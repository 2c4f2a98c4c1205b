//! The binary of Posthorn.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    posthorn::cli::run(std::env::args_os()).await
}
