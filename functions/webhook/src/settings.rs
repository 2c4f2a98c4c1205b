//! What the secret says.

use domain::Redacted;
use mandrill::WebhookKey;
use serde::Deserialize;

/// What the function needs of the secret.
#[derive(Debug, Default, Deserialize)]
pub struct Settings {
    /// The keys that Mandrill signs with.
    #[serde(default)]
    pub webhook_keys: Vec<WebhookKey>,
    /// The URLs as they stand in Mandrill, where they are not those under which API Gateway sees
    /// the requests.
    #[serde(default)]
    pub webhook_urls: Vec<Redacted<String>>,
    /// A second factor in the URL.
    #[serde(default)]
    pub url_secret: Option<UrlSecret>,
}

/// A parameter that the URL has to have: `?<name>=<value>`.
#[derive(Debug, Deserialize)]
pub struct UrlSecret {
    /// The parameter's name.
    pub name: String,
    /// What it has to be.
    pub value: Redacted<String>,
}
