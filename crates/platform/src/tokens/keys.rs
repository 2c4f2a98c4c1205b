//! The keys that sign tokens, and what is signed with them. No I/O and no clock.

use domain::{Millis, Redacted, Rights, Scope, Scopes, View};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Claims;
use super::hs256;

/// A key of HMAC-SHA256 is at least as long as the hash. (RFC 7518, section 3.2.)
const KEY_BYTES: usize = 32;
/// How far the clocks of who makes a token and who reads it may be apart.
const LEEWAY_MS: u64 = 10_000;
/// No token of ours is longer; a stranger's text costs no more than that.
const TOKEN_BYTES: usize = 8 * 1024;
/// How long a ticket can be used to connect.
pub const TICKET_MS: u64 = 60_000;

/// For what a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// For requests to the HTTP API.
    Api,
    /// For one way of reading live: a ticket, which stands in a URL.
    Connect,
}

impl Audience {
    fn name(self) -> &'static str {
        match self {
            Audience::Api => "api",
            Audience::Connect => "connect",
        }
    }
}

/// The deployment's keys, as they stand in its secret.
#[derive(Debug, Deserialize)]
pub struct TokenKeys {
    token_key: TokenKey,
    /// Keys that sign no more; what they signed is good until it expires.
    #[serde(default)]
    retired_token_keys: Vec<TokenKey>,
}

/// One key: its text is the key's bytes.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct TokenKey(Redacted<String>);

impl TryFrom<String> for TokenKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<TokenKey, &'static str> {
        if text.len() < KEY_BYTES {
            return Err("a token key has at least 32 bytes");
        }
        Ok(TokenKey(Redacted(text)))
    }
}

/// Who holds a token.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The claim `sub`; empty when the token has none.
    pub subject: Redacted<String>,
    /// What they may do and see.
    pub rights: Rights,
}

/// A token for a short way into the live feed, which can stand in a URL.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The token's text.
    pub text: Redacted<String>,
    /// Until when it can be used to connect.
    pub expires_at: Millis,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Signed with none of the keys, which may have been rotated a moment ago.
    #[error("it was signed with another key")]
    WrongKey,
    /// Not a token, or not one that we read.
    #[error("it is not a token of this kind")]
    Malformed,
    /// A token for something else.
    #[error("it is for something else")]
    WrongAudience,
    /// Its claims cannot be read. What is wrong with them is for its holder alone.
    #[error("its claims cannot be read")]
    Claims(Redacted<String>),
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYetValid,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// It would never be accepted.
    #[error("{0}")]
    Unusable(&'static str),
    /// The library refused to sign.
    #[error("signing failed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl TokenKeys {
    /// The holder of this token.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn verify(&self, text: &str, audience: Audience, now: Millis) -> Result<Holder, Refusal> {
        if text.len() > TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        let claims = self.claims(text, audience)?;
        if now.minus(LEEWAY_MS).as_secs() >= claims.exp {
            return Err(Refusal::Expired);
        }
        if claims
            .nbf
            .is_some_and(|nbf| now.plus(LEEWAY_MS).as_secs() < nbf)
        {
            return Err(Refusal::NotYetValid);
        }
        let rights = claims
            .rights()
            .map_err(|wrong| Refusal::Claims(Redacted(wrong)))?;
        // A ticket outlives its token by nothing.
        if !rights.hold(now.minus(LEEWAY_MS)) {
            return Err(Refusal::Expired);
        }
        Ok(Holder {
            subject: Redacted(claims.sub.unwrap_or_default()),
            rights,
        })
    }

    /// What is signed, by whichever key signed it. Times are checked against the caller's clock.
    fn claims(&self, text: &str, audience: Audience) -> Result<Claims, Refusal> {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.set_audience(&[audience.name()]);
        validation.validate_exp = false;
        for key in std::iter::once(&self.token_key).chain(&self.retired_token_keys) {
            let key = DecodingKey::from_secret(key.0.as_bytes());
            match jsonwebtoken::decode::<Value>(text, &key, &validation) {
                Ok(token) => {
                    return serde_json::from_value(token.claims)
                        .map_err(|wrong| Refusal::Claims(Redacted(wrong.to_string())));
                }
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(error) => return Err(refusal(error)),
            }
        }
        Err(Refusal::WrongKey)
    }

    /// A token with these rights, from now until they end.
    ///
    /// # Errors
    /// When nobody would accept it.
    pub fn mint(
        &self,
        subject: &str,
        rights: &Rights,
        now: Millis,
    ) -> Result<Redacted<String>, MintError> {
        if rights.scopes.has(Scope::Endpoints) && !rights.allows(Scope::Endpoints) {
            return Err(MintError::Unusable(
                "a token with a filter or a mask cannot have scope `endpoints`",
            ));
        }
        if rights.scopes == Scopes::default() {
            return Err(MintError::Unusable("a token needs at least one scope"));
        }
        self.sign(&Claims {
            aud: Audience::Api.name().to_owned(),
            exp: rights.until.as_secs(),
            iat: Some(now.as_secs()),
            scope: rights.scopes.to_string(),
            filter: rights.filter.to_string(),
            mask: rights.mask,
            sub: Some(subject.to_owned()).filter(|subject| !subject.is_empty()),
            ..Claims::default()
        })
    }

    /// A ticket for a holder, for what they asked for of what they may see; it allows nothing but
    /// to read.
    ///
    /// # Errors
    /// When signing fails.
    pub fn ticket(&self, holder: &Holder, view: &View, now: Millis) -> Result<Ticket, MintError> {
        let expires_at = now.plus(TICKET_MS).min(holder.rights.until);
        let text = self.sign(&Claims {
            aud: Audience::Connect.name().to_owned(),
            exp: expires_at.as_secs(),
            iat: Some(now.as_secs()),
            scope: Scopes::of(&[Scope::Read]).to_string(),
            filter: view.allowed.to_string(),
            asked: view.asked.to_string(),
            mask: holder.rights.mask,
            until: Some(holder.rights.until.as_secs()),
            sub: Some(holder.subject.0.clone()).filter(|subject| !subject.is_empty()),
            ..Claims::default()
        })?;
        Ok(Ticket { text, expires_at })
    }

    fn sign(&self, claims: &Claims) -> Result<Redacted<String>, MintError> {
        hs256::install();
        let key = EncodingKey::from_secret(self.token_key.0.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
            .map(Redacted)
            .map_err(MintError::Signing)
    }
}

fn refusal(error: jsonwebtoken::errors::Error) -> Refusal {
    match error.into_kind() {
        ErrorKind::InvalidAudience => Refusal::WrongAudience,
        ErrorKind::MissingRequiredClaim(name) => {
            Refusal::Claims(Redacted(format!("claim `{name}` is missing")))
        }
        _ => Refusal::Malformed,
    }
}
