//! Functions in this process: the handlers that the binaries are made of, called with the same text.

use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Request, Service, service_fn};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use platform::{Aws, ConfigError, Lookup};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::InvokeError;

/// The functions that there are, built into this binary.
#[derive(Debug)]
pub(super) enum Program {
    Webhook(webhook::Deps),
    Api(api::Deps),
    Connect(connect::Deps),
    Disconnect(disconnect::Deps),
    Message(message::Deps),
    Push(push::Deps),
}

impl Program {
    pub(super) fn new(
        binary: &str,
        aws: &Aws,
        lookup: Lookup<'_>,
    ) -> Option<Result<Program, ConfigError>> {
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

    /// Runs one invocation.
    ///
    /// # Errors
    /// When the payload is not what the function takes, or the function returns an error.
    pub(super) async fn run(&self, payload: &str, context: Context) -> Result<String, InvokeError> {
        match self {
            Program::Webhook(deps) => {
                let service = service_fn(|request: Request| webhook::handle(deps, request));
                http(payload, context, service).await
            }
            Program::Api(deps) => answer(api::handle(deps, event(payload, context)?).await),
            Program::Connect(deps) => answer(connect::handle(deps, event(payload, context)?).await),
            Program::Disconnect(deps) => {
                answer(disconnect::handle(deps, event(payload, context)?).await)
            }
            Program::Message(deps) => answer(message::handle(deps, event(payload, context)?).await),
            Program::Push(deps) => answer(push::handle(deps, event(payload, context)?).await),
        }
    }
}

fn event<T: DeserializeOwned>(
    payload: &str,
    context: Context,
) -> Result<LambdaEvent<T>, InvokeError> {
    serde_json::from_str(payload)
        .map(|payload| LambdaEvent::new(payload, context))
        .map_err(|error| InvokeError::failed("serde_json::Error", error.to_string()))
}

/// The answer, or the error as the Lambda runtime reports it.
fn answer<T: Serialize, E: Into<Diagnostic>>(result: Result<T, E>) -> Result<String, InvokeError> {
    let failed = |diagnostic: Diagnostic| {
        InvokeError::failed(diagnostic.error_type, diagnostic.error_message)
    };
    let value = result.map_err(|error| failed(error.into()))?;
    serde_json::to_string(&value)
        .map_err(|error| InvokeError::failed("serde_json::Error", error.to_string()))
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
