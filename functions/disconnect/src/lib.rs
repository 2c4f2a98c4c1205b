//! Woken by a WebSocket's `$disconnect`, after the connection is closed. Forgets the connection.
//!
//! API Gateway promises no such call: rows expire by themselves, and `push` deletes those that
//! turn out to be gone.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use http::StatusCode;
use lambda_runtime::{Error, LambdaEvent};
use platform::http::{HttpError, websocket};
use platform::{Aws, ConfigError, Lookup, Permission, Resource, config, init};
use store::ConnectionForget;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    connections: ConnectionForget,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let table = config::required(lookup, "CONNECTIONS_TABLE")?;
        Ok(Deps {
            connections: ConnectionForget::new(aws.dynamodb(), table),
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            self.connections.open().await;
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![Permission::new(
        Resource::ConnectionsTable,
        ConnectionForget::ACTIONS,
    )]
}

/// Forgets the connection.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<ApiGatewayWebsocketProxyRequest>,
) -> Result<ApiGatewayProxyResponse, Error> {
    let request_id = &event.context.request_id;
    Ok(match forget(deps, request_id, &event.payload).await {
        Ok(()) => websocket(StatusCode::OK),
        Err(error) => error.into_websocket(),
    })
}

async fn forget(
    deps: &Deps,
    request_id: &str,
    event: &ApiGatewayWebsocketProxyRequest,
) -> Result<(), HttpError> {
    let id = platform::websocket::connection_id(event)?;
    deps.connections
        .forget(id)
        .await
        .map_err(|error| HttpError::unavailable(request_id, &error))?;
    tracing::info!(
        request.id = request_id,
        connection.id = id,
        connection.close_code = event.request_context.disconnect_status_code,
        "A connection was closed and forgotten."
    );
    Ok(())
}
