//! Waiting between tries of what DynamoDB did not take at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::StoreError;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Calls again what DynamoDB did not take at once, until a deadline.
pub(crate) async fn retrying<T, F>(
    deadline: Instant,
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut backoff = Backoff::until(deadline);
    loop {
        match call().await {
            Err(StoreError::Throttled { operation }) => backoff.pause(operation).await?,
            result => return result,
        }
    }
}

/// Doubling pauses with full jitter, until a deadline.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    deadline: Instant,
}

impl Backoff {
    pub(crate) fn until(deadline: Instant) -> Backoff {
        Backoff {
            next: FIRST,
            deadline,
        }
    }

    /// Waits, or says that there is no time left.
    pub(crate) async fn pause(&mut self, operation: &'static str) -> Result<(), StoreError> {
        let pause = self.next.mul_f64(fastrand::f64());
        if Instant::now() + pause >= self.deadline {
            return Err(StoreError::Throttled { operation });
        }
        tokio::time::sleep(pause).await;
        self.next = (self.next * 2).min(LONGEST);
        Ok(())
    }
}
