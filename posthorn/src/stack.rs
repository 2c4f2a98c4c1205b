//! Posthorn on this machine: its template, functions, page and prices, in `local_aws`.

use std::io;
use std::ops::Deref;
use std::path::PathBuf;

use data_encoding::BASE64URL_NOPAD;
use domain::{Filter, Rights, Scopes};
use local_aws::Prepared;
use platform::clock;
use platform::tokens::TokenKeys;
use serde::Serialize;
use serde_json::{Value, json};

use crate::bill::PRICING;
use crate::functions::{handlers, is_for_tail, show_log};
use crate::page;
use crate::random::random;
use crate::template::TEMPLATE;
use crate::webhook::{self, PathTaken};

/// How long the token is good for that is printed at the start.
const TOKEN_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is not Posthorn's own. `time_scale` is also what the functions wait by, if the template
    /// has the parameter `TimeScale`.
    pub local: local_aws::Options,
    /// The webhook URLs as they stand in Mandrill, whose hosts are answered; the local one when empty.
    pub webhook_urls: Vec<String>,
    /// The webhook keys, each with a name; a generated one when empty.
    pub webhook_keys: Vec<(String, String)>,
    /// Have no webhook key: the secret in the URL alone decides.
    pub without_webhook_key: bool,
    /// A parameter that the webhook's URL has to have, and its value.
    pub url_secret: Option<(String, String)>,
}

impl Options {
    /// A stack on any free port of this machine, with its data in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        let mut local = local_aws::Options::new(TEMPLATE, data_dir);
        "posthorn".clone_into(&mut local.stack_name);
        local.defaults.extend([
            // Off by default on AWS, where it costs something by the second.
            ("Tail".to_owned(), "on".to_owned()),
            // Whoever tries it out listens on their own machine.
            ("AllowPrivateEndpoints".to_owned(), "true".to_owned()),
        ]);
        local.handlers = handlers();
        local.show_log = show_log;
        local.is_for_function_url = Some(is_for_tail);
        local.page = Some(page::answer);
        local.pricing = PRICING;
        Options {
            local,
            webhook_urls: Vec::new(),
            webhook_keys: Vec::new(),
            without_webhook_key: false,
            url_secret: None,
        }
    }

    /// What the local AWS is started with.
    fn local(&self) -> local_aws::Options {
        let mut local = self.local.clone();
        let scale = local.time_scale.to_string();
        local.defaults.insert("TimeScale".to_owned(), scale);
        let hosts = self.webhook_urls.iter();
        local
            .allow_hosts
            .extend(hosts.filter_map(|url| webhook::host(url)));
        local
    }
}

/// Why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The webhook would be where something else is.
    #[error(transparent)]
    WebhookPath(#[from] PathTaken),
    /// The local AWS does not start.
    #[error(transparent)]
    Local(#[from] local_aws::StartError),
}

/// Where a stack is to be found, as `stack.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Urls {
    /// The HTTP API and the page.
    pub http: String,
    /// The WebSocket API.
    pub ws: String,
    /// What to enter in Mandrill.
    pub webhook_url: String,
    /// The keys that webhook requests may be signed with.
    pub webhook_keys: Vec<String>,
    /// Opens everything, for a month from the start on.
    pub token: String,
    /// The key that signs tokens, for those who need another one.
    pub token_key: String,
    /// Opens what the stack tells of itself (`/_stack/`).
    pub stack_token: String,
    /// The directory whose lock the stack holds for as long as it runs.
    pub data_dir: PathBuf,
}

/// A running local stack. It stops when it is dropped.
#[derive(Debug)]
pub struct Stack {
    local: local_aws::Stack,
    urls: Urls,
}

impl Deref for Stack {
    type Target = local_aws::Stack;

    fn deref(&self) -> &local_aws::Stack {
        &self.local
    }
}

impl Stack {
    /// Starts a stack; it is ready when this returns.
    ///
    /// # Errors
    /// When something of it cannot be had.
    pub async fn start(options: Options) -> Result<Stack, StartError> {
        let mut prepared = Prepared::new(options.local()).await?;
        webhook::check_path(prepared.template())?;
        let webhook = Webhook::of(&options, &mut prepared)?;
        let token_key = fill_in(&mut prepared, &webhook);
        let local = prepared.urls().clone();
        let urls = Urls {
            http: local.http,
            ws: local.ws,
            webhook_url: webhook.urls.into_iter().next().unwrap_or_default(),
            webhook_keys: webhook.keys.into_iter().map(|(_, key)| key).collect(),
            token: token(&token_key),
            token_key,
            stack_token: local.stack_token,
            data_dir: local.data_dir,
        };
        // A data directory whose name is no text cannot be told in JSON.
        let details = serde_json::to_value(&urls).map_err(|error| {
            let directory = urls.data_dir.clone();
            local_aws::StartError::DataDirectory(directory, std::io::Error::other(error))
        })?;
        if let Value::Object(details) = details {
            prepared.describe(details);
        }
        let local = prepared.start().await?;
        Ok(Stack { local, urls })
    }

    /// Where it is to be found.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Closes the connections and stops.
    pub async fn stop(self) {
        self.local.stop().await;
    }
}

/// What the secret says of the webhook.
struct Webhook {
    urls: Vec<String>,
    /// Each with its name.
    keys: Vec<(String, String)>,
    url_secret: Option<(String, String)>,
}

impl Webhook {
    fn of(options: &Options, prepared: &mut Prepared) -> Result<Webhook, StartError> {
        let url_secret = options.url_secret.clone();
        let urls = if options.webhook_urls.is_empty() {
            let http = &prepared.urls().http;
            vec![webhook::url(http, prepared.template(), url_secret.as_ref())]
        } else {
            options.webhook_urls.clone()
        };
        // Kept even if others are given: it is the same when they no longer are.
        let own = prepared.keep("webhook_key", new_key)?;
        let keys = if options.without_webhook_key {
            Vec::new()
        } else if options.webhook_keys.is_empty() {
            vec![("main".to_owned(), own)]
        } else {
            options.webhook_keys.clone()
        };
        Ok(Webhook {
            urls,
            keys,
            url_secret,
        })
    }
}

fn new_key() -> io::Result<String> {
    Ok(BASE64URL_NOPAD.encode(&random::<16>()?))
}

/// Writes the webhook into the secret that has a token key, and answers that key; it is empty if no
/// secret has one.
fn fill_in(prepared: &mut Prepared, webhook: &Webhook) -> String {
    let secrets = prepared.template().secrets.iter();
    let ids: Vec<String> = secrets.map(|secret| secret.logical_id.clone()).collect();
    let mut token_key = String::new();
    for id in ids {
        let text = prepared.secret(&id).unwrap_or_default();
        let mut value: Value = serde_json::from_str(text).unwrap_or_default();
        if let Some(found) = value["token_key"].as_str() {
            found.clone_into(&mut token_key);
            value["webhook_keys"] = webhook
                .keys
                .iter()
                .map(|(name, key)| json!({ "name": name, "key": key }))
                .collect();
            value["webhook_urls"] = webhook.urls.iter().map(String::as_str).collect();
            if let Some((name, secret)) = &webhook.url_secret {
                value["url_secret"] = json!({ "name": name, "value": secret });
            }
            prepared.set_secret(&id, value.to_string());
        }
    }
    token_key
}

/// A token for everything; empty when there is no key that could sign one.
fn token(key: &str) -> String {
    let keys: Result<TokenKeys, _> = serde_json::from_value(json!({ "token_key": key }));
    let now = clock::now();
    let rights = Rights {
        scopes: Scopes::all(),
        filter: Filter::default(),
        asked: Filter::default(),
        mask: false,
        until: now.plus(TOKEN_MS),
    };
    let minted = keys.ok().map(|keys| keys.mint("local", &rights, now));
    minted
        .and_then(Result::ok)
        .map(|token| token.0)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_scale_is_a_parameter_of_the_template_and_known_hosts_are_answered() {
        let mut options = Options::new(".posthorn");
        options.local.time_scale = 60;
        options.webhook_urls = vec!["https://hooks.example.com/in".to_owned()];
        let local = options.local();
        assert_eq!(local.defaults["TimeScale"], "60");
        assert_eq!(local.allow_hosts, ["hooks.example.com"]);
    }
}
