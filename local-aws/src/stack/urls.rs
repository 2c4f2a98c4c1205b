//! Where a stack is to be found.

use std::path::PathBuf;

use serde::Serialize;

/// Where a stack is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Urls {
    /// The HTTP API, function URLs and the page.
    pub http: String,
    /// The WebSocket API.
    pub ws: String,
    /// Opens what the stack tells of itself (`/_stack/`).
    pub stack_token: String,
    /// The directory whose lock the stack holds for as long as it runs.
    pub data_dir: PathBuf,
}

impl Urls {
    /// The path of the WebSocket API.
    #[must_use]
    pub fn websocket_path(&self) -> &str {
        self.ws.rfind('/').map_or("", |slash| &self.ws[slash..])
    }

    /// The name under which API Gateway is reached.
    #[must_use]
    pub fn host(&self) -> &str {
        self.http.strip_prefix("http://").unwrap_or(&self.http)
    }
}
