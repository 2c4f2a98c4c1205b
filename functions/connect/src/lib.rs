//! Woken by a WebSocket's `$connect`, before the connection is open. Checks the ticket and the
//! filter, and stores the connection with the ticket's rights, or refuses it.
//!
//! Nothing can be sent from here: API Gateway answers 410 until this function has answered. The
//! client asks for what it missed with its first message.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use domain::{Filter, Scope};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, StatusCode};
use lambda_runtime::{Error, LambdaEvent};
use platform::http::{HttpError, websocket};
use platform::parameters::bad;
use platform::{
    Aws, ConfigError, Lookup, Metrics, Permission, Resource, Tokens, clock, config, init, metrics,
    tokens,
};
use store::ConnectionRegister;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    connections: ConnectionRegister,
    tokens: Tokens,
    metrics: Metrics,
}

impl Deps {
    /// Reads `CONNECTIONS_TABLE`, `METRICS_STACK` and `SECRET_ID`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Deps, ConfigError> {
        let table = config::required(lookup, "CONNECTIONS_TABLE")?;
        Ok(Deps {
            connections: ConnectionRegister::new(aws.dynamodb(), table),
            tokens: Tokens::new(aws, lookup)?,
            metrics: Metrics::new(lookup)?,
        })
    }

    /// Reads what init can read, and opens connections to AWS.
    pub async fn open(&self) {
        init::within_limit(async {
            let _ = tokio::join!(self.tokens.open(), self.connections.open());
        })
        .await;
    }
}

/// The rights that the function needs: those of what is in its `Deps`.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    vec![
        Permission::new(Resource::ConnectionsTable, ConnectionRegister::ACTIONS),
        Permission::new(Resource::Secret, Tokens::ACTIONS),
    ]
}

/// Lets the connection in (200) or refuses it (400, 401, 403).
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<ApiGatewayWebsocketProxyRequest>,
) -> Result<ApiGatewayProxyResponse, Error> {
    let request_id = &event.context.request_id;
    let admitted = admit(deps, request_id, &event.payload).await;
    let metric = match &admitted {
        Ok(()) => metrics::CONNECTIONS_ACCEPTED,
        Err(_) => metrics::CONNECTIONS_REFUSED,
    };
    deps.metrics.record(clock::now(), &[(metric, 1)]);
    Ok(match admitted {
        Ok(()) => accepted(&event.payload),
        Err(error) => {
            tracing::info!(
                request.id = request_id,
                http.status = error.status.as_u16(),
                "A connection was refused."
            );
            error.into_websocket()
        }
    })
}

async fn admit(
    deps: &Deps,
    request_id: &str,
    event: &ApiGatewayWebsocketProxyRequest,
) -> Result<(), HttpError> {
    let id = platform::websocket::connection_id(event)?;
    let parameters = &event.query_string_parameters;
    let names = event.multi_value_query_string_parameters.iter();
    refuse_repeated(names.map(|(name, _)| name).collect())?;
    let ticket = parameters
        .first("ticket")
        .ok_or_else(|| unauthorized("a ticket is missing"))?;
    let now = clock::now();
    let asked_at = platform::websocket::received_at(event, now);
    let holder = deps.tokens.ticket(ticket, asked_at, request_id).await?;
    tokens::require(&holder, Scope::Read)?;
    let rights = holder.rights;
    let filter: Filter = parameters
        .first("filter")
        .unwrap_or_default()
        .parse()
        .map_err(|error: domain::FilterError| bad("bad_filter", error.to_string()))?;
    // Whether they may ask for it: the row keeps both filters, as the rights never change.
    rights.narrow(&filter)?;
    deps.connections
        .register(id, &rights, filter.to_string(), now)
        .await
        .map_err(|error| HttpError::unavailable(request_id, &error))?;
    tracing::info!(
        request.id = request_id,
        connection.id = id,
        "A connection was accepted."
    );
    Ok(())
}

/// Of a parameter that is repeated, some readers take the first and others the last: what the client
/// means is not known.
fn refuse_repeated(mut names: Vec<&str>) -> Result<(), HttpError> {
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let message = format!("parameter `{}` is repeated", pair[0].escape_debug());
            Err(bad("repeated_parameter", message))
        }
        None => Ok(()),
    }
}

fn unauthorized(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

/// A browser that offers subprotocols drops the connection unless one of them comes back.
/// ("Setting up a `$connect` route that requires a WebSocket subprotocol".)
fn accepted(event: &ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
    let mut response = websocket(StatusCode::OK);
    let offered = event
        .headers
        .get(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|value| value.to_str().ok());
    let first = offered.and_then(|offered| offered.split(',').next());
    if let Some(protocol) = first.and_then(|protocol| HeaderValue::from_str(protocol.trim()).ok()) {
        response.headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}
