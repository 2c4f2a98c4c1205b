//! Tokens and tickets: who asks, and what they may do.
//!
//! Both are JSON Web Tokens signed with HMAC-SHA256 under the deployment's keys, which stand in its
//! secret. A token is for requests to the HTTP API (`aud`: `api`) and is sent in a header. A ticket
//! (`aud`: `connect`) is made with a token, can stand in a URL, and is good for a minute.
//! (RFC 7519; RFC 8725 for what to watch out for.)

mod claims;
mod hs256;
mod keys;
#[cfg(test)]
mod tests;

use ::http::{HeaderMap, StatusCode, header};
use domain::{Filter, Millis, Scope};

pub use keys::{Audience, Holder, MintError, Refusal, TICKET_MS, Ticket, TokenKeys};

use crate::clients::Aws;
use crate::config::{ConfigError, Lookup};
use crate::http::HttpError;
use crate::secret::Secret;

/// Checks tokens with the keys in the deployment's secret, which are rotated without a deploy.
#[derive(Debug)]
pub struct Tokens {
    keys: Secret<TokenKeys>,
}

impl Tokens {
    /// The IAM actions that it needs on the secret.
    pub const ACTIONS: &'static [&'static str] = Secret::<TokenKeys>::ACTIONS;

    /// With the secret that the variable `SECRET_ID` names. Nothing is read yet.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn new(aws: &Aws, lookup: Lookup<'_>) -> Result<Tokens, ConfigError> {
        let keys = Secret::new(aws.secrets_manager(), lookup)?;
        Ok(Tokens { keys })
    }

    /// Reads the secret.
    pub async fn open(&self) {
        let _ = self.keys.get().await;
    }

    /// Who sends this request, by its header `Authorization: Bearer …`.
    ///
    /// # Errors
    /// 401 when there is no token or it is not accepted, 503 when the secret cannot be read.
    pub async fn bearer(
        &self,
        headers: &HeaderMap,
        now: Millis,
        request_id: &str,
    ) -> Result<Holder, HttpError> {
        let header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| unauthorized("a bearer token is missing"))?;
        self.verify(token, Audience::Api, now, request_id).await
    }

    /// Who connects with this ticket.
    ///
    /// # Errors
    /// 401 when it is not accepted, 503 when the secret cannot be read.
    pub async fn ticket(
        &self,
        text: &str,
        now: Millis,
        request_id: &str,
    ) -> Result<Holder, HttpError> {
        self.verify(text, Audience::Connect, now, request_id).await
    }

    async fn verify(
        &self,
        text: &str,
        audience: Audience,
        now: Millis,
        request_id: &str,
    ) -> Result<Holder, HttpError> {
        let found = self
            .keys
            .find(|keys| match keys.verify(text, audience, now) {
                Err(Refusal::WrongKey) => None,
                verified => Some(verified),
            });
        let verified = found
            .await
            .map_err(|error| HttpError::unavailable(request_id, &error))?
            .unwrap_or(Err(Refusal::WrongKey));
        verified.map_err(|refusal| {
            tracing::info!(request.id = request_id, reason = %refusal, "A token was refused.");
            refused(refusal, audience)
        })
    }

    /// A ticket for a holder, for the events of `filter`, which is ANDed with what they may see.
    ///
    /// # Errors
    /// 403 without the scope `read`, or when a masked holder asks by what is hidden from them; 400
    /// when the filter is too long together with the holder's own; 503 when the secret cannot be
    /// read.
    pub async fn issue_ticket(
        &self,
        holder: &Holder,
        filter: &Filter,
        now: Millis,
        request_id: &str,
    ) -> Result<Ticket, HttpError> {
        require(holder, Scope::Read)?;
        let view = holder.rights.narrow(filter).map_err(HttpError::from)?;
        // Whoever gets the ticket reads them from their texts.
        let read = |filter: &Filter| filter.to_string().parse::<Filter>();
        if let Err(error) = read(&view.allowed).and(read(&view.asked)) {
            let message = format!("together with the token's filter: {error}");
            return Err(HttpError::new(
                StatusCode::BAD_REQUEST,
                "bad_filter",
                message,
            ));
        }
        let keys = self.keys.get().await;
        keys.map_err(|error| HttpError::unavailable(request_id, &error))?
            .ticket(holder, &view, now)
            .map_err(|error| HttpError::internal(request_id, &error))
    }
}

/// Whether the holder may do this.
///
/// # Errors
/// 403 when not.
pub fn require(holder: &Holder, scope: Scope) -> Result<(), HttpError> {
    if holder.rights.allows(scope) {
        return Ok(());
    }
    let message = if holder.rights.scopes.has(scope) {
        "a token with a filter or a mask cannot use scope `endpoints`".to_owned()
    } else {
        format!("token lacks scope `{}`", scope.name())
    };
    Err(HttpError::new(StatusCode::FORBIDDEN, "forbidden", message))
}

fn refused(refusal: Refusal, audience: Audience) -> HttpError {
    let what = match audience {
        Audience::Api => "token",
        Audience::Connect => "ticket",
    };
    let code = match refusal {
        Refusal::Expired => "expired",
        Refusal::NotYetValid => "not_yet_valid",
        _ => "unauthorized",
    };
    let message = match refusal {
        Refusal::Claims(wrong) => format!("the {what} is not valid: {}", wrong.0),
        Refusal::WrongKey | Refusal::Malformed => format!("the {what} is not valid"),
        refusal => format!("the {what} is not valid: {refusal}"),
    };
    HttpError::new(StatusCode::UNAUTHORIZED, code, message)
}

fn unauthorized(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}
