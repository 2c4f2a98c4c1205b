//! Flows through the whole of the local stack.

#![cfg(test)]
// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

mod admission;
mod attacks;
mod bill;
mod budget;
mod captured;
mod cuts;
mod damage;
mod deliver;
mod deliveries;
mod dispatch;
mod endpoints;
mod fixtures;
mod gaps;
mod history;
mod http;
mod identity;
mod ingest;
mod isolation;
mod lambda;
mod logs;
mod loops;
mod messages;
mod metrics;
mod mistakes;
mod neighbours;
mod odd_answers;
mod oddities;
mod openapi;
mod oversized;
mod policies;
mod process;
mod processes;
mod publish;
mod push;
mod rate;
mod receiver;
mod requests;
mod requeue;
mod resume;
mod rights;
mod scopes;
mod sockets;
mod ssrf;
mod stored_filters;
mod storing;
mod stream;
mod tail;
mod template;
mod tokens;
mod transient;
mod types;
mod volume;
