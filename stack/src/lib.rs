//! The local stack: AWS on a desk, from the same template that is deployed, and the tools around it.
//!
//! `infra/template.yaml` says what there is. Every event reaches its function as the JSON text that
//! AWS sends, and every call of a function goes through the real AWS SDK to [`aws`]. Where AWS has a
//! limit, so has the local stack: it is never kinder.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

pub mod aws;
pub mod bill;
pub mod cli;
mod deployment;
pub mod dynamodb;
pub mod faults;
mod files;
pub mod function_url;
pub mod functions;
mod handshake;
mod hosts;
pub mod http_api;
pub mod identity;
mod limits;
mod mapping;
pub mod page;
pub mod policies;
mod recursion;
pub mod s3;
mod schedule;
pub mod server;
pub mod sockets;
pub mod sqs;
pub mod stack;
mod tasks;
pub mod template;
pub mod tools;
pub mod up;
mod webhook;
pub mod websocket_api;
pub mod worker;

pub use faults::Faults;
pub use stack::{Options, Stack, StartError};
