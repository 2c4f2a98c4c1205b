//! How a stack is started.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::request::Parts;

use crate::answer::Answer;
use crate::bill::Pricing;
use crate::functions::{Handlers, Show, show};
use crate::server::limits;
use crate::stack::urls::Urls;

/// Answers `GET` and `HEAD` requests that no route but `$default` takes. `None` leaves a request to
/// that route.
pub type Page = fn(&Parts, &Urls) -> Option<Answer>;

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 for any.
    pub port: u16,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The name of the stack, with which physical names begin.
    pub stack_name: String,
    /// The template's text.
    pub template: String,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Values for parameters that are given none: instead of the template's own defaults, and only
    /// if it has them.
    pub defaults: BTreeMap<String, String>,
    /// Names in `Host` that are answered, beside `localhost`, loopback addresses and `host`.
    pub allow_hosts: Vec<String>,
    /// The functions, to run them in this process.
    pub handlers: Handlers,
    /// Where `cargo lambda build` left the functions' binaries (`target/lambda`), to run those under
    /// the Lambda Runtime API in place of `handlers`.
    pub functions: Option<PathBuf>,
    /// What shows the lines that those print.
    pub show_log: Show,
    /// Which requests are for the URL of a function, which has no host of its own here. Without it,
    /// all are if the template has no HTTP API, and none otherwise.
    pub is_for_function_url: Option<fn(&Uri) -> bool>,
    /// Files for browsers.
    pub page: Option<Page>,
    /// What the bill says besides quantities.
    pub pricing: Pricing,
    /// Poll streams four times a second, as Lambda does, instead of at once.
    pub at_aws_pace: bool,
    /// Close `WebSockets` after this long, in place of the two hours of AWS; never after more.
    pub socket_limit: Option<Duration>,
    /// How many connections of clients are served at once; one more is refused.
    pub connections: usize,
    /// How many times as fast as the template says schedules go, 1 to 3,600.
    pub time_scale: u32,
}

impl Options {
    /// A stack of a template on any free port of this machine, with its data in `data_dir`.
    #[must_use]
    pub fn new(template: impl Into<String>, data_dir: impl Into<PathBuf>) -> Options {
        Options {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            data_dir: data_dir.into(),
            stack_name: "local".to_owned(),
            template: template.into(),
            parameters: BTreeMap::new(),
            defaults: BTreeMap::new(),
            allow_hosts: Vec::new(),
            handlers: Handlers::new(),
            functions: None,
            show_log: show,
            is_for_function_url: None,
            page: None,
            pricing: Pricing::default(),
            at_aws_pace: false,
            socket_limit: None,
            connections: limits::CONNECTIONS,
            time_scale: 1,
        }
    }
}
