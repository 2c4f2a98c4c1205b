//! Waiting for an outcome.

use std::time::Duration;

use tokio::time::Instant;

/// How long to wait for what takes a moment: far longer than it takes on a busy machine, since it
/// only matters when the test fails. There a function may give up a call and leave its messages to
/// the queue, which hands them out again after four minutes.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// Repeats `check` until it succeeds, and answers its value.
///
/// # Panics
/// When it has not succeeded at the deadline, with the reason that it gave last.
#[track_caller]
pub fn eventually<T>(
    deadline: Duration,
    check: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let mut check = check;
    async move {
        let end = Instant::now() + deadline;
        loop {
            match check().await {
                Ok(value) => return value,
                Err(reason) if Instant::now() >= end => {
                    panic!("{caller}: not within {deadline:?}: {reason}")
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
