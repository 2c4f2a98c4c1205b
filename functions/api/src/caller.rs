//! Who asks, and what they may do and see.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use domain::{Millis, Scope};
use http::HeaderMap;
use http::request::Parts;
use platform::http::HttpError;
use platform::tokens::{self, Holder};
use store::StoreError;

use crate::State;

/// What was asked, besides the path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) request_id: String,
    /// When the gateway took it, by its clock.
    pub(crate) received_at: Millis,
    pub(crate) headers: Arc<HeaderMap>,
    /// As it came, without the question mark.
    pub(crate) query: String,
    pub(crate) body: Arc<Vec<u8>>,
}

impl Call {
    /// The store has failed.
    pub(crate) fn failed(&self, error: &StoreError) -> HttpError {
        match error {
            StoreError::Throttled { .. } | StoreError::Unavailable { .. } => {
                HttpError::unavailable(&self.request_id, error)
            }
            StoreError::Refused { .. } | StoreError::Corrupt(_) => {
                HttpError::internal(&self.request_id, error)
            }
        }
    }

    /// Not everything could be done now.
    pub(crate) fn unavailable(&self, what: &'static str) -> HttpError {
        HttpError::unavailable(&self.request_id, &std::io::Error::other(what))
    }

    /// Random bytes, of which secrets and ids are made.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], HttpError> {
        let mut random = [0; N];
        getrandom::fill(&mut random)
            .map_err(|error| HttpError::internal(&self.request_id, &error))?;
        Ok(random)
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Call, Infallible> {
        Ok(parts.extensions.remove().unwrap_or_default())
    }
}

/// Who sends this request, if they may do this.
///
/// # Errors
/// 401 when nobody is known by the token, 403 when they may not, 503 when the secret cannot be read.
pub(crate) async fn holder(state: &State, call: &Call, scope: Scope) -> Result<Holder, HttpError> {
    let holder = state
        .tokens
        .bearer(&call.headers, call.received_at, &call.request_id)
        .await?;
    tokens::require(&holder, scope)?;
    Ok(holder)
}
