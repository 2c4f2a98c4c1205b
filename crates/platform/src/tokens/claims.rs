//! What stands in a token.

use domain::{Filter, Millis, Rights, Scopes};
use serde::{Deserialize, Serialize};

/// The claims of a token. One that we do not know is refused: a misspelt `filter` must not let
/// everything be seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// For what it is; one word, so that nothing is a token and a ticket at once.
    pub(super) aud: String,
    /// When it ends, in seconds since 1970.
    pub(super) exp: u64,
    /// From when on it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<u64>,
    /// What may be done, separated by spaces.
    #[serde(default)]
    pub(super) scope: String,
    /// What may be seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) filter: String,
    /// Of a ticket for a masked holder: what they asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) asked: String,
    /// Whether people are to be unrecognisable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) mask: bool,
    /// Of a ticket: when the rights end of the token that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<u64>,
    /// Who holds it, in the words of who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sub: Option<String>,
    /// Registered by RFC 7519 and of no meaning here.
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "known, so that it is not refused")]
    pub(super) iss: Option<String>,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "known, so that it is not refused")]
    pub(super) jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<u64>,
}

impl Claims {
    /// The rights that they give.
    ///
    /// # Errors
    /// What is wrong with them, for who made the token.
    pub(super) fn rights(&self) -> Result<Rights, String> {
        let scopes: Scopes = self
            .scope
            .parse()
            .map_err(|error| format!("scope: {error}"))?;
        let filter =
            |name, text: &str| Filter::stored(text).map_err(|error| format!("{name}: {error}"));
        Ok(Rights {
            scopes,
            filter: filter("filter", &self.filter)?,
            asked: filter("asked", &self.asked)?,
            mask: self.mask,
            until: Millis(self.until.unwrap_or(self.exp).saturating_mul(1_000)),
        })
    }
}
