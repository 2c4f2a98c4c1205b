//! Functions in this process: handlers that are called with the text that Lambda would send.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, StreamResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::InvokeError;
use super::streaming::{DELIMITER, Outlet, Piece};

/// A function's variables: the template's, and those that Lambda sets, `AWS_ENDPOINT_URL` among them.
pub type Variables = BTreeMap<String, String>;

type Whole =
    dyn Fn(String, Context) -> BoxFuture<'static, Result<String, InvokeError>> + Send + Sync;
type Streamed =
    dyn Fn(String, Context, Outlet) -> BoxFuture<'static, Result<(), InvokeError>> + Send + Sync;
type Init = dyn Fn(&Variables) -> Result<Handler, Box<dyn Error + Send + Sync>> + Send + Sync;

/// What runs at each invocation of one function.
#[derive(Clone)]
pub struct Handler(Kind);

#[derive(Clone)]
enum Kind {
    Whole(Arc<Whole>),
    Streamed(Arc<Streamed>),
}

impl Handler {
    /// Takes the JSON text of a payload and answers a JSON text.
    pub fn text<F>(handle: impl Fn(String, Context) -> F + Send + Sync + 'static) -> Handler
    where
        F: Future<Output = Result<String, InvokeError>> + Send + 'static,
    {
        Handler(Kind::Whole(Arc::new(move |payload, context| {
            handle(payload, context).boxed()
        })))
    }

    /// Takes and answers what `lambda_runtime::service_fn` does.
    pub fn event<T, R, E, F>(
        handle: impl Fn(LambdaEvent<T>) -> F + Send + Sync + 'static,
    ) -> Handler
    where
        T: DeserializeOwned,
        R: Serialize,
        E: Into<Diagnostic>,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        Handler(Kind::Whole(Arc::new(move |payload, context| {
            match event(&payload, context) {
                Ok(event) => {
                    let answering = handle(event);
                    async move { text_of(answering.await) }.boxed()
                }
                Err(error) => std::future::ready(Err(error)).boxed(),
            }
        })))
    }

    /// The same for a function that streams its answer.
    pub fn streamed<T, S, B, O, E, F>(
        handle: impl Fn(LambdaEvent<T>) -> F + Send + Sync + 'static,
    ) -> Handler
    where
        T: DeserializeOwned,
        S: Stream<Item = Result<B, O>> + Unpin + Send + 'static,
        B: Into<Bytes> + Send,
        O: fmt::Display + Send,
        E: Into<Diagnostic>,
        F: Future<Output = Result<StreamResponse<S>, E>> + Send + 'static,
    {
        Handler(Kind::Streamed(Arc::new(
            move |payload, context, outlet| match event(&payload, context) {
                Ok(event) => {
                    let answering = handle(event);
                    async move { put(answering.await.map_err(failed)?, &outlet).await }.boxed()
                }
                Err(error) => std::future::ready(Err(error)).boxed(),
            },
        )))
    }

    /// Runs one invocation.
    pub(super) async fn run(
        &self,
        payload: String,
        context: Context,
    ) -> Result<String, InvokeError> {
        match &self.0 {
            Kind::Whole(handle) => handle(payload, context).await,
            Kind::Streamed(handle) => {
                let (outlet, pieces) = Outlet::new();
                let run = handle(payload, context, outlet);
                let (ran, answer) = tokio::join!(run, pieces.collect());
                ran.and(answer)
            }
        }
    }

    /// Runs one invocation whose answer may come piece by piece.
    pub(super) async fn stream(
        &self,
        payload: String,
        context: Context,
        outlet: Outlet,
    ) -> Result<(), InvokeError> {
        match &self.0 {
            Kind::Whole(handle) => {
                outlet.put_whole(handle(payload, context).await?).await;
                Ok(())
            }
            Kind::Streamed(handle) => handle(payload, context, outlet).await,
        }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// The functions that can run in this process, by the binary that the template names: the last
/// directory of `CodeUri`, or `Metadata.BuildProperties.Binary`.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<String, Arc<Init>>);

impl Handlers {
    /// No functions.
    #[must_use]
    pub fn new() -> Handlers {
        Handlers::default()
    }

    /// With a function whose handler needs none of its variables.
    #[must_use]
    pub fn with(self, binary: &str, handler: Handler) -> Handlers {
        self.with_init(binary, move |_| Ok(handler.clone()))
    }

    /// With a function whose handler is made from its variables, once for each stack that starts.
    /// An error is one of the function's init, and stops the start.
    #[must_use]
    pub fn with_init(
        mut self,
        binary: &str,
        init: impl Fn(&Variables) -> Result<Handler, Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Handlers {
        self.0.insert(binary.to_owned(), Arc::new(init));
        self
    }

    /// The names of the functions.
    pub fn binaries(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn find(&self, binary: &str) -> Option<&Init> {
        self.0.get(binary).map(Arc::as_ref)
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

fn event<T: DeserializeOwned>(
    payload: &str,
    context: Context,
) -> Result<LambdaEvent<T>, InvokeError> {
    serde_json::from_str(payload)
        .map(|payload| LambdaEvent::new(payload, context))
        .map_err(|error| unreadable(&error))
}

/// The answer, or the error as the Lambda runtime reports it.
fn text_of<T: Serialize, E: Into<Diagnostic>>(result: Result<T, E>) -> Result<String, InvokeError> {
    let value = result.map_err(failed)?;
    serde_json::to_string(&value).map_err(|error| unreadable(&error))
}

fn failed(error: impl Into<Diagnostic>) -> InvokeError {
    let diagnostic = error.into();
    InvokeError::failed(diagnostic.error_type, diagnostic.error_message)
}

fn unreadable(error: &serde_json::Error) -> InvokeError {
    InvokeError::failed("serde_json::Error", error.to_string())
}

/// What `lambda_runtime::run` does with an answer that is streamed.
async fn put<S, B, O>(response: StreamResponse<S>, outlet: &Outlet) -> Result<(), InvokeError>
where
    S: Stream<Item = Result<B, O>> + Unpin,
    B: Into<Bytes>,
    O: fmt::Display,
{
    let mut prelude = response.metadata_prelude;
    prelude
        .headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/octet-stream"));
    let prelude = serde_json::to_string(&prelude).map_err(|error| unreadable(&error))?;
    outlet.put(Piece::Begin { has_prelude: true }).await;
    outlet.put(Piece::Data(prelude.into())).await;
    outlet.put(Piece::Data(DELIMITER.to_vec().into())).await;
    let mut body = response.stream;
    while let Some(data) = body.next().await {
        let data = data.map_err(|error| InvokeError::failed("StreamError", error.to_string()))?;
        outlet.put(Piece::Data(data.into())).await;
    }
    outlet.put(Piece::End).await;
    Ok(())
}
