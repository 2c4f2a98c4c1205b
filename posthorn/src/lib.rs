//! The program `posthorn`: Posthorn on this machine, in a local AWS (`local_aws`), and the tools
//! around it.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

pub mod bill;
pub mod cli;
pub mod functions;
mod page;
mod random;
mod stack;
mod template;
pub mod tools;
pub mod up;
mod webhook;

pub use stack::{Options, Stack, StartError, Urls};
pub use template::TEMPLATE;
