//! How an endpoint fares after its attempts, and what is told of it.

use std::sync::Arc;

use domain::health::{Notice, NoticeKind, Report};
use platform::telemetry::Chain;
use platform::{clock, metrics};
use store::KnownEndpoint;

use crate::Deps;

/// Notes how attempts went, and publishes what is to be told. What cannot be noted is lost: the
/// next attempts count.
pub(crate) async fn report(deps: &Deps, known: &Arc<KnownEndpoint>, reports: &[Report]) {
    let id = known.endpoint.id;
    let aftermath = match deps.health.after(known, reports, clock::now()).await {
        Ok(aftermath) => aftermath,
        Err(error) => {
            tracing::warn!(endpoint.id = %id, error = %Chain(&error), "How an endpoint fares could not be noted.");
            return;
        }
    };
    if let Some(reason) = &aftermath.disabled {
        tracing::warn!(endpoint.id = %id, reason = reason.as_str(), "An endpoint was disabled.");
    }
    let is_failing = |notice: &&Notice| notice.kind == NoticeKind::Failing;
    let failing = aftermath.notices.iter().filter(is_failing).count();
    let disabled = usize::from(aftermath.disabled.is_some());
    deps.metrics.record(
        clock::now(),
        &[
            (metrics::ENDPOINTS_FAILING, failing as u64),
            (metrics::ENDPOINTS_DISABLED, disabled as u64),
        ],
    );
}
