//! Flows through the whole of the local stack.

#![cfg(test)]
// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

mod admission;
mod bill;
mod fixtures;
mod gaps;
mod history;
mod lambda;
mod logs;
mod oddities;
mod policies;
mod process;
mod push;
mod resume;
mod sockets;
mod storing;
mod stream;
mod template;
mod volume;
