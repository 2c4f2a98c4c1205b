//! What the benchmarks share: invented batches, the stack in a process of its own, clients that
//! cost little, a server to compare with, and the CPU time of it all.
//!
//! Nothing here judges a figure: a benchmark prints, and its reader decides.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

pub mod batches;
pub mod clients;
pub mod cpu;
pub mod delay;
pub mod deliveries;
pub mod endpoints;
pub mod fan_out;
pub mod filters;
pub mod gateway;
pub mod growth;
pub mod handler;
pub mod live;
pub mod out;
pub mod pages;
pub mod resume;
pub mod server;
pub mod sockets;
pub mod start;

/// A benchmark that cannot go on says why and ends.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
