//! Who asks, and what they may do and see.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use domain::{Event, Filter, Millis, Redacted, Rights, Scope, Scopes};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use platform::http::HttpError;
use platform::tokens::{self, Holder};

use crate::State;

/// What was asked, besides the path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) request_id: String,
    pub(crate) headers: Arc<HeaderMap>,
    /// As it came, without the question mark.
    pub(crate) query: String,
    pub(crate) body: Arc<Vec<u8>>,
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
pub(crate) async fn holder(
    state: &State,
    call: &Call,
    scope: Scope,
    _now: Millis,
) -> Result<Holder, HttpError> {
    let header = call
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| unauthorized("a bearer token is missing"))?;
    state
        .secret
        .find(|settings| mandrill::secrets_match(&settings.token, token).then_some(()))
        .await
        .map_err(|error| HttpError::unavailable(&call.request_id, &error))?
        .ok_or_else(|| unauthorized("the token is not valid"))?;
    let holder = Holder {
        subject: Redacted(String::new()),
        rights: Rights {
            scopes: Scopes::all(),
            filter: Filter::default(),
            mask: false,
            until: Millis::MAX,
        },
    };
    tokens::require(&holder, scope)?;
    Ok(holder)
}

fn unauthorized(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

/// The event as a holder of these rights may see it.
pub(crate) fn shown<'e>(rights: &Rights, event: &'e Event<'e>) -> Cow<'e, Event<'e>> {
    match rights.mask {
        true => Cow::Owned(event.masked()),
        false => Cow::Borrowed(event),
    }
}
