//! Tickets for the live feed, made with a token.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ToolError;
use super::client::{Said, Unanswered, client};
use super::target::{Secret, without_query};

/// Where tickets are made, and with what.
#[derive(Debug, Clone)]
pub struct Tickets {
    client: reqwest::Client,
    /// The address of `POST /v1/tickets`.
    url: String,
    token: Secret,
}

/// Why there is no ticket. Nothing here contains the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTicket {
    /// Another token is needed.
    #[error("the server does not accept the token: {message}")]
    Unauthorized {
        /// What the server says.
        message: String,
    },
    /// What was asked for can never be had.
    #[error("the server answered {status}: {message}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// It may work later.
    #[error("{reason}")]
    Unanswered {
        /// What happened.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Made {
    /// The WebSocket's address, ticket included.
    url: Secret,
}

impl Tickets {
    /// From the HTTP API at `api`, with a token that allows to read.
    pub fn new(api: &str, token: Secret) -> Result<Tickets, ToolError> {
        let client = client(api)?;
        Ok(Tickets {
            client,
            url: format!("{}/v1/tickets", api.trim_end_matches('/')),
            token,
        })
    }

    /// The address of a socket that is open to a client for the next minute.
    pub async fn socket_url(&self) -> Result<Secret, NoTicket> {
        self.made_with(&json!({})).await
    }

    /// Why there is no ticket for a filter. A refused socket does not say; this does.
    pub(super) async fn refusal_of(&self, filter: &str) -> Option<NoTicket> {
        self.made_with(&json!({ "filter": filter })).await.err()
    }

    async fn made_with(&self, asked: &Value) -> Result<Secret, NoTicket> {
        let unanswered = |error| NoTicket::Unanswered {
            reason: Unanswered::new(error, &self.url).to_string(),
        };
        let request = self.client.post(&self.url);
        let request = request
            .bearer_auth(self.token.reveal())
            .header("content-type", "application/json")
            .body(asked.to_string());
        let answer = request.send().await.map_err(unanswered)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(unanswered)?;
        if status == 201 {
            let made: Result<Made, _> = serde_json::from_slice(&body);
            return made.map(|made| made.url).map_err(|_| NoTicket::Refused {
                status,
                message: format!("no ticket: is {} the HTTP API?", without_query(&self.url)),
            });
        }
        let Said { message, .. } = Said::read(&body);
        Err(match status {
            401 | 403 => NoTicket::Unauthorized { message },
            408 | 429 | 500.. => NoTicket::Unanswered {
                reason: format!("the server answered {status}"),
            },
            status => NoTicket::Refused { status, message },
        })
    }
}
