//! What the three WebSocket functions read from their invocation payload.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use http::StatusCode;

use crate::http::HttpError;

/// The id of the connection that the event is about.
///
/// # Errors
/// When the payload has none, which API Gateway never sends.
pub fn connection_id(event: &ApiGatewayWebsocketProxyRequest) -> Result<&str, HttpError> {
    event
        .request_context
        .connection_id
        .as_deref()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| {
            HttpError::new(
                StatusCode::BAD_REQUEST,
                "bad_event",
                "the event names no connection",
            )
        })
}
