//! A running local stack.

mod deployment;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod options;
pub(crate) mod services;
mod tasks;
pub(crate) mod urls;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dynamodb::DynamoDb;
use crate::faults::Faults;
use crate::files;
use crate::functions::InvokeError;
use crate::gateway::sockets::Sockets;
use crate::s3::{Object, S3Error};
use crate::server::Entrance;
use crate::server::limits::Places;
use crate::sqs::{Counts, Message, SqsError};
use crate::template::{Secret, Template};

use deployment::Deployment;
use error::StartError;
use options::Options;
use services::Services;
use urls::Urls;

/// A stack whose template is read and that listens, but does not answer yet: secrets can be filled in.
#[derive(Debug)]
pub struct Prepared {
    options: Options,
    deployment: Deployment,
    /// What `stack.json` says besides the URLs.
    details: Map<String, Value>,
    public: TcpListener,
    calls: TcpListener,
    lock: std::fs::File,
}

impl Prepared {
    /// Takes the data directory and the port, and reads the template.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn new(options: Options) -> Result<Prepared, StartError> {
        let data_dir = &options.data_dir;
        let at_data_dir = |error| StartError::DataDirectory(data_dir.clone(), error);
        files::create(data_dir).map_err(at_data_dir)?;
        let lock = lock(data_dir)?;
        files::make_private(data_dir).map_err(at_data_dir)?;
        // Of one that was killed: nothing answers there yet.
        files::remove(data_dir, files::STACK).map_err(at_data_dir)?;
        let (public, address) = listen(options.host, options.port).await?;
        // Of their own, so that no flood of clients keeps the functions from AWS.
        let (calls, calls_address) = listen(Ipv4Addr::LOCALHOST.into(), 0).await?;
        let deployment = Deployment::new(&options, address.port(), calls_address)?;
        Ok(Prepared {
            options,
            deployment,
            details: Map::new(),
            public,
            calls,
            lock,
        })
    }

    /// The template, with its parameters filled in.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.deployment.template
    }

    /// Where the stack will be found.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.deployment.urls
    }

    /// The text of a secret, by logical id, as the template generates it.
    #[must_use]
    pub fn secret(&self, logical_id: &str) -> Option<&str> {
        let arn = &secret(self.template(), logical_id)?.arn;
        self.deployment.secrets.get(arn).map(String::as_str)
    }

    /// Fills in a secret, if the template has it.
    pub fn set_secret(&mut self, logical_id: &str, text: String) {
        if let Some(secret) = secret(&self.deployment.template, logical_id) {
            self.deployment.secrets.insert(secret.arn.clone(), text);
        }
    }

    /// A text that stays the same for as long as the data directory exists, such as a key: `make`
    /// makes it at the first start.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn keep(
        &mut self,
        name: &str,
        make: impl FnOnce() -> io::Result<String>,
    ) -> Result<String, StartError> {
        let kept = self.deployment.identity.keep(name, make);
        kept.map_err(|error| StartError::DataDirectory(self.options.data_dir.clone(), error))
    }

    /// Adds to what `stack.json` says.
    pub fn describe(&mut self, details: Map<String, Value>) {
        self.details.extend(details);
    }

    /// Starts the stack; it is ready when this returns.
    ///
    /// # Errors
    /// When something of it cannot be had.
    pub async fn start(self) -> Result<Stack, StartError> {
        let options = self.options;
        let data_dir = options.data_dir.clone();
        let at_data_dir = |error| StartError::DataDirectory(data_dir.clone(), error);
        let identity = &self.deployment.identity;
        identity.save(&data_dir).map_err(at_data_dir)?;
        let variables = self.deployment.shared_variables();
        let services = Services::new(self.deployment, &options).await?;
        // What has come into being since.
        files::make_private(&data_dir).map_err(at_data_dir)?;
        let entrances = [
            Entrance::Public(self.public, Places::new(options.connections)),
            Entrance::Calls(self.calls),
        ];
        let (stop, stopped) = watch::channel(false);
        let tasks = tasks::spawn(
            &services,
            entrances,
            stopped,
            options.at_aws_pace,
            options.time_scale.clamp(1, 3_600),
        );
        // Whoever finds `stack.json` finds a stack that answers.
        files::write(&data_dir, files::FUNCTIONS_ENV, &variables).map_err(at_data_dir)?;
        let description = description(&services.urls, self.details).map_err(at_data_dir)?;
        files::write_json(&data_dir, files::STACK, &description).map_err(at_data_dir)?;
        Ok(Stack {
            services,
            data_dir,
            stop,
            tasks,
            _lock: self.lock,
        })
    }
}

fn secret<'t>(template: &'t Template, logical_id: &str) -> Option<&'t Secret> {
    let mut secrets = template.secrets.iter();
    secrets.find(|secret| secret.logical_id == logical_id)
}

/// What `stack.json` says.
fn description(urls: &Urls, details: Map<String, Value>) -> io::Result<Value> {
    let mut description = serde_json::to_value(urls).map_err(io::Error::other)?;
    if let Some(fields) = description.as_object_mut() {
        fields.extend(details);
    }
    Ok(description)
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
        Prepared::new(options).await?.start().await
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
        let secret = secret(self.template(), logical_id)?;
        self.services.aws.secrets().get(&secret.arn).cloned()
    }

    /// Changes the text of a secret, as an operator does, until the stack stops.
    pub fn set_secret(&self, logical_id: &str, text: String) {
        if let Some(secret) = secret(self.template(), logical_id) {
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
