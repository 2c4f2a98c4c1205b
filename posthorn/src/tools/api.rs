//! Calls of the HTTP API, with a token.

use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::ToolError;
use super::client::{Said, Unanswered, client};
use super::target::{ApiTarget, without_query};

/// An HTTP API that knows who calls.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: reqwest::Client,
    target: ApiTarget,
}

/// Why a call was not answered with success. Nothing here contains the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("{url}: {status} {code}: {message}")]
    Refused {
        url: String,
        status: u16,
        code: String,
        message: String,
    },
    #[error("{url}: {reason}")]
    Unanswered { url: String, reason: Unanswered },
    #[error("{url}: the answer is not Posthorn's; is this the HTTP API? (see --url)")]
    Foreign { url: String },
}

impl Api {
    pub(super) fn new(target: ApiTarget) -> Result<Api, ToolError> {
        let client = client(&target.url)?;
        Ok(Api { client, target })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.exchange(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: String,
    ) -> Result<T, CallError> {
        let request = self.request(Method::POST, path).body(body);
        self.exchange(request).await
    }

    /// Posts JSON, which has its effect once, however often it is posted with this key.
    pub(super) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: String,
        key: &str,
    ) -> Result<T, CallError> {
        let request = self.request(Method::POST, path).body(body);
        self.exchange(request.header("idempotency-key", key)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.target.url.trim_end_matches('/'));
        self.client
            .request(method, url)
            .bearer_auth(self.target.token.reveal())
            .header("content-type", "application/json")
    }

    async fn exchange<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let url = without_query(&self.target.url);
        let unanswered = |error: reqwest::Error| CallError::Unanswered {
            url: url.clone(),
            reason: Unanswered::new(error, &url),
        };
        let response = request.send().await.map_err(unanswered)?;
        if !response.status().is_success() {
            return Err(refused(url, response).await);
        }
        let body = response.bytes().await.map_err(unanswered)?;
        serde_json::from_slice(&body).map_err(|_| CallError::Foreign { url: url.clone() })
    }
}

async fn refused(url: String, response: Response) -> CallError {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap_or_default();
    let Said { code, message } = Said::read(&body);
    CallError::Refused {
        url,
        status,
        code,
        message,
    }
}

impl CallError {
    /// Whether it may work later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            CallError::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            CallError::Unanswered { .. } => true,
            CallError::Foreign { .. } => false,
        }
    }

    /// Whether nothing took the connection.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, CallError::Unanswered { reason, .. } if reason.is_unreachable)
    }
}

impl From<CallError> for ToolError {
    fn from(error: CallError) -> ToolError {
        if error.is_passing() {
            return ToolError::Failed(error.to_string());
        }
        let hint = match &error {
            CallError::Refused {
                status: 401 | 403, ..
            } => " (see --token)",
            CallError::Refused {
                status: 404 | 421, ..
            } => " (see --url)",
            CallError::Refused { .. }
            | CallError::Unanswered { .. }
            | CallError::Foreign { .. } => "",
        };
        ToolError::Usage(format!("{error}{hint}"))
    }
}
