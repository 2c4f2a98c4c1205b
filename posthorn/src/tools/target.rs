//! Which server a tool talks to: explicit options first, then what a running local stack wrote to its data directory.

use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Uri;
use local_aws::files::is_abandoned;
use serde::Deserialize;

use super::ToolError;
use super::out::data_dir_option;
use crate::webhook::check_url;

/// A key or token. It cannot be printed by accident.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Refuses what no key or token can be, without showing it.
    fn check(&self, option: &str) -> Result<(), ToolError> {
        let why = if self.0.is_empty() {
            "is empty"
        } else if self.0.contains(char::is_control) {
            "has a line end or another control character in it"
        } else {
            return Ok(());
        };
        Err(ToolError::Usage(format!("{option} {why}")))
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(value: &str) -> Result<Self, Infallible> {
        Ok(Self::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Where the tools that post like Mandrill post to.
#[derive(Debug, clap::Args)]
pub struct WebhookArgs {
    /// Data directory of the local stack, for defaults
    #[arg(long, value_name = "DIR", default_value = ".posthorn")]
    pub data_dir: PathBuf,
    /// Webhook URL to post to [default: the local stack's]
    #[arg(long)]
    pub url: Option<String>,
    /// Webhook key [default: the local stack's]
    #[arg(long)]
    pub key: Option<Secret>,
    /// URL to sign, if it differs from the one posted to (a tunnel)
    #[arg(long, value_name = "URL")]
    pub sign_url: Option<String>,
}

/// A webhook as Mandrill knows it, and the address that reaches it.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub post_url: String,
    pub sign_url: String,
    pub key: Secret,
}

impl WebhookArgs {
    pub fn resolve(&self) -> Result<Webhook, ToolError> {
        let is_complete = self.url.is_some() && self.key.is_some();
        let stack = if is_complete {
            None
        } else {
            read_stack(&self.data_dir)?
        };
        let start = || missing(&self.data_dir, "pass --url and --key");
        let stack_key = stack.as_ref().and_then(|stack| stack.webhook_keys.first());
        let stack_url = stack.as_ref().and_then(|stack| stack.webhook_url.as_ref());
        let local_url = stack.as_ref().and_then(Stack::local_webhook_url);
        let post_url = self.url.as_ref().or(local_url.as_ref()).ok_or_else(start)?;
        // A stack without a key takes any, for the secret in its URL.
        let no_key = stack.as_ref().map(|_| Secret::new("unknown to the stack"));
        let key = self.key.as_ref().or(stack_key).or(no_key.as_ref());
        let key = key.ok_or_else(start)?;
        // The local stack's own key belongs to the local stack's own URL, by whatever address it is reached.
        let known_url = if self.key.is_none() { stack_url } else { None };
        let sign_url = self.sign_url.as_ref().or(known_url).unwrap_or(post_url);
        parse(post_url, &["http", "https"])?;
        check_url(sign_url).map_err(|why| ToolError::Usage(format!("--sign-url: {why}")))?;
        key.check("--key")?;
        Ok(Webhook {
            post_url: post_url.clone(),
            sign_url: sign_url.clone(),
            key: key.clone(),
        })
    }
}

/// Whose HTTP API is used.
#[derive(Debug, clap::Args)]
pub struct ApiArgs {
    /// Data directory of the local stack, for defaults
    #[arg(long, value_name = "DIR", default_value = ".posthorn")]
    pub data_dir: PathBuf,
    /// Address of the HTTP API, `ApiUrl` in the deployed stack's outputs [default: the local stack's]
    #[arg(long)]
    pub url: Option<String>,
    /// Token for it [default: the local stack's]
    #[arg(long)]
    pub token: Option<Secret>,
}

/// The address of an HTTP API, and a token for it.
#[derive(Debug, Clone)]
pub struct ApiTarget {
    pub url: String,
    pub token: Secret,
}

impl ApiArgs {
    pub fn resolve(&self) -> Result<ApiTarget, ToolError> {
        let is_complete = self.url.is_some() && self.token.is_some();
        let stack = if is_complete {
            None
        } else {
            read_stack(&self.data_dir)?
        };
        let own = stack.as_ref().and_then(|stack| stack.http.as_ref());
        let url = self.url.as_ref().or(own).cloned();
        let url = url.ok_or_else(|| missing(&self.data_dir, "pass --url and --token"))?;
        parse(&url, &["http", "https"])?;
        if let Some(token) = &self.token {
            token.check("--token")?;
            return Ok(ApiTarget {
                url,
                token: token.clone(),
            });
        }
        let stack = stack.filter(|stack| stack.is_at(&url));
        match stack.and_then(|stack| stack.token) {
            Some(token) => Ok(ApiTarget { url, token }),
            // The local stack's token is not for other servers.
            None => Err(ToolError::Usage(format!(
                "no token is known for {}: pass --token",
                without_query(&url)
            ))),
        }
    }
}

/// What the local stack writes to `stack.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Stack {
    http: Option<String>,
    pub(super) webhook_url: Option<String>,
    #[serde(default)]
    pub(super) webhook_keys: Vec<Secret>,
    token: Option<Secret>,
    pub(super) token_key: Option<Secret>,
    /// The directory whose lock it holds.
    data_dir: Option<PathBuf>,
}

impl Stack {
    /// Where the webhook is on this machine. What stands in Mandrill may be a tunnel's address, or nobody's.
    fn local_webhook_url(&self) -> Option<String> {
        let webhook: http::Uri = self.webhook_url.as_ref()?.parse().ok()?;
        let path = webhook.path_and_query()?;
        Some(format!("{}{path}", self.http.as_ref()?))
    }

    fn is_at(&self, url: &str) -> bool {
        let Some(host) = authority(url) else {
            return false;
        };
        let own = self.http.as_ref().and_then(|url| authority(url));
        is_loopback(&host) || own.is_some_and(|own| own == host)
    }
}

/// `None` if no local stack runs with this data directory, or has left its file there when it was killed.
pub(super) fn read_stack(data_dir: &Path) -> Result<Option<Stack>, ToolError> {
    let path = data_dir.join("stack.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(ToolError::Usage(format!(
                "{} cannot be read: {error}",
                path.display()
            )));
        }
    };
    // The parser's own message could quote a key.
    match serde_json::from_str::<Stack>(&text) {
        Ok(stack) if stack.data_dir.as_deref().is_some_and(is_abandoned) => Ok(None),
        Ok(stack) => Ok(Some(stack)),
        Err(_) => Err(ToolError::Usage(format!(
            "{} is not what a local stack writes",
            path.display()
        ))),
    }
}

pub(super) fn missing(data_dir: &Path, alternative: &str) -> ToolError {
    let up = match data_dir_option(data_dir) {
        option if option.is_empty() => String::new(),
        option => format!(" -- up{option}"),
    };
    ToolError::Usage(format!(
        "no local stack runs with {}: start one with `cargo run{up}`, or {alternative}",
        data_dir.display()
    ))
}

/// Whether requests to this URL stay on this machine.
pub(super) fn is_local(url: &str) -> bool {
    authority(url).is_some_and(|host| is_loopback(&host))
}

/// The URL as it may be printed: its query may hold a secret, and so may its userinfo.
pub(super) fn without_query(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let shown = &url[..end];
    let Some((scheme, rest)) = shown.split_once("://") else {
        return shown.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn parse(url: &str, schemes: &[&str]) -> Result<Uri, ToolError> {
    let uri = url
        .parse::<Uri>()
        .ok()
        .filter(|uri| uri.authority().is_some());
    uri.filter(|uri| {
        uri.scheme_str()
            .is_some_and(|scheme| schemes.contains(&scheme))
    })
    .ok_or_else(|| {
        let expected = schemes
            .iter()
            .map(|scheme| format!("{scheme}://"))
            .collect::<Vec<_>>()
            .join(" or ");
        ToolError::Usage(format!(
            "{:?} is not a URL with {expected}",
            without_query(url)
        ))
    })
}

fn authority(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let authority = uri.authority()?;
    Some(match authority.port_u16() {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    })
}

fn is_loopback(authority: &str) -> bool {
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = host
        .map_or(authority, |(host, _)| host)
        .trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = r#"{"http":"http://localhost:8080","ws":"ws://localhost:8080/live","webhook_url":
        "http://localhost:8080/mandrill","webhook_keys":["first","second"],"token":"tok","other":1}"#;

    fn data_dir(stack: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        if let Some(stack) = stack {
            fs::write(dir.path().join("stack.json"), stack).unwrap();
        }
        dir
    }

    fn webhook(dir: &Path, url: Option<&str>, key: Option<&str>) -> Result<Webhook, ToolError> {
        let (url, key) = (url.map(str::to_owned), key.map(Secret::new));
        WebhookArgs {
            data_dir: dir.to_owned(),
            url,
            key,
            sign_url: None,
        }
        .resolve()
    }

    fn feed(dir: &Path, url: Option<&str>) -> Result<ApiTarget, ToolError> {
        ApiArgs {
            data_dir: dir.to_owned(),
            url: url.map(str::to_owned),
            token: None,
        }
        .resolve()
    }

    #[test]
    fn a_running_local_stack_gives_the_defaults() {
        let dir = data_dir(Some(STACK));
        let found = webhook(dir.path(), None, None).unwrap();
        assert_eq!(found.post_url, "http://localhost:8080/mandrill");
        assert_eq!(found.sign_url, found.post_url);
        assert_eq!(found.key.reveal(), "first");
        let found = feed(dir.path(), None).unwrap();
        assert_eq!(
            (found.url.as_str(), found.token.reveal()),
            ("http://localhost:8080", "tok")
        );
    }

    #[test]
    fn the_local_stack_behind_a_tunnel_still_gets_its_own_url_signed() {
        let dir = data_dir(Some(STACK));
        let found = webhook(dir.path(), Some("https://tunnel.example/mandrill"), None).unwrap();
        assert_eq!(found.sign_url, "http://localhost:8080/mandrill");
        let found = webhook(
            dir.path(),
            Some("https://deployed.example/mandrill"),
            Some("k"),
        )
        .unwrap();
        assert_eq!(found.sign_url, "https://deployed.example/mandrill");
    }

    #[test]
    fn a_stack_that_is_known_to_mandrill_by_another_name_is_still_posted_to_directly() {
        let stack = STACK.replace(
            "http://localhost:8080/mandrill",
            "https://hooks.example.com/mandrill?secret=s",
        );
        let dir = data_dir(Some(&stack));
        let found = webhook(dir.path(), None, None).unwrap();
        assert_eq!(found.post_url, "http://localhost:8080/mandrill?secret=s");
        assert_eq!(
            found.sign_url,
            "https://hooks.example.com/mandrill?secret=s"
        );
    }

    #[test]
    fn without_a_stack_one_line_says_what_to_start_or_pass() {
        let dir = data_dir(None);
        let error = webhook(dir.path(), Some("http://localhost:1/mandrill"), None).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .to_string()
                .contains("start one with `cargo run -- up --data-dir ")
        );
        assert!(error.to_string().ends_with("`, or pass --url and --key"));
        let error = missing(Path::new(".posthorn"), "pass --url and --key").to_string();
        assert!(
            error.contains("start one with `cargo run`, or pass --url and --key"),
            "{error}"
        );
        assert!(
            feed(dir.path(), None)
                .unwrap_err()
                .to_string()
                .contains("--token")
        );
    }

    #[test]
    fn a_file_that_a_killed_stack_has_left_counts_as_none() {
        let dir = data_dir(None);
        let held = local_aws::files::lock(dir.path()).unwrap();
        let stack = serde_json::json!({ "http": "http://localhost:8080", "token": "t", "data_dir": dir.path() });
        fs::write(dir.path().join("stack.json"), stack.to_string()).unwrap();
        assert!(feed(dir.path(), None).is_ok());
        drop(held);
        let error = feed(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("no local stack runs with"), "{error}");
    }

    #[test]
    fn a_stack_without_a_key_is_posted_to_all_the_same() {
        let dir = data_dir(Some(&STACK.replace(r#"["first","second"]"#, "[]")));
        assert!(webhook(dir.path(), None, None).is_ok());
    }

    #[test]
    fn the_local_token_is_not_sent_to_another_server() {
        let dir = data_dir(Some(STACK));
        assert!(feed(dir.path(), Some("https://elsewhere.example/?x=secret")).is_err());
        assert_eq!(
            feed(dir.path(), Some("http://127.0.0.1:9000")).unwrap().url,
            "http://127.0.0.1:9000"
        );
        assert!(feed(dir.path(), Some("ws://127.0.0.1:9000/live")).is_err());
    }

    #[test]
    fn a_broken_stack_file_is_reported_without_its_content() {
        let dir = data_dir(Some(r#"{"webhook_keys": "very-secret-key"}"#));
        let error = webhook(dir.path(), None, None).unwrap_err().to_string();
        assert!(error.contains("stack.json") && !error.contains("very-secret-key"));
    }

    #[test]
    fn printed_urls_carry_no_secret() {
        assert_eq!(
            without_query("https://u:p@a.example/m?secret=s#f"),
            "https://a.example/m"
        );
        for plain in [
            "http://localhost:8080/mandrill",
            "https://a.example/u@b",
            "notaurl",
        ] {
            assert_eq!(without_query(plain), plain);
        }
    }

    #[test]
    fn keys_and_tokens_that_can_be_none_are_refused_and_not_shown() {
        let dir = data_dir(Some(STACK));
        for key in ["", "very-secret\n", "very\u{0}secret"] {
            let error = webhook(dir.path(), None, Some(key))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("--key ") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
