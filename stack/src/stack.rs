//! A running local stack.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use platform::clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::aws::AwsEndpoint;
use crate::bill::{Bill, Readings};
pub use crate::deployment::Urls;
use crate::deployment::{Deployment, Variables};
use crate::dynamodb::{CreateError, DynamoDb, OpenError};
use crate::faults::Faults;
use crate::files;
use crate::functions::{FunctionError, FunctionLog, Functions, InvokeError, Pieces};
use crate::hosts::Hosts;
use crate::limits::{self, Bodies, Places};
use crate::recursion::Lineage;
use crate::s3::{Object, S3, S3Error};
use crate::server::Entrance;
use crate::sockets::Sockets;
use crate::sqs::{Counts, Message, Sqs, SqsError};
use crate::tasks;
use crate::template::{Template, TemplateError};
use crate::webhook::PathTaken;

/// The template that is deployed.
pub const TEMPLATE: &str = include_str!("../../infra/template.yaml");
pub(crate) const REGION: &str = "us-east-1";

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
    /// Names in `Host` that are answered, beside `localhost`, loopback addresses, `host`, and those of
    /// `webhook_urls`.
    pub allow_hosts: Vec<String>,
    /// The webhook URLs as they stand in Mandrill; the local one when empty.
    pub webhook_urls: Vec<String>,
    /// The webhook keys, each with a name; a generated one when empty.
    pub webhook_keys: Vec<(String, String)>,
    /// Have no webhook key: the secret in the URL alone decides.
    pub without_webhook_key: bool,
    /// A parameter that the webhook's URL has to have, and its value.
    pub url_secret: Option<(String, String)>,
    /// Poll streams four times a second, as Lambda does, instead of at once.
    pub at_aws_pace: bool,
    /// Where `cargo lambda build` left the functions' binaries (`target/lambda`), to run those under
    /// the Lambda Runtime API; the functions run in this process when there is none.
    pub functions: Option<PathBuf>,
    /// Close `WebSockets` after this long, in place of the two hours of AWS; never after more.
    pub socket_limit: Option<Duration>,
    /// How many connections of clients are served at once; one more is refused.
    pub connections: usize,
    /// How many times as fast as the template says everything that waits goes, 1 to 3,600: what the
    /// functions wait for by the template's parameter `TimeScale`, if it has one, and schedules.
    pub time_scale: u32,
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
            allow_hosts: Vec::new(),
            webhook_urls: Vec::new(),
            webhook_keys: Vec::new(),
            without_webhook_key: false,
            url_secret: None,
            at_aws_pace: false,
            functions: None,
            socket_limit: None,
            connections: limits::CONNECTIONS,
            time_scale: 1,
        }
    }
}

/// Why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("cannot listen on {0}, which another program uses: `--port 0` takes any that is free")]
    PortTaken(SocketAddr),
    /// The address is not ours, or the port not for everybody.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {0}")]
    DataDirectory(PathBuf, #[source] io::Error),
    /// Another process is using the data directory.
    #[error("another local stack is using the data directory {0}")]
    InUse(PathBuf),
    /// The webhook would be where something else is.
    #[error(transparent)]
    WebhookPath(#[from] PathTaken),
    /// The template, or a parameter's value, is wrong.
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    /// The database does not open.
    #[error("the database does not open")]
    Database(#[from] OpenError),
    /// The objects cannot be had.
    #[error("the objects cannot be had")]
    Objects(#[from] S3Error),
    /// The queues cannot be had.
    #[error("the queues cannot be had")]
    Queues(#[from] SqsError),
    /// A table cannot be made.
    #[error("a table cannot be made")]
    Table(#[from] CreateError),
    /// A function cannot be made.
    #[error("a function cannot be made")]
    Function(#[from] FunctionError),
}

/// What the parts of a running stack share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) template: Template,
    pub(crate) aws: AwsEndpoint,
    pub(crate) functions: Functions,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) bill: Arc<Bill>,
    /// What functions that run as processes of their own have printed.
    functions_log: Option<PathBuf>,
    pub(crate) urls: Urls,
    pub(crate) hosts: Hosts,
    pub(crate) bodies: Bodies,
    pub(crate) call_bodies: Bodies,
    pub(crate) http_api_id: String,
    pub(crate) websocket_path: String,
    pub(crate) socket_limit: Option<Duration>,
}

impl Services {
    /// Makes the tables and the functions.
    async fn new(deployment: Deployment, options: &Options) -> Result<Arc<Services>, StartError> {
        let (data_dir, built) = (options.data_dir.as_path(), options.functions.as_deref());
        let template = deployment.template;
        let dynamodb = DynamoDb::open(data_dir, REGION)?;
        for table in &template.tables {
            dynamodb
                .create(table.create_table_request(), table.ttl_attribute.as_deref())
                .await?;
        }
        let s3 = S3::open(data_dir, template.buckets.clone())?;
        let functions = functions(&template, &deployment.variables, data_dir, built)?;
        let (sockets, faults) = (Arc::new(Sockets::default()), Arc::new(Faults::default()));
        let queues = template.queues.clone();
        let sqs = Sqs::open(data_dir, queues, REGION, faults.sqs().clone())?;
        let bill = Arc::new(Bill::new(&template.functions, clock::now()));
        let stage = template.websocket.as_ref().map(|api| api.stage.clone());
        let http_api_id = template.http_api.as_ref().map(|api| api.api_id.clone());
        let stage = stage.unwrap_or_default();
        Ok(Arc::new(Services {
            websocket_path: format!("/{stage}"),
            socket_limit: options.socket_limit,
            hosts: deployment.hosts,
            bodies: Bodies::new(limits::BODIES_KB),
            call_bodies: Bodies::new(limits::CALL_BODIES_KB),
            aws: AwsEndpoint {
                dynamodb,
                s3,
                sqs,
                secrets: Mutex::new(deployment.secrets),
                sockets: sockets.clone(),
                stage,
                callers: deployment.callers,
                api_id: template
                    .websocket
                    .as_ref()
                    .map(|api| api.api_id.clone())
                    .unwrap_or_default(),
                faults: faults.clone(),
                bill: bill.clone(),
            },
            functions,
            sockets,
            faults,
            bill,
            functions_log: built.map(|_| data_dir.join(files::FUNCTIONS_LOG)),
            http_api_id: http_api_id.unwrap_or_default(),
            urls: deployment.urls,
            template,
        }))
    }

    pub(crate) fn dynamodb(&self) -> &DynamoDb {
        &self.aws.dynamodb
    }

    /// Invokes a function, on the bill.
    pub(crate) async fn invoke(
        &self,
        logical_id: &str,
        payload: String,
    ) -> Result<String, InvokeError> {
        let _held = self.faults.running().await;
        self.invoke_held(logical_id, payload).await
    }

    /// Invokes a function for who sees to it that time stands still (`Faults::running`).
    pub(crate) async fn invoke_held(
        &self,
        logical_id: &str,
        payload: String,
    ) -> Result<String, InvokeError> {
        self.invoke_in_chain(logical_id, payload, &Lineage::default())
            .await
    }

    /// The same at the end of a chain of invocations.
    pub(crate) async fn invoke_in_chain(
        &self,
        logical_id: &str,
        payload: String,
        chain: &Lineage,
    ) -> Result<String, InvokeError> {
        let running = self.bill.invocation(logical_id);
        let crashed = self.faults.crashed(logical_id);
        let answer = self.functions.invoke(logical_id, payload, chain, crashed);
        let answer = answer.await;
        if let Err(InvokeError::TooLarge | InvokeError::Throttled) = answer {
            running.refused();
        }
        answer
    }

    /// Invokes a function whose answer may come piece by piece, on the bill.
    pub(crate) fn stream(&self, logical_id: &str, payload: String) -> Result<Pieces, InvokeError> {
        let running = self.bill.invocation(logical_id);
        self.functions.stream(logical_id, payload, running)
    }

    /// The bill so far.
    pub(crate) fn bill(&self) -> serde_json::Value {
        let consumed = self.dynamodb().consumed().into_iter();
        self.bill.to_json(&Readings {
            now: clock::now(),
            open_since: self.sockets.open_since(),
            log_bytes: self.functions_log.as_deref().and_then(size),
            dynamodb: consumed
                .map(|(name, consumed)| (self.logical_name(&name), consumed))
                .collect(),
        })
    }

    /// `EventsTable/feed` for the index of that table's physical name.
    fn logical_name(&self, name: &str) -> String {
        let (table, index) = name.split_at(name.find('/').unwrap_or(name.len()));
        let mut tables = self.template.tables.iter();
        let known = tables.find(|known| known.name == table);
        format!("{}{index}", known.map_or(table, |known| &known.logical_id))
    }
}

fn size(file: &Path) -> Option<u64> {
    std::fs::metadata(file).ok().map(|file| file.len())
}

fn functions(
    template: &Template,
    variables: &Variables,
    data_dir: &Path,
    built: Option<&Path>,
) -> Result<Functions, FunctionError> {
    match built {
        None => Functions::in_process(&template.functions, variables),
        Some(directory) => {
            let log = FunctionLog::create(&data_dir.join(files::FUNCTIONS_LOG));
            let log = Arc::new(log.map_err(FunctionError::Log)?);
            Functions::built(&template.functions, variables, directory, &log)
        }
    }
}

/// A running local stack. It stops when it is dropped.
#[derive(Debug)]
pub struct Stack {
    pub(crate) services: Arc<Services>,
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
        let time_scale = options.time_scale.clamp(1, 3_600);
        let at_data_dir = |error| StartError::DataDirectory(data_dir.clone(), error);
        files::create(&data_dir).map_err(at_data_dir)?;
        let lock = lock(&data_dir)?;
        files::make_private(&data_dir).map_err(at_data_dir)?;
        // Of one that was killed: nothing answers there yet.
        files::remove(&data_dir, files::STACK).map_err(at_data_dir)?;
        let (public, address) = listen(options.host, options.port).await?;
        // Of their own, so that no flood of clients keeps the functions from AWS.
        let (calls, calls_address) = listen(Ipv4Addr::LOCALHOST.into(), 0).await?;

        let deployment = Deployment::new(&options, address.port(), calls_address)?;
        let variables = deployment.shared_variables();
        let services = Services::new(deployment, &options).await?;
        // What has come into being since.
        files::make_private(&data_dir).map_err(at_data_dir)?;
        let (stop, stopped) = watch::channel(false);
        let tasks = tasks::spawn(
            &services,
            [
                Entrance::Public(public, Places::new(options.connections)),
                Entrance::Calls(calls),
            ],
            stopped,
            options.at_aws_pace,
            time_scale,
        );
        // Whoever finds `stack.json` finds a stack that answers.
        files::write(&data_dir, files::FUNCTIONS_ENV, &variables).map_err(at_data_dir)?;
        files::write_json(&data_dir, files::STACK, &services.urls).map_err(at_data_dir)?;
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

    /// The text of a secret, by logical id.
    #[must_use]
    pub fn secret(&self, logical_id: &str) -> Option<String> {
        let secret = self
            .template()
            .secrets
            .iter()
            .find(|secret| secret.logical_id == logical_id)?;
        self.services.aws.secrets().get(&secret.arn).cloned()
    }

    /// Changes the text of a secret, as an operator does, until the stack stops.
    pub fn set_secret(&self, logical_id: &str, text: String) {
        let mut secrets = self.template().secrets.iter();
        if let Some(secret) = secrets.find(|secret| secret.logical_id == logical_id) {
            self.services.aws.secrets().insert(secret.arn.clone(), text);
        }
    }

    /// The calls of AWS that the policies did not allow so far: each function and action.
    #[must_use]
    pub fn refused_calls(&self) -> BTreeSet<(String, String)> {
        let callers = self.services.aws.callers.values();
        let refused = callers.flat_map(|caller| {
            let actions = caller.refused().clone();
            actions
                .into_iter()
                .map(|action| (caller.name.clone(), action))
        });
        refused.collect()
    }

    /// The rights that calls so far have needed: each function, the index of the statement in its
    /// policies that alone allowed the call, and the action in lower case.
    #[must_use]
    pub fn needed_rights(&self) -> BTreeSet<(String, usize, String)> {
        let callers = self.services.aws.callers.values();
        let needed = callers.flat_map(|caller| {
            let needed = caller.needed().clone().into_iter();
            needed.map(|(index, action)| (caller.name.clone(), index, action))
        });
        needed.collect()
    }

    /// The messages of a queue, by its logical id, in the order of sending.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be read.
    pub async fn queue(&self, logical_id: &str) -> Result<Vec<Message>, SqsError> {
        self.services.aws.sqs.messages(logical_id).await
    }

    /// How many messages of each kind a queue has, by its logical id.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be read.
    pub async fn queue_counts(&self, logical_id: &str) -> Result<Counts, SqsError> {
        self.services.aws.sqs.counts(logical_id).await
    }

    /// All objects of a bucket, by logical id, in the order of their keys.
    ///
    /// # Errors
    /// When there is no such bucket, or they cannot be read.
    pub async fn objects(&self, logical_id: &str) -> Result<Vec<Object>, S3Error> {
        self.services.aws.s3.objects(self.bucket(logical_id)?).await
    }

    /// Deletes an object of a bucket, as an operator may.
    ///
    /// # Errors
    /// When there is no such bucket, or it cannot be deleted.
    pub async fn delete_object(&self, logical_id: &str, key: &str) -> Result<(), S3Error> {
        let bucket = self.bucket(logical_id)?;
        self.services.aws.s3.delete(bucket, key).await
    }

    fn bucket(&self, logical_id: &str) -> Result<&str, S3Error> {
        let mut buckets = self.template().buckets.iter();
        let bucket = buckets.find(|bucket| bucket.logical_id == logical_id);
        Ok(&bucket.ok_or(S3Error::NoSuchBucket)?.arn)
    }

    /// Invokes a function of the template with a payload.
    ///
    /// # Errors
    /// As Lambda reports it.
    pub async fn invoke(&self, logical_id: &str, payload: String) -> Result<String, InvokeError> {
        self.services.invoke(logical_id, payload).await
    }

    /// Closes the connections and stops.
    pub async fn stop(mut self) {
        self.services.sockets.close_all();
        // Clients get their close frames, and `$disconnect` runs.
        let closed = async {
            while !self.services.sockets.are_all_ended() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), closed).await;
        let _ = self.stop.send(true);
        self.tasks.shutdown().await;
        // A stack that can be found and does not answer helps nobody, but it is no harm either.
        let _ = files::remove(&self.data_dir, files::STACK);
    }
}

async fn listen(host: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::new(host, port);
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken(address),
        _ => StartError::Listen(address, error),
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| StartError::Listen(address, error))?;
    Ok((listener, address))
}

/// Holds the data directory for this process: two would deliver everything twice.
fn lock(directory: &Path) -> Result<std::fs::File, StartError> {
    let at_data_dir = |error| StartError::DataDirectory(directory.to_owned(), error);
    let held = files::lock(directory).map_err(at_data_dir)?;
    held.ok_or_else(|| StartError::InUse(directory.to_owned()))
}
