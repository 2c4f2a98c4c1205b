#![doc = include_str!("../README.md")]
// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

pub mod account;
pub mod answer;
pub mod aws;
pub mod bill;
mod chain;
pub mod clock;
pub mod dynamodb;
mod events;
pub mod faults;
pub mod files;
pub mod functions;
pub mod gateway;
mod ids;
pub mod policies;
pub mod s3;
mod server;
pub mod sqs;
mod stack;
pub mod template;
pub mod worker;

pub use faults::Faults;
pub use functions::{Handler, Handlers};
pub use server::hosts::name as host_name;
pub use server::limits::of_process as connection_limit;
pub use stack::error::StartError;
pub use stack::options::{Options, Page};
pub use stack::urls::Urls;
pub use stack::{Prepared, Stack};
