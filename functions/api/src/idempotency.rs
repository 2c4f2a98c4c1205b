//! Requests that may be sent again and again, and are carried out once.

use domain::EventId;
use http::StatusCode;
use platform::http::HttpError;
use platform::parameters::bad;

use crate::call::Call;

const KEY_BYTES: usize = 255;

/// The header `Idempotency-Key`, if it is there.
pub(crate) fn key(call: &Call) -> Result<Option<&[u8]>, HttpError> {
    let Some(key) = call.headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key.as_bytes();
    if key.len() > KEY_BYTES || key.is_empty() || !key.iter().all(u8::is_ascii_graphic) {
        let message = format!(
            "header `Idempotency-Key` must be 1 to {KEY_BYTES} printable ASCII characters without spaces"
        );
        return Err(bad("bad_idempotency_key", message));
    }
    Ok(Some(key))
}

/// The id of the claim for the key of one `owner`, of a kind of which there are several. It depends
/// on nothing in the body.
pub(crate) fn claim_id(kind: &str, owner: &str, key: &[u8]) -> EventId {
    let parts: [&[u8]; 3] = [kind.as_bytes(), owner.as_bytes(), key];
    EventId::of_content(&parts, 0, &parts, 0)
}

/// The key stands for another request.
pub(crate) fn conflict() -> HttpError {
    let message = "this `Idempotency-Key` was already used with another body";
    HttpError::new(StatusCode::CONFLICT, "idempotency_conflict", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_of_one_owner() {
        let id = |owner, key| claim_id("key", owner, key);
        assert_eq!(id("s", b"k"), id("s", b"k"));
        assert_ne!(id("s", b"k"), id("other", b"k"));
        assert_ne!(id("s", b"k"), id("s", b"other"));
        assert_ne!(id("sk", b"k"), id("s", b"kk"));
        assert_ne!(claim_id("ingest", "s", b"k"), id("s", b"k"));
    }
}
