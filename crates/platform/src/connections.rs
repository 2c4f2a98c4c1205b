//! The connections of the WebSocket API, through API Gateway's management API.

use std::time::Duration;

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::operation::delete_connection::DeleteConnectionError;
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use tokio::time::{Instant, timeout_at};

use crate::rate::Rate;
use crate::telemetry::Chain;

/// How often a message is tried, and how long to wait in between: a busy gateway or a full buffer
/// recovers within that or not soon enough to wait for.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// The gateway has it. That is no proof that the client got it.
    Sent,
    /// There is no such connection, or not yet.
    Gone,
    /// The client, or the gateway, could not take it in time.
    GivenUp,
}

/// What became of a connection that was to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is closed now.
    Now,
    /// There was no such connection any more.
    Gone,
    /// The gateway did not do it.
    Failed,
}

/// Sends to connections and closes them.
#[derive(Debug, Clone)]
pub struct Connections {
    client: Client,
}

impl Connections {
    /// The IAM actions that it needs on `POST` to send, and on `DELETE` to close.
    pub const ACTIONS: &'static [&'static str] = &["execute-api:ManageConnections"];

    /// With a client for one stage of one API.
    #[must_use]
    pub fn new(client: Client) -> Connections {
        Connections { client }
    }

    /// Sends a text message, of at most 128 KB.
    pub async fn post(&self, connection_id: &str, message: &[u8]) -> Posted {
        self.tries(connection_id, message, None).await
    }

    /// Sends a text message, of at most 128 KB, when it is its turn, and gives it up at the
    /// deadline. Each try takes a turn: the gateway counts requests.
    pub async fn post_in_turn(
        &self,
        connection_id: &str,
        message: &[u8],
        rate: &Rate,
        deadline: Instant,
    ) -> Posted {
        let tries = self.tries(connection_id, message, Some((rate, deadline)));
        timeout_at(deadline, tries).await.unwrap_or(Posted::GivenUp)
    }

    async fn tries(
        &self,
        connection_id: &str,
        message: &[u8],
        pace: Option<(&Rate, Instant)>,
    ) -> Posted {
        let mut pauses = PAUSES.iter();
        loop {
            if let Some((rate, deadline)) = pace
                && !rate.turn(deadline).await
            {
                return Posted::GivenUp;
            }
            let call = self
                .client
                .post_to_connection()
                .connection_id(connection_id)
                .data(Blob::new(message));
            let Err(error) = call.send().await else {
                return Posted::Sent;
            };
            match error.as_service_error() {
                Some(PostToConnectionError::GoneException(_)) => return Posted::Gone,
                // It will be as large the next time.
                Some(PostToConnectionError::PayloadTooLargeException(_)) => {
                    tracing::error!(
                        connection.id = connection_id,
                        message.bytes = message.len(),
                        "A message is too large for the gateway."
                    );
                    return Posted::GivenUp;
                }
                _ => {}
            }
            let Some(pause) = pauses.next() else {
                tracing::warn!(connection.id = connection_id, error = %Chain(&error), "A message to a connection was given up.");
                return Posted::GivenUp;
            };
            tokio::time::sleep(*pause).await;
        }
    }

    /// Opens the way to the gateway, by a message to a connection that there cannot be.
    pub async fn open(&self) {
        let call = self.client.post_to_connection().connection_id("init");
        let _ = call.data(Blob::new(Vec::new())).send().await;
    }

    /// Closes a connection.
    pub async fn close(&self, connection_id: &str) -> Closed {
        let Err(error) = self
            .client
            .delete_connection()
            .connection_id(connection_id)
            .send()
            .await
        else {
            return Closed::Now;
        };
        if matches!(
            error.as_service_error(),
            Some(DeleteConnectionError::GoneException(_))
        ) {
            return Closed::Gone;
        }
        tracing::warn!(connection.id = connection_id, error = %Chain(&error), "A connection could not be closed.");
        Closed::Failed
    }
}
