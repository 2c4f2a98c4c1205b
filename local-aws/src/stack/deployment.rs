//! What is deployed: the template with its parameters, names, keys and secrets filled in.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::account::REGION;
use crate::functions::Variables;
use crate::policies::Caller;
use crate::server::hosts::Hosts;
use crate::stack::error::StartError;
use crate::stack::identity::Identity;
use crate::stack::options::Options;
use crate::stack::urls::Urls;
use crate::template::{self, SecretContent, Settings, Template};

/// The template, ready to be run.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) template: Template,
    pub(crate) urls: Urls,
    pub(crate) hosts: Hosts,
    /// Each secret's text, by ARN.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Each function's variables, by logical id.
    pub(crate) variables: BTreeMap<String, Variables>,
    pub(crate) identity: Identity,
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
            stack_name: options.stack_name.clone(),
            region: REGION.to_owned(),
            stack_uuid: identity.uuid.clone(),
            suffix: identity.suffix.clone(),
            http_url: http.clone(),
            websocket_url: format!("ws://{authority}"),
            parameters: options.parameters.clone(),
            defaults: options.defaults.clone(),
        };
        let template = Template::parse(&options.template, &settings)?;
        let secrets = secrets(&template, &mut identity).map_err(at_data_dir)?;
        let stage = template.websocket.as_ref().map_or("", |api| &api.stage);
        let urls = Urls {
            ws: format!("{}/{stage}", http.replacen("http", "ws", 1)),
            http,
            stack_token: identity.stack_token.clone(),
            data_dir: std::path::absolute(directory).map_err(at_data_dir)?,
        };
        let endpoint = format!("http://{calls}");
        let variables = variables(&template, &mut identity, &endpoint).map_err(at_data_dir)?;
        let developer_key = identity.access_key("Developer").map_err(at_data_dir)?;
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
        Ok(Deployment {
            template,
            urls,
            hosts: Hosts::new(options.host, options.allow_hosts.iter().cloned()),
            secrets,
            variables,
            identity,
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

/// Each secret's text by ARN.
fn secrets(template: &Template, identity: &mut Identity) -> io::Result<BTreeMap<String, String>> {
    let secrets = template.secrets.iter();
    secrets
        .map(|secret| Ok((secret.arn.clone(), secret_text(secret, identity)?)))
        .collect()
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

/// Each function's variables: the template's, and those that Lambda sets.
fn variables(
    template: &Template,
    identity: &mut Identity,
    endpoint: &str,
) -> io::Result<BTreeMap<String, Variables>> {
    let mut all = BTreeMap::new();
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
