//! Flows in which minutes pass, and which move the clock for that: a process of their own, in which
//! one test runs at a time.

#![cfg(test)]
// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

mod clients;
mod clocks;
mod delivering;
mod oracle;
mod random;
mod stuck;
mod world;

use flows::TestStack;
use tokio::sync::{Mutex, MutexGuard};

static CLOCK: Mutex<()> = Mutex::const_new(());

/// A stack whose functions go by the clock of this process, and the clock.
async fn start() -> (TestStack, MutexGuard<'static, ()>) {
    let clock = CLOCK.lock().await;
    let stack = TestStack::start_with(|options| options.local.functions = None).await;
    (stack, clock)
}
