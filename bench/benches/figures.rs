//! All figures, or those that the arguments name: `handler`, `pages`, `filter`, `growth`, `sockets`,
//! `resume`, `deliveries`, `start`, `deliveries-built`, `call`, `memory`, `pace`, and cells such as `100x1000`, which is 100 clients and batches
//! of 1,000 events.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

use std::process::ExitCode;

use bench::{
    Result, deliveries, filters, growth, handler, live, out, pages, resume, server, sockets, start,
};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    // `reqwest` has no TLS of its own and wants one even for plain HTTP.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    if let Some(ended) = server::serve().await? {
        return Ok(ended);
    }
    // What cargo says to every benchmark.
    let named: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let wants = |word: &str| named.is_empty() || named.iter().any(|given| given == word);
    out::line(format!("load averages at the start: {}", out::load()));
    if wants("handler") {
        handler::run().await?;
    }
    if wants("resume") {
        resume::run().await?;
    }
    if wants("filter") {
        filters::run()?;
    }
    if wants("growth") {
        growth::run()?;
    }
    if wants("sockets") {
        sockets::run().await?;
    }
    if wants("pages") {
        pages::run().await?;
    }
    if wants("deliveries") {
        deliveries::run().await?;
    }
    // Only when it is asked for: it needs the functions to be built.
    if named.iter().any(|given| given == "start") {
        start::run().await?;
    }
    if named.iter().any(|given| given == "deliveries-built") {
        deliveries::run_built().await?;
    }
    if wants("call") {
        live::call().await?;
    }
    if wants("memory") {
        live::memory().await?;
    }
    live::run(wants).await?;
    out::line(format!("load averages at the end: {}", out::load()));
    Ok(ExitCode::SUCCESS)
}
