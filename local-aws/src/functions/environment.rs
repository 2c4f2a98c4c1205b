//! An execution environment: one process of a function, which serves one invocation at a time.
//! ("Understanding the Lambda execution environment lifecycle".)

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Context, Diagnostic};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::error::InvokeError;
use super::logs::FunctionLog;
use super::runtime_api::{Chunk, Invocation, Report, RuntimeApi};
use super::streaming::{Outlet, Piece};

/// What every environment of a function is made from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The function's name.
    pub name: String,
    /// Its binary.
    pub bootstrap: PathBuf,
    /// All its variables, without the address of the Runtime API.
    pub variables: BTreeMap<String, String>,
    /// Where its lines go.
    pub log: Arc<FunctionLog>,
}

/// A process and its Runtime API. Dropping it kills the process.
#[derive(Debug)]
pub struct Environment {
    process: Child,
    api: RuntimeApi,
    /// Whether it has asked for an invocation and got none yet.
    is_waiting: bool,
    /// When its last invocation ended.
    pub(super) idle_since: Instant,
}

/// What ended waiting for the process.
enum Ended {
    Report(Report),
    Exited(io::Result<ExitStatus>),
    OutOfTime,
}

impl Environment {
    /// Starts a process and waits until it asks for its first invocation.
    ///
    /// # Errors
    /// When it does not start, ends, says that its init failed, or takes too long.
    pub async fn start(
        recipe: &Recipe,
        request_id: &str,
        limit: Duration,
    ) -> Result<Environment, InvokeError> {
        let start_failed =
            |error: io::Error| InvokeError::failed("Runtime.InvalidEntrypoint", error.to_string());
        let api = RuntimeApi::start().await.map_err(start_failed)?;
        let directory = recipe.bootstrap.parent();
        let mut process = Command::new(&recipe.bootstrap)
            .current_dir(directory.unwrap_or(Path::new("/")))
            .env_clear()
            .envs(&recipe.variables)
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start_failed)?;
        // Read all the time: a full pipe would stop the function.
        recipe.log.drain(&recipe.name, process.stdout.take());
        recipe.log.drain(&recipe.name, process.stderr.take());
        let mut environment = Environment {
            process,
            api,
            is_waiting: false,
            idle_since: Instant::now(),
        };
        match environment.hear(Instant::now() + limit).await {
            Ended::Report(Report::InitFailed(error)) => Err(failed(error)),
            Ended::Report(_) => {
                environment.is_waiting = true;
                Ok(environment)
            }
            Ended::Exited(status) => Err(exited(request_id, status)),
            Ended::OutOfTime => Err(InvokeError::timed_out(request_id, limit)),
        }
    }

    /// Runs one invocation, whose answer may come piece by piece.
    ///
    /// # Errors
    /// When there is no answer, or no end of it. After one that is not the function's own the
    /// environment is of no use any more.
    pub(super) async fn stream(
        &mut self,
        payload: String,
        context: &Context,
        limit: Duration,
        outlet: &Outlet,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        let mut context = context.clone();
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        context.deadline = crate::clock::now().plus(millis).0;
        let id = context.request_id.clone();
        let invocation = Invocation { payload, context };
        self.is_waiting = false;
        // It cannot fail: the receiver lives as long as the API.
        let _ = self.api.invocations.send(invocation).await;
        loop {
            match self.hear(deadline).await {
                Ended::Report(Report::Answered { request_id, answer }) if request_id == id => {
                    outlet.put_whole(answer).await;
                    return Ok(());
                }
                Ended::Report(Report::Streams {
                    request_id,
                    has_prelude,
                    chunks,
                }) if request_id == id => {
                    outlet.put(Piece::Begin { has_prelude }).await;
                    let forwarded = timeout_at(deadline, self.forward(&id, chunks, outlet)).await;
                    return forwarded.unwrap_or_else(|_| {
                        Err(Failure::Environment(InvokeError::timed_out(&id, limit)))
                    });
                }
                Ended::Report(Report::AnsweredTooMuch { request_id }) if request_id == id => {
                    return Err(Failure::Function(InvokeError::answer_too_large()));
                }
                Ended::Report(Report::Failed { request_id, error }) if request_id == id => {
                    return Err(Failure::Function(failed(error)));
                }
                Ended::Report(Report::Waits) => self.is_waiting = true,
                Ended::Report(_) => {}
                Ended::Exited(status) => return Err(Failure::Environment(exited(&id, status))),
                Ended::OutOfTime => {
                    return Err(Failure::Environment(InvokeError::timed_out(&id, limit)));
                }
            }
        }
    }

    /// Runs one invocation and waits for the whole of its answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn invoke(
        &mut self,
        payload: String,
        context: &Context,
        limit: Duration,
    ) -> Result<String, Failure> {
        let (outlet, pieces) = Outlet::new();
        let run = async {
            // Gone when the invocation has ended, which ends the waiting for its pieces.
            let outlet = outlet;
            self.stream(payload, context, limit, &outlet).await
        };
        let (run, answer) = tokio::join!(run, pieces.collect());
        run?;
        answer.map_err(Failure::Function)
    }

    /// Passes on what the process streams, to the end of it.
    async fn forward(
        &mut self,
        request_id: &str,
        mut chunks: mpsc::Receiver<Chunk>,
        outlet: &Outlet,
    ) -> Result<(), Failure> {
        loop {
            let chunk = tokio::select! {
                biased;
                Some(chunk) = chunks.recv() => chunk,
                status = self.process.wait() => {
                    return Err(Failure::Environment(exited(request_id, status)));
                }
            };
            match chunk {
                Chunk::Data(data) => outlet.put(Piece::Data(data)).await,
                Chunk::End => {
                    outlet.put(Piece::End).await;
                    return Ok(());
                }
                Chunk::Failed(error) => return Err(Failure::Function(failed(error))),
            }
        }
    }

    /// The process; none when it has ended.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until the process asks for its next invocation; answers whether it does. One that ends
    /// after its last answer never does, and nothing may be given to it.
    pub(super) async fn is_ready(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while !self.is_waiting {
            match self.hear(deadline).await {
                Ended::Report(report) => self.is_waiting = matches!(report, Report::Waits),
                Ended::Exited(_) | Ended::OutOfTime => return false,
            }
        }
        matches!(self.process.try_wait(), Ok(None))
    }

    async fn hear(&mut self, deadline: Instant) -> Ended {
        let heard = async {
            tokio::select! {
                // What it said before it ended counts.
                biased;
                Some(report) = self.api.reports.recv() => Ended::Report(report),
                status = self.process.wait() => Ended::Exited(status),
            }
        };
        timeout_at(deadline, heard)
            .await
            .unwrap_or(Ended::OutOfTime)
    }
}

/// Why an invocation gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// The function says so; its process goes on.
    Function(InvokeError),
    /// The process ended, or has to be ended.
    Environment(InvokeError),
}

fn failed(error: Diagnostic) -> InvokeError {
    InvokeError::failed(error.error_type, error.error_message)
}

fn exited(request_id: &str, status: io::Result<ExitStatus>) -> InvokeError {
    let how = match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let message = format!("RequestId: {request_id} Error: Runtime exited with error: {how}");
    InvokeError::failed("Runtime.ExitError", message)
}
