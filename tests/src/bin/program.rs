//! The program, for the tests: cargo tells nobody where the binary of another package is.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    posthorn::cli::run(std::env::args_os()).await
}
