//! What a function does before its first invocation.

use std::time::Duration;

use tokio::time::timeout;

/// Lambda gives an init 10 s; an AWS that does not answer must not use them up.
const LIMIT: Duration = Duration::from_secs(2);

/// Opens connections to AWS by calls whose results nobody needs, at most for a moment: a TLS
/// handshake takes far less time in an init, which has a whole processor, than in an invocation,
/// which has the share that its memory buys. What fails here is tried again when it is needed.
/// ("Understanding the Lambda execution environment lifecycle".)
pub async fn within_limit(opening: impl Future<Output = ()>) {
    if timeout(LIMIT, opening).await.is_err() {
        tracing::warn!("AWS could not be reached in time during the init.");
    }
}
