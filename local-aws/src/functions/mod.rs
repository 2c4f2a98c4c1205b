//! The Lambda service: invokes functions with the JSON text that AWS sends, either in this process
//! or as the built binaries under the Lambda Runtime API.

mod environment;
mod error;
mod handlers;
mod logs;
mod processes;
pub(crate) mod recursion;
mod runtime_api;
#[cfg(test)]
pub(crate) mod scripted;
mod streaming;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lambda_runtime::Context;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::bill::Running;
use crate::template;

pub use environment::{Environment, Failure, Recipe};
pub use error::{FunctionError, InvokeError, PAYLOAD_BYTES};
pub use handlers::{Handler, Handlers, Variables};
pub use logs::{FunctionLog, LogLine, Show, show};
use processes::Processes;
use recursion::Lineage;
pub use recursion::forwarding;
use streaming::Outlet;
pub use streaming::{DELIMITER, Piece, Pieces};

/// How many invocations an account may have under way at once, besides what functions reserve.
/// ("Lambda quotas": concurrent executions. A new account starts lower.)
const ACCOUNT_CONCURRENCY: usize = 1_000;

/// A function of the template.
#[derive(Debug)]
struct Function {
    code: Code,
    arn: String,
    timeout: Duration,
    /// One permit for each invocation that may be under way, when the function reserves some.
    reserved: Option<Arc<Semaphore>>,
}

/// What runs when the function is invoked.
#[derive(Debug)]
enum Code {
    InProcess(Handler),
    Processes(Processes),
}

/// The functions of the template, by logical id.
#[derive(Debug)]
pub struct Functions {
    functions: BTreeMap<String, Arc<Function>>,
    unreserved: Arc<Semaphore>,
    /// Invocations whose answers are streamed. Whoever reads them may leave, and they go on.
    streams: Mutex<JoinSet<()>>,
}

impl Functions {
    /// Functions that run in this process.
    ///
    /// # Errors
    /// When one has no handler, or its init fails.
    pub(crate) fn in_process(
        functions: &[template::Function],
        variables: &BTreeMap<String, Variables>,
        handlers: &Handlers,
    ) -> Result<Functions, FunctionError> {
        let none = Variables::new();
        Functions::new(functions, |function| {
            let (id, binary) = (&function.logical_id, &function.binary);
            let init = handlers.find(binary);
            let init = init.ok_or_else(|| FunctionError::Unknown(id.clone(), binary.clone()))?;
            let handler = init(variables.get(id).unwrap_or(&none));
            let handler = handler.map_err(|error| FunctionError::Init(id.clone(), error))?;
            Ok(Code::InProcess(handler))
        })
    }

    /// Functions that run as processes of their own, from the binaries that `cargo lambda build`
    /// leaves in `directory`.
    ///
    /// # Errors
    /// When one is not built.
    pub(crate) fn built(
        functions: &[template::Function],
        variables: &BTreeMap<String, Variables>,
        directory: &Path,
        log: &Arc<FunctionLog>,
    ) -> Result<Functions, FunctionError> {
        Functions::new(functions, |function| {
            let variables = variables.get(&function.logical_id);
            let variables = variables.cloned().unwrap_or_default();
            Processes::new(function, variables, directory, log.clone()).map(Code::Processes)
        })
    }

    fn new(
        functions: &[template::Function],
        mut code: impl FnMut(&template::Function) -> Result<Code, FunctionError>,
    ) -> Result<Functions, FunctionError> {
        let mut made = BTreeMap::new();
        for function in functions {
            let function_ = Function {
                code: code(function)?,
                arn: function.arn.clone(),
                timeout: Duration::from_secs(u64::from(function.timeout_seconds)),
                reserved: function
                    .reserved_concurrency
                    .map(|most| Arc::new(Semaphore::new(most as usize))),
            };
            made.insert(function.logical_id.clone(), Arc::new(function_));
        }
        Ok(Functions {
            functions: made,
            unreserved: Arc::new(Semaphore::new(ACCOUNT_CONCURRENCY)),
            streams: Mutex::default(),
        })
    }

    /// Invokes a function with a payload, at the end of a chain of invocations, and answers its
    /// answer. Its process dies when `crashed` ends, which is for tests.
    ///
    /// # Errors
    /// As Lambda reports it.
    pub(crate) async fn invoke(
        &self,
        logical_id: &str,
        payload: String,
        chain: &Lineage,
        crashed: impl Future<Output = ()>,
    ) -> Result<String, InvokeError> {
        let (function, permit) = self.admit(logical_id, &payload)?;
        let context = function.context(chain);
        // A task of its own: who no longer waits for the answer does not end the invocation, and a
        // panic is the function's and not ours.
        let mut run = tokio::spawn(async move {
            let _permit = permit;
            function.run(payload, context).await
        });
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = crashed => {
                run.abort();
                let message = "Error: Runtime exited with error: signal: killed";
                return Err(InvokeError::failed("Runtime.ExitError", message));
            }
        };
        match ended {
            Ok(Ok(answer)) if answer.len() > PAYLOAD_BYTES => Err(InvokeError::answer_too_large()),
            Ok(answer) => answer,
            Err(_) => Err(InvokeError::failed("Unhandled", "Lambda panicked")),
        }
    }

    /// Invokes a function whose answer may come piece by piece. It is billed when it has ended.
    ///
    /// # Errors
    /// When it is not invoked; what goes wrong afterwards is among the pieces.
    pub(crate) fn stream(
        &self,
        logical_id: &str,
        payload: String,
        running: Running,
    ) -> Result<Pieces, InvokeError> {
        let (function, permit) = match self.admit(logical_id, &payload) {
            Ok(admitted) => admitted,
            Err(error) => {
                running.refused();
                return Err(error);
            }
        };
        let context = function.context(&Lineage::default());
        let (outlet, pieces) = Outlet::new();
        let run = async move {
            let _until_the_end = (permit, running);
            if let Err(error) = function.stream(payload, context, outlet.clone()).await {
                outlet.fail(error).await;
            }
        };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        streams.spawn(run);
        Ok(pieces)
    }

    /// The function, and one of its places, if the payload is not too large and one is free.
    fn admit(
        &self,
        logical_id: &str,
        payload: &str,
    ) -> Result<(Arc<Function>, OwnedSemaphorePermit), InvokeError> {
        if payload.len() > PAYLOAD_BYTES {
            return Err(InvokeError::TooLarge);
        }
        let Some(function) = self.functions.get(logical_id).cloned() else {
            let message = format!("Function not found: {logical_id}");
            return Err(InvokeError::failed("ResourceNotFoundException", message));
        };
        let permit = self.permit(&function)?;
        Ok((function, permit))
    }

    /// Ends processes that nobody has needed for a while.
    pub(crate) fn retire_idle(&self) {
        for function in self.functions.values() {
            if let Code::Processes(processes) = &function.code {
                processes.retire_idle();
            }
        }
    }

    fn permit(&self, function: &Function) -> Result<OwnedSemaphorePermit, InvokeError> {
        let pool = function.reserved.as_ref().unwrap_or(&self.unreserved);
        pool.clone()
            .try_acquire_owned()
            .map_err(|_| InvokeError::Throttled)
    }
}

impl Function {
    async fn run(&self, payload: String, context: Context) -> Result<String, InvokeError> {
        match &self.code {
            Code::InProcess(handler) => {
                let request_id = context.request_id.clone();
                let trace = context.xray_trace_id.clone();
                let run = recursion::traced(trace, handler.run(payload, context));
                let ended = tokio::time::timeout(self.timeout, run).await;
                ended.unwrap_or_else(|_| Err(InvokeError::timed_out(&request_id, self.timeout)))
            }
            Code::Processes(processes) => {
                let (outlet, pieces) = Outlet::new();
                let limit = self.timeout;
                let run = async move { processes.stream(payload, &context, limit, &outlet).await };
                let (ran, answer) = tokio::join!(run, pieces.collect());
                ran.and(answer)
            }
        }
    }

    async fn stream(
        &self,
        payload: String,
        context: Context,
        outlet: Outlet,
    ) -> Result<(), InvokeError> {
        let limit = self.timeout;
        match &self.code {
            Code::InProcess(handler) => {
                let request_id = context.request_id.clone();
                let trace = context.xray_trace_id.clone();
                let run = recursion::traced(trace, handler.stream(payload, context, outlet));
                let ended = tokio::time::timeout(limit, run).await;
                ended.unwrap_or_else(|_| Err(InvokeError::timed_out(&request_id, limit)))
            }
            Code::Processes(processes) => processes.stream(payload, &context, limit, &outlet).await,
        }
    }

    fn context(&self, chain: &Lineage) -> Context {
        let mut context = Context::default();
        context.request_id = crate::ids::request_id();
        context.invoked_function_arn.clone_from(&self.arn);
        context.xray_trace_id = Some(chain.trace_of(&self.arn));
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        context.deadline = crate::clock::now().plus(timeout).0;
        context
    }
}
