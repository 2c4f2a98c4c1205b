//! Handlers for the tests: the binary `scripted` runs what a test has left under the name that stands
//! in the function's variable `SCRIPT`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::error::InvokeError;
use super::handlers::{Handler, Handlers};

/// Takes a payload; answers, or fails.
type Script = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;

static SCRIPTS: LazyLock<Mutex<HashMap<String, Script>>> = LazyLock::new(Mutex::default);

/// Leaves a script under a name that no other test has.
pub(crate) fn leave<F>(name: &str, script: impl Fn(Value) -> F + Send + Sync + 'static)
where
    F: Future<Output = Result<Value, String>> + Send + 'static,
{
    let script: Script = Arc::new(move |payload| script(payload).boxed());
    let mut scripts = SCRIPTS.lock().unwrap_or_else(PoisonError::into_inner);
    scripts.insert(name.to_owned(), script);
}

/// The function `scripted`.
pub(crate) fn handlers() -> Handlers {
    Handlers::new().with_init("scripted", |variables| {
        let name = variables.get("SCRIPT").cloned().unwrap_or_default();
        Ok(Handler::text(move |payload, _| run(name.clone(), payload)))
    })
}

async fn run(name: String, payload: String) -> Result<String, InvokeError> {
    let script = {
        let scripts = SCRIPTS.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.get(&name).cloned()
    };
    let script = script.ok_or_else(|| InvokeError::failed("Script", name))?;
    let answer = script(serde_json::from_str(&payload).unwrap_or_default()).await;
    let answer = answer.map_err(|message| InvokeError::failed("Scripted", message))?;
    Ok(answer.to_string())
}
