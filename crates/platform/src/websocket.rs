//! What the three WebSocket functions read from their invocation payload.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use domain::Millis;
use http::StatusCode;

use crate::http::HttpError;

/// When the gateway took the request, by its clock; `now` where it does not say.
#[must_use]
pub fn received_at(event: &ApiGatewayWebsocketProxyRequest, now: Millis) -> Millis {
    match u64::try_from(event.request_context.request_time_epoch) {
        Ok(0) | Err(_) => now,
        Ok(time) => Millis(time),
    }
}

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
