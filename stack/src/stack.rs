//! A running local stack.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use platform::clock;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::aws::AwsEndpoint;
use crate::dynamodb::{CreateError, DynamoDb, OpenError, SHARDS};
use crate::faults::Faults;
use crate::functions::{FunctionError, Functions};
use crate::identity::Identity;
use crate::queues::Queues;
use crate::sockets::Sockets;
use crate::template::{self, SecretContent, Settings, Template, TemplateError};
use crate::{mapping, server};

/// The template that is deployed.
pub const TEMPLATE: &str = include_str!("../../infra/template.yaml");
const REGION: &str = "us-east-1";
/// How often expired items and old stream records are looked for.
const MAINTENANCE: Duration = Duration::from_secs(60);

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 for any.
    pub port: u16,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The template's text.
    pub template: String,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// The webhook URLs as they stand in Mandrill; the local one when empty.
    pub webhook_urls: Vec<String>,
    /// The webhook keys, each with a name; a generated one when empty.
    pub webhook_keys: Vec<(String, String)>,
    /// A parameter that the webhook's URL has to have, and its value.
    pub url_secret: Option<(String, String)>,
    /// Poll streams four times a second, as Lambda does, instead of at once.
    pub at_aws_pace: bool,
}

impl Options {
    /// A stack on any free port of this machine, with its data in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            data_dir: data_dir.into(),
            template: TEMPLATE.to_owned(),
            parameters: BTreeMap::new(),
            webhook_urls: Vec::new(),
            webhook_keys: Vec::new(),
            url_secret: None,
            at_aws_pace: false,
        }
    }
}

/// Why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or the address is not ours.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {0}")]
    DataDirectory(PathBuf, #[source] io::Error),
    /// Another process is using the data directory.
    #[error("another local stack is using the data directory {0}")]
    InUse(PathBuf),
    /// The template, or a parameter's value, is wrong.
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    /// The database does not open.
    #[error("the database does not open")]
    Database(#[from] OpenError),
    /// A table cannot be made.
    #[error("a table cannot be made")]
    Table(#[from] CreateError),
    /// A function cannot be made.
    #[error("a function cannot be made")]
    Function(#[from] FunctionError),
}

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
    /// Opens everything.
    pub token: String,
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

/// What the parts of a running stack share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) template: Template,
    pub(crate) aws: AwsEndpoint,
    pub(crate) functions: Functions,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) queues: Queues,
    pub(crate) faults: Arc<Faults>,
    pub(crate) urls: Urls,
    pub(crate) http_api_id: String,
    pub(crate) websocket_path: String,
}

impl Services {
    pub(crate) fn dynamodb(&self) -> &DynamoDb {
        &self.aws.dynamodb
    }
}

/// A running local stack. It stops when it is dropped.
#[derive(Debug)]
pub struct Stack {
    services: Arc<Services>,
    data_dir: PathBuf,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    _lock: std::fs::File,
}

impl Stack {
    /// Starts a stack; it is ready when this returns.
    ///
    /// # Errors
    /// When something of it cannot be had.
    pub async fn start(options: Options) -> Result<Stack, StartError> {
        let data_dir = options.data_dir.clone();
        let at_data_dir = |error| StartError::DataDirectory(data_dir.clone(), error);
        std::fs::create_dir_all(&data_dir).map_err(at_data_dir)?;
        let lock = lock(&data_dir)?;
        let address = SocketAddr::new(options.host, options.port);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| StartError::Listen(address, error))?;
        let port = listener
            .local_addr()
            .map_err(|error| StartError::Listen(address, error))?
            .port();

        let mut identity = Identity::load(&data_dir).map_err(at_data_dir)?;
        let http = format!("http://localhost:{port}");
        let settings = Settings {
            region: REGION.to_owned(),
            stack_uuid: identity.uuid.clone(),
            suffix: identity.suffix.clone(),
            http_url: http.clone(),
            websocket_url: format!("ws://localhost:{port}"),
            parameters: options.parameters.clone(),
        };
        let template = Template::parse(&options.template, &settings)?;
        let stage = template
            .websocket
            .as_ref()
            .map(|api| api.stage.clone())
            .unwrap_or_default();
        let (secrets, urls) =
            secrets(&template, &options, &mut identity, &http, &stage).map_err(at_data_dir)?;
        let variables = variables(&template, &mut identity, &endpoint(options.host, port))
            .map_err(at_data_dir)?;
        identity.save(&data_dir).map_err(at_data_dir)?;

        let dynamodb = DynamoDb::open(&data_dir, REGION)?;
        for table in &template.tables {
            dynamodb
                .create(table.create_table_request(), table.ttl_attribute.as_deref())
                .await?;
        }
        let functions = Functions::new(&template.functions, |function, name| {
            variables.get(&function.logical_id)?.get(name).cloned()
        })?;
        let (sockets, faults) = (Arc::new(Sockets::default()), Arc::new(Faults::default()));
        let services = Arc::new(Services {
            aws: AwsEndpoint {
                dynamodb,
                secrets,
                sockets: sockets.clone(),
                stage: stage.clone(),
                callers: identity
                    .access_keys
                    .iter()
                    .map(|(function, key)| (key.clone(), function.clone()))
                    .collect(),
                faults: faults.clone(),
            },
            functions,
            sockets,
            queues: Queues::new(data_dir.join("queues"), template.queues.clone())
                .map_err(at_data_dir)?,
            faults,
            http_api_id: template
                .http_api
                .as_ref()
                .map(|api| api.api_id.clone())
                .unwrap_or_default(),
            websocket_path: format!("/{stage}"),
            urls,
            template,
        });
        write_files(&data_dir, &services, &variables).map_err(at_data_dir)?;
        let (stop, stopped) = watch::channel(false);
        let tasks = spawn(&services, listener, stopped, options.at_aws_pace);
        Ok(Stack {
            services,
            data_dir,
            stop,
            tasks,
            _lock: lock,
        })
    }

    /// Where it is to be found.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.services.urls
    }

    /// Where its data is.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What goes wrong with streams and sockets.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.services.faults
    }

    /// Its DynamoDB, with faults of its own.
    #[must_use]
    pub fn dynamodb(&self) -> &DynamoDb {
        self.services.dynamodb()
    }

    /// The template that it runs.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.services.template
    }

    /// The open connections.
    #[must_use]
    pub fn sockets(&self) -> &Sockets {
        &self.services.sockets
    }

    /// Messages in a queue.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn queue(&self, logical_id: &str) -> io::Result<Vec<serde_json::Value>> {
        Ok(self
            .services
            .queues
            .messages(logical_id)?
            .unwrap_or_default())
    }

    /// Invokes a function of the template with a payload.
    ///
    /// # Errors
    /// As Lambda reports it.
    pub async fn invoke(
        &self,
        logical_id: &str,
        payload: String,
    ) -> Result<String, crate::functions::InvokeError> {
        self.services.functions.invoke(logical_id, payload).await
    }

    /// Closes the connections and stops.
    pub async fn stop(mut self) {
        self.services.sockets.close_all();
        // Clients get their close frames, and `$disconnect` runs.
        let closed = async {
            while self.services.sockets.count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), closed).await;
        let _ = self.stop.send(true);
        self.tasks.shutdown().await;
    }
}

fn spawn(
    services: &Arc<Services>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
    at_aws_pace: bool,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(server::serve(listener, services.clone(), stopped));
    for mapping in services
        .template
        .mappings
        .iter()
        .filter(|mapping| mapping.is_enabled)
    {
        let Some(table) = services.template.table(&mapping.table) else {
            continue;
        };
        let shared = Arc::new(mapping.clone());
        for shard in 0..SHARDS {
            tasks.spawn(mapping::run(
                services.clone(),
                shared.clone(),
                table.name.clone(),
                shard,
                at_aws_pace,
            ));
        }
    }
    let dynamodb = services.dynamodb().clone();
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(MAINTENANCE).await;
            if let Err(error) = dynamodb.maintain(clock::now().as_secs()).await {
                tracing::error!(%error, "The database could not be tidied.");
            }
        }
    });
    tasks
}

/// Holds the data directory for this process: two would deliver everything twice.
fn lock(directory: &Path) -> Result<std::fs::File, StartError> {
    let at_data_dir = |error| StartError::DataDirectory(directory.to_owned(), error);
    let file = std::fs::File::create(directory.join("lock")).map_err(at_data_dir)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::InUse(directory.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(at_data_dir(error)),
    }
}

/// The functions call the endpoint on the address that they can reach.
fn endpoint(host: IpAddr, port: u16) -> String {
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
    stage: &str,
) -> io::Result<(BTreeMap<String, String>, Urls)> {
    let webhook_path = template
        .functions
        .iter()
        .find_map(|function| function.environment.get("WEBHOOK_PATH"));
    let local_url = {
        let query = options
            .url_secret
            .as_ref()
            .map(|(name, value)| format!("?{name}={value}"))
            .unwrap_or_default();
        format!(
            "{http}{}{query}",
            webhook_path.map_or("/mandrill", String::as_str)
        )
    };
    let urls = if options.webhook_urls.is_empty() {
        vec![local_url]
    } else {
        options.webhook_urls.clone()
    };
    let keys = if options.webhook_keys.is_empty() {
        vec![("main".to_owned(), identity.webhook_key.clone())]
    } else {
        options.webhook_keys.clone()
    };
    let mut texts = BTreeMap::new();
    let mut token = String::new();
    for secret in &template.secrets {
        let text = secret_text(secret, identity)?;
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(found) = value["token"].as_str() {
            found.clone_into(&mut token);
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
        token,
    };
    Ok((texts, urls))
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

type Variables = BTreeMap<String, BTreeMap<String, String>>;

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
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ];
        variables.extend(set.map(|(name, value)| (name.to_owned(), value)));
        all.insert(function.logical_id.clone(), variables);
    }
    Ok(all)
}

/// Writes `stack.json`, for tools and tests, and `functions.env`, for `cargo lambda watch`.
fn write_files(directory: &Path, services: &Services, variables: &Variables) -> io::Result<()> {
    // All functions share one file there, so each variable is the union of theirs, and the access
    // key is that of whichever function comes last.
    let all: BTreeMap<_, _> = variables.values().flatten().collect();
    let lines: String = all
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    let path = directory.join("functions.env");
    crate::identity::write_private_text(&path, &lines)?;
    crate::identity::write_private(&directory.join("stack.json"), &services.urls)
}
