//! The Lambda service: functions in this process, called with the JSON text that AWS sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Request, Service, service_fn};
use lambda_runtime::{Context, LambdaEvent};
use platform::{Aws, ConfigError, Lookup};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::template;

/// The largest payload of a synchronous invocation, and of its answer.
/// ("Lambda quotas": 6 MB each for request and response.)
pub const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// The functions that there are, built into this binary.
#[derive(Debug)]
enum Program {
    Webhook(webhook::Deps),
    Api(api::Deps),
    Connect(connect::Deps),
    Disconnect(disconnect::Deps),
    Message(message::Deps),
    Push(push::Deps),
}

/// A function of the template.
#[derive(Debug)]
struct Function {
    program: Program,
    arn: String,
    timeout: Duration,
}

/// The functions of the template, by logical id.
#[derive(Debug)]
pub struct Functions {
    functions: BTreeMap<String, Arc<Function>>,
}

/// Why a function cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The template names a program that is not part of this binary.
    #[error("{0} runs {1:?}, which is none of the functions in this binary")]
    Unknown(String, String),
    /// A variable is missing or wrong.
    #[error("{0} cannot start")]
    Config(String, #[source] ConfigError),
}

/// An invocation that gave no answer, as Lambda reports it.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The payload is larger than Lambda takes.
    #[error("the request is larger than {PAYLOAD_BYTES} bytes")]
    TooLarge,
    /// The answer is larger than Lambda takes.
    #[error("the response is larger than {PAYLOAD_BYTES} bytes")]
    AnswerTooLarge,
    /// The payload is not what the function takes.
    #[error("the payload is not what the function takes")]
    Payload(#[source] serde_json::Error),
    /// The function returned an error.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The function panicked.
    #[error("the function panicked")]
    Panicked,
    /// The function did not answer in time.
    #[error("the function timed out after {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl Functions {
    /// Builds the functions; `lookup` finds a variable of a function.
    ///
    /// # Errors
    /// When one is not known or lacks a variable.
    pub fn new(
        functions: &[template::Function],
        lookup: impl Fn(&template::Function, &str) -> Option<String>,
    ) -> Result<Functions, FunctionError> {
        let mut made = BTreeMap::new();
        // One pool of connections for all, as they all call the one endpoint.
        let mut http = None;
        for function in functions {
            let lookup = |name: &str| lookup(function, name);
            let http = http
                .get_or_insert_with(|| platform::clients::http_client(&lookup))
                .clone();
            let config = |error| FunctionError::Config(function.logical_id.clone(), error);
            let aws = Aws::new(&lookup, http).map_err(config)?;
            let program = Program::new(&function.binary, &aws, &lookup)
                .ok_or_else(|| {
                    FunctionError::Unknown(function.logical_id.clone(), function.binary.clone())
                })?
                .map_err(config)?;
            let function_ = Function {
                program,
                arn: function.arn.clone(),
                timeout: Duration::from_secs(u64::from(function.timeout_seconds)),
            };
            made.insert(function.logical_id.clone(), Arc::new(function_));
        }
        Ok(Functions { functions: made })
    }

    /// Invokes a function with a payload, and answers its answer.
    ///
    /// # Errors
    /// As Lambda reports it.
    pub async fn invoke(&self, logical_id: &str, payload: String) -> Result<String, InvokeError> {
        if payload.len() > PAYLOAD_BYTES {
            return Err(InvokeError::TooLarge);
        }
        let Some(function) = self.functions.get(logical_id).cloned() else {
            return Err(InvokeError::Failed(format!(
                "there is no function {logical_id}"
            )));
        };
        let timeout = function.timeout;
        // A task of its own: a panic is the function's and not ours.
        let mut task = tokio::spawn(async move { function.run(&payload).await });
        match tokio::time::timeout(timeout, &mut task).await {
            Ok(Ok(Ok(answer))) if answer.len() > PAYLOAD_BYTES => Err(InvokeError::AnswerTooLarge),
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(InvokeError::Panicked),
            Err(_) => {
                task.abort();
                Err(InvokeError::TimedOut(timeout))
            }
        }
    }
}

impl Program {
    fn new(binary: &str, aws: &Aws, lookup: Lookup<'_>) -> Option<Result<Program, ConfigError>> {
        Some(match binary {
            "webhook" => webhook::Deps::new(aws, lookup).map(Program::Webhook),
            "api" => api::Deps::new(aws, lookup).map(Program::Api),
            "connect" => connect::Deps::new(aws, lookup).map(Program::Connect),
            "disconnect" => disconnect::Deps::new(aws, lookup).map(Program::Disconnect),
            "message" => message::Deps::new(aws, lookup).map(Program::Message),
            "push" => push::Deps::new(aws, lookup).map(Program::Push),
            _ => return None,
        })
    }
}

impl Function {
    async fn run(&self, payload: &str) -> Result<String, InvokeError> {
        let context = self.context();
        match &self.program {
            Program::Webhook(deps) => {
                http(
                    payload,
                    context,
                    service_fn(|request: Request| webhook::handle(deps, request)),
                )
                .await
            }
            Program::Api(deps) => {
                http(
                    payload,
                    context,
                    service_fn(|request: Request| api::handle(deps, request)),
                )
                .await
            }
            Program::Connect(deps) => answer(connect::handle(deps, event(payload, context)?).await),
            Program::Disconnect(deps) => {
                answer(disconnect::handle(deps, event(payload, context)?).await)
            }
            Program::Message(deps) => answer(message::handle(deps, event(payload, context)?).await),
            Program::Push(deps) => answer(push::handle(deps, event(payload, context)?).await),
        }
    }

    fn context(&self) -> Context {
        let mut context = Context::default();
        context.request_id = crate::http_api::request_id();
        context.invoked_function_arn.clone_from(&self.arn);
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        context.deadline = platform::clock::now().plus(timeout).0;
        context
    }
}

fn event<T: DeserializeOwned>(
    payload: &str,
    context: Context,
) -> Result<LambdaEvent<T>, InvokeError> {
    serde_json::from_str(payload)
        .map(|payload| LambdaEvent::new(payload, context))
        .map_err(InvokeError::Payload)
}

fn answer<T: Serialize, E: std::fmt::Display>(result: Result<T, E>) -> Result<String, InvokeError> {
    let value = result.map_err(|error| InvokeError::Failed(error.to_string()))?;
    serde_json::to_string(&value).map_err(|error| InvokeError::Failed(error.to_string()))
}

/// What `lambda_http::run` does with a request and its response.
async fn http<'a, S>(payload: &str, context: Context, service: S) -> Result<String, InvokeError>
where
    S: Service<
            Request,
            Response = lambda_http::Response<lambda_http::Body>,
            Error = lambda_http::Error,
        >,
    S::Future: Send + 'a,
{
    let event: LambdaEvent<LambdaRequest> = event(payload, context)?;
    let mut adapter = Adapter::from(service);
    answer(adapter.call(event).await)
}
