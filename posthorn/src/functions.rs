//! The functions of the template, built into this binary. A new function has one entry in
//! `handlers`.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::Uri;
use lambda_runtime::{Diagnostic, LambdaEvent};
use local_aws::functions::{LogLine, Variables, forwarding, show};
use local_aws::{Handler, Handlers};
use platform::{Aws, ConfigError, Lookup};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Level;

/// One pool of connections for all functions, as they all call the one endpoint.
type Pool = Arc<OnceLock<SharedHttpClient>>;

/// All functions. They are called with the text that Lambda sends, and call AWS with the real SDK.
pub(crate) fn handlers() -> Handlers {
    let pool = Pool::default();
    let mut all = Registry {
        pool,
        handlers: Handlers::new(),
    };
    all.add("api", api::Deps::new, |deps, event| async move {
        api::handle(&deps, event).await
    });
    all.add("connect", connect::Deps::new, |deps, event| async move {
        connect::handle(&deps, event).await
    });
    all.add("deliver", deliver::Deps::new, |deps, event| async move {
        deliver::handle(&deps, event).await
    });
    all.add(
        "disconnect",
        disconnect::Deps::new,
        |deps, event| async move { disconnect::handle(&deps, event).await },
    );
    all.add("dispatch", dispatch::Deps::new, |deps, event| async move {
        dispatch::handle(&deps, event).await
    });
    all.add("message", message::Deps::new, |deps, event| async move {
        message::handle(&deps, event).await
    });
    all.add("push", push::Deps::new, |deps, event| async move {
        push::handle(&deps, event).await
    });
    all.add("requeue", requeue::Deps::new, |deps, event| async move {
        requeue::handle(&deps, event).await
    });
    all.add("webhook", webhook::Deps::new, |deps, event| async move {
        webhook::handle(&deps, event).await
    });
    all.add_init("tail", tail::Deps::new, |deps| {
        Handler::streamed(move |event| {
            let deps = deps.clone();
            async move { tail::handle(&deps, event).await }
        })
    });
    all.handlers
}

/// Makes a function's dependencies from its variables.
type Init<D> = fn(&Aws, Lookup<'_>) -> Result<D, ConfigError>;

struct Registry {
    pool: Pool,
    handlers: Handlers,
}

impl Registry {
    fn add<D, T, R, E, F>(
        &mut self,
        binary: &str,
        init: Init<D>,
        handle: fn(Arc<D>, LambdaEvent<T>) -> F,
    ) where
        D: Send + Sync + 'static,
        T: DeserializeOwned + 'static,
        R: Serialize + 'static,
        E: Into<Diagnostic> + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.add_init(binary, init, move |deps| {
            Handler::event(move |event| handle(deps.clone(), event))
        });
    }

    fn add_init<D>(
        &mut self,
        binary: &str,
        init: Init<D>,
        handler: impl Fn(Arc<D>) -> Handler + Send + Sync + 'static,
    ) where
        D: 'static,
    {
        let pool = self.pool.clone();
        let handlers = std::mem::take(&mut self.handlers);
        self.handlers = handlers.with_init(binary, move |variables| {
            Ok(handler(Arc::new(dependencies(init, variables, &pool)?)))
        });
    }
}

fn dependencies<D>(
    init: Init<D>,
    variables: &Variables,
    pool: &Pool,
) -> Result<D, Box<dyn Error + Send + Sync>> {
    let lookup = |name: &str| variables.get(name).cloned();
    let http = pool.get_or_init(|| forwarding(platform::clients::http_client(&lookup)));
    let aws = Aws::new(&lookup, http.clone())?;
    Ok(init(&aws, &lookup)?)
}

/// Whether a request is one that clients make to the URL of `tail`: for a stream, or for events
/// that are waited for.
pub(crate) fn is_for_tail(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    let path = uri.path();
    match path.strip_suffix('/').unwrap_or(path) {
        "/v1/stream" => true,
        "/v1/events" => form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "wait"),
        _ => false,
    }
}

/// Shows a line of a function that runs in a process of its own, as if the function ran in this one:
/// each request of the webhook has a line, which is shown unless the level says otherwise.
pub fn show_log(line: &LogLine<'_>) {
    let text = line.text;
    match line.level {
        Level::WARN if line.target.starts_with("webhook") => {
            tracing::warn!(target: "webhook", "{text}");
        }
        Level::INFO if line.target.starts_with("webhook") => {
            tracing::info!(target: "webhook", "{text}");
        }
        _ => show(line),
    }
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;

    use super::*;

    #[test]
    fn streams_and_waiting_go_to_the_url_and_everything_else_to_the_api() {
        let is_for_tail = |uri: &'static str| is_for_tail(&Uri::from_static(uri));
        assert!(is_for_tail("/v1/stream?last=1"));
        assert!(is_for_tail("/v1/events?after=x&wait=0"));
        for uri in [
            "/v1/events",
            "/v1/events?await=1",
            "/v1/events/wait?wait=1",
            "/v1/streams",
        ] {
            assert!(!is_for_tail(uri), "{uri}");
        }
    }

    #[test]
    fn every_function_may_log_at_the_level_that_is_asked_for() {
        let levels = platform::telemetry::levels(LevelFilter::TRACE);
        for binary in handlers().binaries() {
            assert!(levels.would_enable(binary, &Level::TRACE), "{binary}");
        }
    }

    #[test]
    fn every_function_has_a_handler() {
        let folders = std::fs::read_dir("../functions").unwrap();
        let folders = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
        let mut folders: Vec<_> = folders.collect();
        folders.sort();
        let handlers = handlers();
        assert_eq!(handlers.binaries().collect::<Vec<_>>(), folders);
    }
}
