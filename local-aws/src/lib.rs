#![doc = include_str!("../README.md")]
// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

pub mod account;
pub mod answer;
pub mod aws;
pub mod bill;
mod chain;
pub mod clock;
mod deployment;
pub mod dynamodb;
mod error;
mod events;
pub mod faults;
pub mod files;
pub mod functions;
pub mod gateway;
pub mod identity;
mod ids;
mod options;
pub mod policies;
pub mod s3;
mod server;
mod services;
pub mod sqs;
mod stack;
mod tasks;
pub mod template;
mod urls;
pub mod worker;

pub use error::StartError;
pub use faults::Faults;
pub use functions::{Handler, Handlers};
pub use options::{Options, Page};
pub use server::hosts::name as host_name;
pub use server::limits::of_process as connection_limit;
pub use stack::{Prepared, Stack};
pub use urls::Urls;
