//! Why a function is not made, or gives no answer.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The largest payload of a synchronous invocation, and of its answer.
/// ("Lambda quotas": 6 MB each for request and response.)
pub const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// Why a function cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The template names a program that has no handler.
    #[error("{0} runs {1:?}, which is none of the functions in this binary")]
    Unknown(String, String),
    /// A variable is missing or wrong.
    #[error("{0} cannot start")]
    Init(String, #[source] Box<dyn Error + Send + Sync>),
    /// There is no built binary.
    #[error("{0} is not built: there is no {1} (`make build` makes it)")]
    NotBuilt(String, PathBuf),
    /// The functions' log cannot be written.
    #[error("the functions' log cannot be written")]
    Log(#[source] io::Error),
}

/// An invocation that gave no answer, as Lambda reports it.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// `RequestTooLargeException`.
    #[error("the request is larger than {PAYLOAD_BYTES} bytes")]
    TooLarge,
    /// `TooManyRequestsException`: nothing of the function's concurrency is left.
    #[error("Rate Exceeded.")]
    Throttled,
    /// The function failed (`X-Amz-Function-Error`), with the payload that AWS answers then.
    #[error("{kind}: {message}")]
    Failed {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
}

impl InvokeError {
    /// A function's own failure.
    pub fn failed(kind: impl Into<String>, message: impl Into<String>) -> InvokeError {
        InvokeError::Failed {
            kind: kind.into(),
            message: message.into(),
        }
    }

    pub(super) fn timed_out(request_id: &str, limit: Duration) -> InvokeError {
        let seconds = limit.as_secs_f64();
        let message =
            format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
        InvokeError::failed("Sandbox.Timedout", message)
    }

    /// The text that the Runtime API and Lambda give for an answer that is too large.
    pub(super) fn answer_too_large() -> InvokeError {
        let message = format!(
            "Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES} bytes)."
        );
        InvokeError::failed("Function.ResponseSizeTooLarge", message)
    }
}
