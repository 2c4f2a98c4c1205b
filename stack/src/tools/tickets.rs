//! Tickets for the live feed, made with a token.

use std::time::Duration;

use serde::Deserialize;

use super::ToolError;
use super::post::{explain, tls};
use super::target::{Secret, is_local, without_query};

/// An HTTP API answers or gives up within 30 s; what takes longer is lost on the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

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

#[derive(Deserialize)]
struct Envelope {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    message: String,
}

impl Tickets {
    /// From the HTTP API at `api`, with a token that allows to read.
    pub fn new(api: &str, token: Secret) -> Result<Tickets, ToolError> {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIMEOUT);
        if is_local(api) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| ToolError::Failed(explain(&error.without_url())))?;
        Ok(Tickets {
            client,
            url: format!("{}/v1/tickets", api.trim_end_matches('/')),
            token,
        })
    }

    /// The address of a socket that is open to a client for the next minute.
    pub async fn socket_url(&self) -> Result<Secret, NoTicket> {
        let request = self.client.post(&self.url).bearer_auth(self.token.reveal());
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
        let message = serde_json::from_slice(&body).map_or_else(
            |_| String::new(),
            |envelope: Envelope| envelope.error.message,
        );
        Err(match status {
            401 | 403 => NoTicket::Unauthorized { message },
            408 | 429 | 500.. => NoTicket::Unanswered {
                reason: format!("the server answered {status}"),
            },
            status => NoTicket::Refused { status, message },
        })
    }
}

fn unanswered(error: reqwest::Error) -> NoTicket {
    NoTicket::Unanswered {
        reason: explain(&error.without_url()),
    }
}
