//! What the document says of refusals.

use utoipa::ToSchema;

/// Why a request was refused or failed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes platform::http::HttpError")]
pub(crate) struct Error {
    error: ErrorInner,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes platform::http::HttpError")]
pub(crate) struct ErrorInner {
    /// Stable, for programs.
    code: String,
    /// For people; may change.
    message: String,
}
