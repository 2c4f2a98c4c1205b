//! Functions in this process: the handlers that the binaries are made of, called with the same text.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use platform::{Aws, ConfigError, Lookup};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::InvokeError;
use super::streaming::{DELIMITER, Outlet, Piece};

/// The functions that there are, built into this binary.
#[derive(Debug)]
pub(super) enum Program {
    Webhook(webhook::Deps),
    Api(api::Deps),
    Connect(connect::Deps),
    Disconnect(disconnect::Deps),
    Message(message::Deps),
    Push(push::Deps),
    Dispatch(dispatch::Deps),
    Deliver(Box<deliver::Deps>),
    Requeue(requeue::Deps),
    Tail(Arc<tail::Deps>),
    #[cfg(test)]
    Scripted(String),
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
            "dispatch" => dispatch::Deps::new(aws, lookup).map(Program::Dispatch),
            "deliver" => deliver::Deps::new(aws, lookup)
                .map(Box::new)
                .map(Program::Deliver),
            "requeue" => requeue::Deps::new(aws, lookup).map(Program::Requeue),
            "tail" => tail::Deps::new(aws, lookup).map(|deps| Program::Tail(Arc::new(deps))),
            #[cfg(test)]
            "scripted" => Ok(Program::Scripted(lookup("SCRIPT").unwrap_or_default())),
            _ => return None,
        })
    }

    /// Runs one invocation.
    ///
    /// # Errors
    /// When the payload is not what the function takes, or the function returns an error.
    pub(super) async fn run(&self, payload: &str, context: Context) -> Result<String, InvokeError> {
        match self {
            Program::Webhook(deps) => answer(webhook::handle(deps, event(payload, context)?).await),
            Program::Api(deps) => answer(api::handle(deps, event(payload, context)?).await),
            Program::Connect(deps) => answer(connect::handle(deps, event(payload, context)?).await),
            Program::Disconnect(deps) => {
                answer(disconnect::handle(deps, event(payload, context)?).await)
            }
            Program::Message(deps) => answer(message::handle(deps, event(payload, context)?).await),
            Program::Push(deps) => answer(push::handle(deps, event(payload, context)?).await),
            Program::Dispatch(deps) => {
                answer(dispatch::handle(deps, event(payload, context)?).await)
            }
            Program::Deliver(deps) => answer(deliver::handle(deps, event(payload, context)?).await),
            Program::Requeue(deps) => answer(requeue::handle(deps, event(payload, context)?).await),
            Program::Tail(deps) => {
                let (outlet, pieces) = Outlet::new();
                let run = async move { tail(deps, payload, context, &outlet).await };
                let (ran, answer) = tokio::join!(run, pieces.collect());
                ran.and(answer)
            }
            #[cfg(test)]
            Program::Scripted(name) => {
                let script = super::scripted::find(name);
                let script = script.ok_or_else(|| InvokeError::failed("Script", name.as_str()))?;
                let answer = script(serde_json::from_str(payload).unwrap_or_default()).await;
                let answer = answer.map_err(|message| InvokeError::failed("Scripted", message))?;
                Ok(answer.to_string())
            }
        }
    }

    /// Runs one invocation whose answer may come piece by piece.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub(super) async fn stream(
        &self,
        payload: &str,
        context: Context,
        outlet: &Outlet,
    ) -> Result<(), InvokeError> {
        match self {
            Program::Tail(deps) => tail(deps, payload, context, outlet).await,
            Program::Webhook(_)
            | Program::Api(_)
            | Program::Connect(_)
            | Program::Disconnect(_)
            | Program::Message(_)
            | Program::Push(_)
            | Program::Dispatch(_)
            | Program::Deliver(_)
            | Program::Requeue(_) => {
                outlet.put_whole(self.run(payload, context).await?).await;
                Ok(())
            }
            #[cfg(test)]
            Program::Scripted(_) => {
                outlet.put_whole(self.run(payload, context).await?).await;
                Ok(())
            }
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

/// What `lambda_runtime::run` does with an answer that is streamed.
async fn tail(
    deps: &Arc<tail::Deps>,
    payload: &str,
    context: Context,
    outlet: &Outlet,
) -> Result<(), InvokeError> {
    let answering = tail::handle(deps, event(payload, context)?);
    let response = answering.await.map_err(|error| {
        let diagnostic = Diagnostic::from(error);
        InvokeError::failed(diagnostic.error_type, diagnostic.error_message)
    })?;
    let mut prelude = response.metadata_prelude;
    prelude
        .headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/octet-stream"));
    let prelude = serde_json::to_string(&prelude)
        .map_err(|error| InvokeError::failed("serde_json::Error", error.to_string()))?;
    outlet.put(Piece::Begin { has_prelude: true }).await;
    outlet.put(Piece::Data(prelude.into())).await;
    outlet.put(Piece::Data(DELIMITER.to_vec().into())).await;
    let mut body = response.stream;
    while let Some(Ok::<_, Infallible>(data)) = body.next().await {
        outlet.put(Piece::Data(data)).await;
    }
    outlet.put(Piece::End).await;
    Ok(())
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
