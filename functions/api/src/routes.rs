//! What is where.

use axum::response::Response;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::deliveries::{of_event, retry};
use crate::endpoints::{actions, attempts, recover, replay};
use crate::response::object;
use crate::schema::{Document, Health};
use crate::state::Shared;
use crate::{deliveries, endpoints, event, history, ingest, messages, publish, tickets, types};

/// All routes that are in the document.
pub(crate) fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(history::list, publish::publish))
        .routes(routes!(event::one))
        .routes(routes!(messages::list))
        .routes(routes!(types::list))
        .routes(routes!(tickets::create))
        .routes(routes!(endpoints::list, endpoints::create))
        .routes(routes!(
            endpoints::one,
            endpoints::change,
            endpoints::delete
        ))
        .routes(routes!(actions::rotate))
        .routes(routes!(actions::test))
        .routes(routes!(actions::enable))
        .routes(routes!(actions::disable))
        .routes(routes!(recover::recover))
        .routes(routes!(replay::replay))
        .routes(routes!(attempts::list))
        .routes(routes!(deliveries::list))
        .routes(routes!(of_event::list))
        .routes(routes!(retry::retry))
        .routes(routes!(ingest::post))
        .routes(routes!(health))
}

/// Reports that the function runs.
///
/// The answer does not depend on the tables.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "health",
    tag = "health",
    responses((status = 200, description = "The function runs", body = Health)),
)]
async fn health() -> Response {
    object(&Health { status: "ok" })
}
