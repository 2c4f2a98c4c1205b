//! What a Lambda function needs around its own work: configuration, AWS clients, the secret,
//! telemetry, metrics, HTTP requests and errors, tokens, and the connections of the WebSocket API.
//!
//! Nothing here knows what an event is.

pub mod clients;
pub mod clock;
pub mod config;
pub mod connections;
pub mod cors;
pub mod http;
pub mod init;
pub mod metrics;
pub mod parameters;
pub mod payload;
pub mod permissions;
pub mod queue;
pub mod rate;
pub mod secret;
pub mod sqs;
pub mod stream;
pub mod suggest;
pub mod telemetry;
pub mod tokens;
pub mod websocket;

pub use clients::Aws;
pub use config::{ConfigError, Lookup};
pub use metrics::Metrics;
pub use permissions::{Permission, Resource};
pub use tokens::Tokens;
