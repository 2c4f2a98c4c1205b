//! Somebody else's SAM template, with one function, on this machine: `cargo run -p local-aws --example
//! guestbook`.

mod greeter;

use std::error::Error;

use local_aws::{Options, Stack};

const TEMPLATE: &str = include_str!("template.yaml");

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program for people")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let stack = Stack::start(Options {
        handlers: greeter::handlers(),
        ..Options::new(TEMPLATE, directory.path())
    })
    .await?;
    let guest = format!("{}/guests/ann", stack.urls().http);
    println!("curl -X POST {guest}   # writes");
    println!("curl {guest}           # is not allowed to read");
    tokio::signal::ctrl_c().await?;
    stack.stop().await;
    Ok(())
}
