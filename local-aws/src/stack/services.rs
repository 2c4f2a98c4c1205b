//! What the parts of a running stack share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Uri;

use crate::account::REGION;
use crate::aws::AwsEndpoint;
use crate::bill::{Bill, Readings};
use crate::clock;
use crate::dynamodb::DynamoDb;
use crate::faults::Faults;
use crate::files;
use crate::functions::recursion::Lineage;
use crate::functions::{FunctionError, FunctionLog, Functions, InvokeError, Pieces, Variables};
use crate::gateway::sockets::Sockets;
use crate::s3::S3;
use crate::server::hosts::Hosts;
use crate::server::limits::{self, Bodies};
use crate::sqs::Sqs;
use crate::stack::deployment::Deployment;
use crate::stack::error::StartError;
use crate::stack::options::{Options, Page};
use crate::stack::urls::Urls;
use crate::template::Template;

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
    pub(crate) page: Option<Page>,
    is_for_function_url: Option<fn(&Uri) -> bool>,
}

impl Services {
    /// Makes the tables and the functions.
    pub(crate) async fn new(
        deployment: Deployment,
        options: &Options,
    ) -> Result<Arc<Services>, StartError> {
        let data_dir = options.data_dir.as_path();
        let template = deployment.template;
        let dynamodb = DynamoDb::open(data_dir, REGION)?;
        for table in &template.tables {
            dynamodb
                .create(table.create_table_request(), table.ttl_attribute.as_deref())
                .await?;
        }
        let s3 = S3::open(data_dir, template.buckets.clone())?;
        let functions = functions(&template, &deployment.variables, options)?;
        let (sockets, faults) = (Arc::new(Sockets::default()), Arc::new(Faults::default()));
        let queues = template.queues.clone();
        let sqs = Sqs::open(data_dir, queues, REGION, faults.sqs().clone())?;
        let bill = Arc::new(Bill::new(
            &template.functions,
            options.pricing,
            clock::now(),
        ));
        let stage = template.websocket.as_ref().map(|api| api.stage.clone());
        let http_api_id = template.http_api.as_ref().map(|api| api.api_id.clone());
        let stage = stage.unwrap_or_default();
        Ok(Arc::new(Services {
            websocket_path: format!("/{stage}"),
            socket_limit: options.socket_limit,
            page: options.page,
            is_for_function_url: options.is_for_function_url,
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
            functions_log: options
                .functions
                .is_some()
                .then(|| data_dir.join(files::FUNCTIONS_LOG)),
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

    /// Whether a request is for the URL of a function.
    pub(crate) fn is_for_function_url(&self, uri: &Uri) -> bool {
        match self.is_for_function_url {
            Some(is_for_it) => is_for_it(uri),
            None => {
                let path = uri.path();
                self.template.http_api.is_none()
                    && path.trim_end_matches('/') != self.websocket_path
                    && !path.starts_with("/_stack/")
            }
        }
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

    /// `OrdersTable/by-day` for the index of that table's physical name.
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
    variables: &BTreeMap<String, Variables>,
    options: &Options,
) -> Result<Functions, FunctionError> {
    match &options.functions {
        None => Functions::in_process(&template.functions, variables, &options.handlers),
        Some(directory) => {
            let file = options.data_dir.join(files::FUNCTIONS_LOG);
            let log = FunctionLog::create(&file, options.show_log).map_err(FunctionError::Log)?;
            Functions::built(&template.functions, variables, directory, &Arc::new(log))
        }
    }
}
