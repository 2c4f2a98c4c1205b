//! The Lambda service: invokes functions with the JSON text that AWS sends, either in this process
//! or as the built binaries under the Lambda Runtime API.

mod environment;
mod in_process;
mod logs;
mod processes;
mod runtime_api;
#[cfg(test)]
pub(crate) mod scripted;
mod streaming;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lambda_runtime::Context;
use platform::{Aws, ConfigError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::bill::Running;
use crate::deployment::Variables;
use crate::recursion::{self, Lineage};
use crate::template;
pub use environment::{Environment, Failure, Recipe};
use in_process::Program;
pub use logs::FunctionLog;
use processes::Processes;
use streaming::Outlet;
pub use streaming::{DELIMITER, Piece, Pieces};

/// The largest payload of a synchronous invocation, and of its answer.
/// ("Lambda quotas": 6 MB each for request and response.)
pub const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

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
    InProcess(Program),
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

/// Why a function cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The template names a program that is not part of this binary.
    #[error("{0} runs {1:?}, which is none of the functions in this binary")]
    Unknown(String, String),
    /// A variable is missing or wrong.
    #[error("{0} cannot start")]
    Config(String, #[source] ConfigError),
    /// There is no built binary.
    #[error("{0} is not built: there is no {1} (`make build` makes it)")]
    NotBuilt(String, PathBuf),
    /// The functions' log cannot be written.
    #[error("the functions' log cannot be written")]
    Log(#[source] io::Error),
}

/// An invocation that gave no answer, as Lambda reports it.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// `RequestTooLargeException`.
    #[error("the request is larger than {PAYLOAD_BYTES} bytes")]
    TooLarge,
    /// `TooManyRequestsException`: nothing of the function's concurrency is left.
    #[error("Rate Exceeded.")]
    Throttled,
    /// The function failed (`X-Amz-Function-Error`), with the payload that AWS answers then.
    #[error("{kind}: {message}")]
    Failed {
        /// `errorType`.
        kind: String,
        /// `errorMessage`.
        message: String,
    },
}

impl InvokeError {
    fn failed(kind: impl Into<String>, message: impl Into<String>) -> InvokeError {
        InvokeError::Failed {
            kind: kind.into(),
            message: message.into(),
        }
    }

    fn timed_out(request_id: &str, limit: Duration) -> InvokeError {
        let seconds = limit.as_secs_f64();
        let message =
            format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
        InvokeError::failed("Sandbox.Timedout", message)
    }

    /// The text that the Runtime API and Lambda give for an answer that is too large.
    fn answer_too_large() -> InvokeError {
        let message = format!(
            "Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES} bytes)."
        );
        InvokeError::failed("Function.ResponseSizeTooLarge", message)
    }
}

impl Functions {
    /// Functions that run in this process.
    ///
    /// # Errors
    /// When one is not known or lacks a variable.
    pub(crate) fn in_process(
        functions: &[template::Function],
        variables: &Variables,
    ) -> Result<Functions, FunctionError> {
        // One pool of connections for all, as they all call the one endpoint.
        let mut http = None;
        Functions::new(functions, |function| {
            let variables = variables.get(&function.logical_id);
            let lookup = |name: &str| variables.and_then(|them| them.get(name).cloned());
            let http = http
                .get_or_insert_with(|| {
                    recursion::forwarding(platform::clients::http_client(&lookup))
                })
                .clone();
            let config = |error| FunctionError::Config(function.logical_id.clone(), error);
            let aws = Aws::new(&lookup, http).map_err(config)?;
            let unknown =
                || FunctionError::Unknown(function.logical_id.clone(), function.binary.clone());
            let program = Program::new(&function.binary, &aws, &lookup);
            Ok(Code::InProcess(
                program.ok_or_else(unknown)?.map_err(config)?,
            ))
        })
    }

    /// Functions that run as processes of their own, from the binaries that `cargo lambda build`
    /// leaves in `directory`.
    ///
    /// # Errors
    /// When one is not built.
    pub(crate) fn built(
        functions: &[template::Function],
        variables: &Variables,
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
            if let Err(error) = function.stream(payload, context, &outlet).await {
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
            Code::InProcess(program) => {
                let request_id = context.request_id.clone();
                let trace = context.xray_trace_id.clone();
                let run = recursion::traced(trace, program.run(&payload, context));
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
        outlet: &Outlet,
    ) -> Result<(), InvokeError> {
        let limit = self.timeout;
        match &self.code {
            Code::InProcess(program) => {
                let request_id = context.request_id.clone();
                let trace = context.xray_trace_id.clone();
                let run = recursion::traced(trace, program.stream(&payload, context, outlet));
                let ended = tokio::time::timeout(limit, run).await;
                ended.unwrap_or_else(|_| Err(InvokeError::timed_out(&request_id, limit)))
            }
            Code::Processes(processes) => processes.stream(payload, &context, limit, outlet).await,
        }
    }

    fn context(&self, chain: &Lineage) -> Context {
        let mut context = Context::default();
        context.request_id = crate::http_api::request_id();
        context.invoked_function_arn.clone_from(&self.arn);
        context.xray_trace_id = Some(chain.trace_of(&self.arn));
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        context.deadline = platform::clock::now().plus(timeout).0;
        context
    }
}
