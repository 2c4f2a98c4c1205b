//! Cancelling what is still owed to endpoints that were deleted. `deliver` does so when a message of
//! it comes up; what waits by its row, nobody else would look at.

use domain::HOUR_MS;
use futures::{StreamExt, stream};
use platform::clock;
use platform::telemetry::Chain;
use store::{DeletedEndpoint, StoreError};
use tokio::time::Instant;

use crate::deps::Deps;
use crate::due::{PIECE, TAKES};

/// How long an endpoint is looked at: longer than anybody runs who knew it and stores deliveries to
/// it, and than the index lags. Not shortened where time passes faster, as functions are not.
const LOOKED_AT_MS: u64 = HOUR_MS;

/// Cancels what is owed to deleted endpoints; how much that was. What cannot be done is done in the
/// next minute.
pub(crate) async fn cancel_all(deps: &Deps, end: Instant) -> usize {
    let mut deleted = match deps.deleted.all().await {
        Ok(deleted) => deleted,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "Deleted endpoints could not be looked up.");
            return 0;
        }
    };
    // Not always the same first: with much to do, the last get no turn.
    fastrand::shuffle(&mut deleted);
    let mut cancelled = 0;
    for endpoint in deleted {
        if let Err(error) = cancel(deps, endpoint, end, &mut cancelled).await {
            tracing::error!(endpoint.id = %endpoint.id, error = %Chain(&error), "What is owed to a deleted endpoint could not be cancelled.");
        }
    }
    cancelled
}

async fn cancel(
    deps: &Deps,
    endpoint: DeletedEndpoint,
    end: Instant,
    cancelled: &mut usize,
) -> Result<(), StoreError> {
    let mut last = None;
    while Instant::now() < end {
        let owed = deps.due.due(endpoint.id, last, None, PIECE).await?;
        let Some(next) = owed.last().copied() else {
            break;
        };
        let now = clock::now();
        let cancels: Vec<_> = owed
            .into_iter()
            .map(|due| deps.due.cancel(due.id, now))
            .collect();
        let cancels = stream::iter(cancels).buffer_unordered(TAKES);
        let results: Vec<_> = cancels.collect().await;
        *cancelled += results.iter().filter(|it| matches!(it, Ok(true))).count();
        results.into_iter().collect::<Result<Vec<_>, _>>()?;
        last = Some(next);
    }
    let is_old = endpoint.at.plus(LOOKED_AT_MS) <= clock::now();
    if last.is_none() && is_old && Instant::now() < end {
        deps.deleted.forget(endpoint.id).await?;
    }
    Ok(())
}
