//! Functions for the stack's own tests: each runs what a test has left under the name that stands in
//! its variable `SCRIPT`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

/// Takes a payload; answers, or fails.
pub(crate) type Script =
    Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;

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

/// The script with a name.
pub(crate) fn find(name: &str) -> Option<Script> {
    let scripts = SCRIPTS.lock().unwrap_or_else(PoisonError::into_inner);
    scripts.get(name).cloned()
}
