//! What is asked.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use domain::Millis;
use http::HeaderMap;
use http::request::Parts;
use platform::http::HttpError;
use platform::parameters::bad;
use store::StoreError;

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

/// The id in a path, which is `what`: "an event id".
pub(crate) fn path_id<T: FromStr>(
    id: Result<Path<String>, PathRejection>,
    what: &str,
) -> Result<T, HttpError> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    id.ok_or_else(|| bad("bad_id", format!("the id in the path is not {what}")))
}
