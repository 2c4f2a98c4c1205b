//! The payload of format 2.0 that API Gateway, or a function's own URL, makes of a request.
//! ("Working with AWS Lambda proxy integrations for HTTP APIs", "Invoking Lambda function URLs".)
//!
//! It is read here instead of by `lambda_http`, which panics on a header or a query that no URL can
//! hold, and strangers send such.

use std::collections::BTreeMap;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use domain::Millis;
use serde::Deserialize;

/// The request as it is handed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// Decoded.
    pub raw_path: String,
    /// As it came, without the question mark.
    #[serde(default)]
    pub raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What the gateway says about it.
    pub request_context: Context,
    /// A text, or base64.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the body is base64.
    #[serde(default)]
    pub is_base64_encoded: bool,
}

/// What the gateway says about a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The name under which it was reached.
    #[serde(default)]
    pub domain_name: Option<String>,
    http: HttpContext,
    #[serde(default)]
    time_epoch: u64,
}

#[derive(Debug, Deserialize)]
struct HttpContext {
    method: String,
}

impl Payload {
    /// As it came: perhaps no method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request_context.http.method
    }

    /// When the gateway took the request, by its clock: those of our environments may be apart, and
    /// what one signs another checks. `now` where it does not say.
    #[must_use]
    pub fn received_at(&self, now: Millis) -> Millis {
        match self.request_context.time_epoch {
            0 => now,
            time => Millis(time),
        }
    }

    /// The headers; one that is damaged is left out: nothing can be meant by it.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value.as_bytes()),
            ) {
                headers.insert(name, value);
            }
        }
        headers
    }
}
