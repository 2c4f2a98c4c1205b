//! What is deployed: the template with its parameters, names, keys and secrets filled in.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use domain::{Filter, Rights, Scopes};
use platform::clock;
use platform::tokens::TokenKeys;
use serde_json::json;

use crate::hosts::Hosts;
use crate::identity::Identity;
use crate::policies::Caller;
use crate::stack::{Options, REGION, StartError};
use crate::template::{self, SecretContent, Settings, Template};
use crate::webhook;

/// How long the token is good for that is printed at the start.
const TOKEN_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Where a stack is to be found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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

impl Urls {
    /// The path of the WebSocket API.
    #[must_use]
    pub fn websocket_path(&self) -> &str {
        self.ws.rfind('/').map_or("", |slash| &self.ws[slash..])
    }

    /// The name under which API Gateway is reached.
    #[must_use]
    pub fn host(&self) -> &str {
        self.http.strip_prefix("http://").unwrap_or(&self.http)
    }
}

/// The template, ready to be run.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) template: Template,
    pub(crate) urls: Urls,
    pub(crate) hosts: Hosts,
    /// Each secret's text, by ARN.
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) variables: Variables,
    /// Who may call AWS, by access key.
    pub(crate) callers: BTreeMap<String, Arc<Caller>>,
    /// Where a developer who runs functions from outside calls AWS, and the access key for it.
    developer_endpoint: String,
    developer_key: String,
}

impl Deployment {
    /// Fills in the template for a stack on `port` whose functions call AWS at `calls`, with what the
    /// data directory keeps.
    pub(crate) fn new(
        options: &Options,
        port: u16,
        calls: SocketAddr,
    ) -> Result<Deployment, StartError> {
        let directory = &options.data_dir;
        let at_data_dir = |error| StartError::DataDirectory(directory.clone(), error);
        let mut identity = Identity::load(directory).map_err(at_data_dir)?;
        let authority = authority(options.host, port);
        let http = format!("http://{authority}");
        let settings = Settings {
            region: REGION.to_owned(),
            stack_uuid: identity.uuid.clone(),
            suffix: identity.suffix.clone(),
            http_url: http.clone(),
            websocket_url: format!("ws://{authority}"),
            parameters: options.parameters.clone(),
            defaults: BTreeMap::from([
                // Off by default on AWS, where it costs something by the second.
                ("Tail".to_owned(), "on".to_owned()),
                // Whoever tries it out listens on their own machine.
                ("AllowPrivateEndpoints".to_owned(), "true".to_owned()),
                ("TimeScale".to_owned(), options.time_scale.to_string()),
            ]),
        };
        let template = Template::parse(&options.template, &settings)?;
        webhook::check_path(&template)?;
        let (secrets, urls) =
            secrets(&template, options, &mut identity, &http).map_err(at_data_dir)?;
        let endpoint = format!("http://{calls}");
        let variables = variables(&template, &mut identity, &endpoint).map_err(at_data_dir)?;
        let developer_key = identity.access_key("Developer").map_err(at_data_dir)?;
        identity.save(directory).map_err(at_data_dir)?;
        let mut callers = BTreeMap::from([(
            developer_key.clone(),
            Arc::new(Caller::developer(&template)),
        )]);
        for function in &template.functions {
            let key = identity
                .access_key(&function.logical_id)
                .map_err(at_data_dir)?;
            callers.insert(key, Arc::new(Caller::function(&template, function)));
        }
        let known = options.webhook_urls.iter();
        let known = known.filter_map(|url| webhook::host(url));
        let allowed = options.allow_hosts.iter().cloned().chain(known);
        Ok(Deployment {
            template,
            urls,
            hosts: Hosts::new(options.host, allowed),
            secrets,
            variables,
            callers,
            developer_endpoint: endpoint_on(options.host, port),
            developer_key,
        })
    }

    /// The text of `functions.env`: the variables of all functions, and a key with the rights of all.
    pub(crate) fn shared_variables(&self) -> String {
        let mut all: BTreeMap<_, _> = self.variables.values().flatten().collect();
        let access_key = "AWS_ACCESS_KEY_ID".to_owned();
        all.insert(&access_key, &self.developer_key);
        // Not that of the functions, whose port is another one after each start.
        let endpoint = "AWS_ENDPOINT_URL".to_owned();
        all.insert(&endpoint, &self.developer_endpoint);
        all.iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect()
    }
}

/// Where people reach a stack that listens on `host`.
fn authority(host: IpAddr, port: u16) -> String {
    match host {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => format!("localhost:{port}"),
        host if host.is_unspecified() => format!("localhost:{port}"),
        host => SocketAddr::new(host, port).to_string(),
    }
}

/// Where programs on this machine reach a stack that listens on `host`.
fn endpoint_on(host: IpAddr, port: u16) -> String {
    let host = if host.is_unspecified() {
        IpAddr::from([127, 0, 0, 1])
    } else {
        host
    };
    format!("http://{}", SocketAddr::new(host, port))
}

/// Each secret's text by ARN, and where everything is.
fn secrets(
    template: &Template,
    options: &Options,
    identity: &mut Identity,
    http: &str,
) -> io::Result<(BTreeMap<String, String>, Urls)> {
    let urls = if options.webhook_urls.is_empty() {
        vec![webhook::url(http, template, options.url_secret.as_ref())]
    } else {
        options.webhook_urls.clone()
    };
    let keys = if options.without_webhook_key {
        Vec::new()
    } else if options.webhook_keys.is_empty() {
        vec![("main".to_owned(), identity.webhook_key.clone())]
    } else {
        options.webhook_keys.clone()
    };
    let stage = template.websocket.as_ref().map_or("", |api| &api.stage);
    let mut texts = BTreeMap::new();
    let mut token_key = String::new();
    for secret in &template.secrets {
        let text = secret_text(secret, identity)?;
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(found) = value["token_key"].as_str() {
            found.clone_into(&mut token_key);
            value["webhook_keys"] = keys
                .iter()
                .map(|(name, key)| json!({ "name": name, "key": key }))
                .collect();
            value["webhook_urls"] = urls.iter().map(String::as_str).collect();
            if let Some((name, secret)) = &options.url_secret {
                value["url_secret"] = json!({ "name": name, "value": secret });
            }
        }
        texts.insert(secret.arn.clone(), value.to_string());
    }
    let urls = Urls {
        http: http.to_owned(),
        ws: format!("{}/{stage}", http.replacen("http", "ws", 1)),
        webhook_url: urls.into_iter().next().unwrap_or_default(),
        webhook_keys: keys.into_iter().map(|(_, key)| key).collect(),
        token: token(&token_key),
        token_key,
        stack_token: identity.stack_token.clone(),
        data_dir: std::path::absolute(&options.data_dir)?,
    };
    Ok((texts, urls))
}

/// A token for everything; empty when the template has no key that could sign one.
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

fn secret_text(secret: &template::Secret, identity: &mut Identity) -> io::Result<String> {
    Ok(match &secret.content {
        SecretContent::Empty => String::new(),
        SecretContent::Literal(text) => text.clone(),
        SecretContent::Generated(generated) => {
            let password =
                identity.password(&secret.logical_id, generated.length, &generated.alphabet)?;
            generated.text(&password)
        }
    })
}

pub(crate) type Variables = BTreeMap<String, BTreeMap<String, String>>;

/// Each function's variables: the template's, and those that Lambda sets.
fn variables(
    template: &Template,
    identity: &mut Identity,
    endpoint: &str,
) -> io::Result<Variables> {
    let mut all = Variables::new();
    for function in &template.functions {
        let mut variables = function.environment.clone();
        let set = [
            ("AWS_REGION", REGION.to_owned()),
            (
                "AWS_ACCESS_KEY_ID",
                identity.access_key(&function.logical_id)?,
            ),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_SESSION_TOKEN", "local".to_owned()),
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ];
        variables.extend(set.map(|(name, value)| (name.to_owned(), value)));
        all.insert(function.logical_id.clone(), variables);
    }
    Ok(all)
}
