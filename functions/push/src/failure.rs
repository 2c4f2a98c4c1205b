//! Why a batch fails.

use store::StoreError;

use crate::broadcast::Sent;

/// Why a batch must be retried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} connections that missed a message could not be marked", .0.unmarked)]
    Unmarked(Sent),
    #[error("it took too long")]
    OutOfTime,
}
