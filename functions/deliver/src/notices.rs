//! The health of an endpoint after its attempts, and the events that are published about it.

use std::sync::Arc;

use domain::health::{Notice, NoticeKind, Report};
use platform::telemetry::Chain;
use platform::{clock, metrics};
use store::KnownEndpoint;

use crate::deps::Deps;

/// Records the outcomes of one endpoint's attempts, oldest first, and publishes the events that
/// follow. Outcomes that cannot be stored are lost: later attempts show the endpoint's health as well.
pub(crate) async fn report(deps: &Deps, known: &Arc<KnownEndpoint>, reports: &[Report]) {
    let id = known.endpoint.id;
    let aftermath = match deps.health.after(known, reports, clock::now()).await {
        Ok(aftermath) => aftermath,
        Err(error) => {
            tracing::warn!(endpoint.id = %id, error = %Chain(&error), "The health of an endpoint could not be stored.");
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
