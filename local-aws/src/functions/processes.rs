//! A function that runs as processes of its own: one for each invocation that is under way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lambda_runtime::Context;
use tokio::time::Instant;

use super::environment::{Environment, Failure, Recipe};
use super::error::{FunctionError, InvokeError};
use super::logs::FunctionLog;
use super::streaming::Outlet;
use crate::template;

/// How long a process may take until it asks for its first invocation. ("Lambda quotas": init.)
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How long an environment is kept without work. Lambda does not say; minutes are usual.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// The environments of one function.
#[derive(Debug)]
pub(super) struct Processes {
    recipe: Recipe,
    /// Those without work, the last used at the end.
    idle: Mutex<Vec<Environment>>,
}

impl Processes {
    /// A function whose binary is `<directory>/<binary>/bootstrap`. Nothing is started yet.
    pub(super) fn new(
        function: &template::Function,
        variables: BTreeMap<String, String>,
        directory: &Path,
        log: Arc<FunctionLog>,
    ) -> Result<Processes, FunctionError> {
        let not_built = |path| FunctionError::NotBuilt(function.logical_id.clone(), path);
        let bootstrap = directory.join(&function.binary).join("bootstrap");
        // A full path, since the process works in its own directory.
        let bootstrap = bootstrap.canonicalize().map_err(|_| not_built(bootstrap))?;
        Ok(Processes {
            recipe: Recipe {
                name: function.name.clone(),
                bootstrap,
                variables: defined(function, variables),
                log,
            },
            idle: Mutex::default(),
        })
    }

    /// Runs one invocation, in the environment that was used last, or in a new one.
    pub(super) async fn stream(
        &self,
        payload: String,
        context: &Context,
        limit: Duration,
        outlet: &Outlet,
    ) -> Result<(), InvokeError> {
        let id = &context.request_id;
        let (mut environment, left) = match self.take_idle(limit).await {
            Some(environment) => (environment, limit),
            None => self.start(id, limit).await?,
        };
        let result = environment.stream(payload, context, left, outlet).await;
        if let Err(Failure::Environment(error)) = result {
            return Err(error);
        }
        environment.idle_since = Instant::now();
        self.idle().push(environment);
        result.map_err(|(Failure::Function(error) | Failure::Environment(error))| error)
    }

    /// Ends the environments that have had no work for a while.
    pub(super) fn retire_idle(&self) {
        self.idle()
            .retain(|environment| environment.idle_since.elapsed() < IDLE_LIMIT);
    }

    /// A new environment, and what is left of the invocation's time: an init that fails is tried once
    /// more, as a part of the invocation. ("Failures during the Init phase".)
    async fn start(
        &self,
        id: &str,
        limit: Duration,
    ) -> Result<(Environment, Duration), InvokeError> {
        let error = match Environment::start(&self.recipe, id, INIT_LIMIT).await {
            Ok(environment) => return Ok((environment, limit)),
            Err(error) => error,
        };
        tracing::warn!(function = self.recipe.name, %error, "An init failed and is tried again.");
        let begun = Instant::now();
        let environment = Environment::start(&self.recipe, id, limit).await?;
        Ok((environment, limit.saturating_sub(begun.elapsed())))
    }

    async fn take_idle(&self, limit: Duration) -> Option<Environment> {
        loop {
            let mut environment = self.idle().pop()?;
            if environment.is_ready(limit).await {
                return Some(environment);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Environment>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The function's variables and those that Lambda sets. ("Defined runtime environment variables",
/// without those that an OS-only runtime does not have.)
fn defined(
    function: &template::Function,
    mut variables: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let memory = function.memory_mb.to_string();
    let log_stream = format!("{}[$LATEST]", function.name);
    let set = [
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.as_str()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "FunctionLogs"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", &log_stream),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        (
            "AWS_LAMBDA_LOG_LEVEL",
            function.log_level.as_deref().unwrap_or("INFO"),
        ),
        ("AWS_DEFAULT_REGION", crate::account::REGION),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("_HANDLER", "bootstrap"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ];
    variables.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}
