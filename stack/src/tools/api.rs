//! Calls of the HTTP API, with a token.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::post::{explain, tls};
use super::target::{ApiTarget, is_local, without_query};
use super::{ToolError, out};

/// An HTTP API answers or gives up within 30 s; what takes longer is lost on the way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

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
    Unanswered { url: String, reason: String },
}

#[derive(Default, Deserialize)]
struct Envelope {
    error: Inner,
}

#[derive(Default, Deserialize)]
struct Inner {
    code: String,
    message: String,
}

impl Api {
    pub(super) fn new(target: ApiTarget) -> Result<Api, ToolError> {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_TIMEOUT);
        if is_local(&target.url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| ToolError::Failed(explain(&error.without_url())))?;
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
            reason: explain(&error.without_url()),
        };
        let response = request.send().await.map_err(unanswered)?;
        if !response.status().is_success() {
            return Err(refused(url, response).await);
        }
        let body = response.bytes().await.map_err(unanswered)?;
        serde_json::from_slice(&body).map_err(|_| CallError::Unanswered {
            url: url.clone(),
            reason: "the answer is not Posthorn's; is this the HTTP API?".to_owned(),
        })
    }
}

async fn refused(url: String, response: Response) -> CallError {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap_or_default();
    let Inner { code, message } = serde_json::from_slice(&body)
        .map_or_else(|_| Inner::default(), |envelope: Envelope| envelope.error);
    CallError::Refused {
        url,
        status,
        code: out::printable(&code).into_owned(),
        message: out::printable(&message).into_owned(),
    }
}

impl CallError {
    /// Whether it may work later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            CallError::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            CallError::Unanswered { .. } => true,
        }
    }
}

impl From<CallError> for ToolError {
    fn from(error: CallError) -> ToolError {
        if error.is_passing() {
            return ToolError::Failed(error.to_string());
        }
        let hint = match &error {
            CallError::Refused { status: 401, .. } => " (see --token)",
            CallError::Refused { status: 404, .. } => " (see --url)",
            CallError::Refused { .. } | CallError::Unanswered { .. } => "",
        };
        ToolError::Usage(format!("{error}{hint}"))
    }
}
