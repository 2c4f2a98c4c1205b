//! How tools fail.

use std::io;

/// Why a tool ended without having done what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The caller has to pass or start something else.
    #[error("{0}")]
    Usage(String),
    /// It was tried and did not succeed.
    #[error("{0}")]
    Failed(String),
    /// Nobody reads stdout any more.
    #[error("stdout was closed")]
    OutputClosed,
}

impl ToolError {
    /// 2 for a wrong call, as clap has it; 1 for a failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
            Self::OutputClosed => 0,
        }
    }
}

impl From<io::Error> for ToolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(error.to_string()),
        }
    }
}
