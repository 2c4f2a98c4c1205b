//! API Gateway and function URLs: requests and messages become payloads, answers become responses.

pub mod function_url;
mod handshake;
pub mod http_api;
pub mod sockets;
pub(crate) mod websocket_api;
