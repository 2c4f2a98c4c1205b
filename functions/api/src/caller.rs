//! Who asks, and what they may do and see.

use domain::Scope;
use platform::http::HttpError;
use platform::tokens::{self, Holder};

use crate::State;
use crate::call::Call;

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
