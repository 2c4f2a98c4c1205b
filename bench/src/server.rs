//! The servers that are measured, each in a process of its own, so that their CPU time is theirs.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use posthorn::tools::post::{Poster, SignedBatch};
use posthorn::tools::target::{Secret, Webhook};
use posthorn::tools::tickets::Tickets;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Result, cpu, endpoints, fan_out, gateway};

/// How often it is looked whether the stack is up: 10 s altogether.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 1_000;

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    urls: Urls,
    /// The functions' variables; of the stack only.
    variables: HashMap<String, String>,
    _directory: Option<TempDir>,
}

#[derive(Debug, Deserialize)]
struct Urls {
    ws: String,
    webhook_url: String,
    webhook_keys: Vec<String>,
    token: String,
    #[serde(default)]
    stack_token: String,
}

impl Server {
    /// The local stack. Its data are gone with it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn posthorn(options: &[&str]) -> Result<Server> {
        let directory = tempfile::tempdir()?;
        let child = Command::new(std::env::current_exe()?)
            .args([POSTHORN, "up", "--memory", "--port", "0", "--data-dir"])
            .arg(directory.path())
            .args(options)
            .stdout(Stdio::null())
            // One line for each POST, as a terminal would get it.
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Server {
            child,
            urls: Urls {
                ws: String::new(),
                webhook_url: String::new(),
                webhook_keys: Vec::new(),
                token: String::new(),
                stack_token: String::new(),
            },
            variables: HashMap::new(),
            _directory: None,
        };
        // Written last, and in one piece.
        server.urls = serde_json::from_str(&read(&directory.path().join("stack.json")).await?)?;
        server.variables = read(&directory.path().join("functions.env"))
            .await?
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        server._directory = Some(directory);
        Ok(server)
    }

    /// The server to compare with: this same program, told to be it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn fan_out() -> Result<Server> {
        Server::of_this_program(FAN_OUT)
    }

    /// What `push` is measured against: this same program, told to be it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn gateway() -> Result<Server> {
        Server::of_this_program(GATEWAY)
    }

    /// Other people's endpoints: this same program, told to be them.
    ///
    /// # Errors
    /// When it does not start.
    pub fn endpoints() -> Result<Server> {
        Server::of_this_program(ENDPOINTS)
    }

    fn of_this_program(name: &str) -> Result<Server> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(name)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut address)?;
        let address = address.trim();
        Ok(Server {
            child,
            urls: Urls {
                ws: format!("ws://{address}/live"),
                webhook_url: format!("http://{address}/mandrill"),
                webhook_keys: vec!["unused".to_owned()],
                token: "unused".to_owned(),
                stack_token: String::new(),
            },
            variables: HashMap::new(),
            _directory: None,
        })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its CPU time.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        cpu::of(self.pid())
    }

    /// A variable of the functions.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// All variables of the functions.
    #[must_use]
    pub fn variables(&self) -> &HashMap<String, String> {
        &self.variables
    }

    /// The token for what the stack tells of itself.
    #[must_use]
    pub fn stack_token(&self) -> &str {
        &self.urls.stack_token
    }

    /// The token that opens everything.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.urls.token
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        let rest = self.urls.ws.trim_start_matches("ws://");
        rest.split('/').next().unwrap_or(rest)
    }

    /// Where WebSocket clients connect within the next minute, ticket included.
    ///
    /// # Errors
    /// When there is no ticket to be had.
    pub async fn socket_url(&self) -> Result<String> {
        // Who only fans out asks for none.
        if self.variables.is_empty() {
            return Ok(self.urls.ws.clone());
        }
        let api = format!("http://{}", self.address());
        let tickets = Tickets::new(&api, Secret::new(self.token()))?;
        Ok(tickets.socket_url().await?.reveal().to_owned())
    }

    /// Where Mandrill posts, and the key that it signs with.
    #[must_use]
    pub fn webhook(&self) -> (&str, &str) {
        let key = self.urls.webhook_keys.first().map_or("", String::as_str);
        (&self.urls.webhook_url, key)
    }

    /// A Mandrill.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn poster(&self) -> Result<Poster> {
        let (url, key) = self.webhook();
        let poster = Poster::new(Webhook {
            post_url: url.to_owned(),
            sign_url: url.to_owned(),
            key: Secret::new(key),
        });
        Ok(poster?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended when it cannot be ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Posts a batch, which has to be taken.
///
/// # Errors
/// When it is not.
pub async fn post(poster: &Poster, batch: &SignedBatch) -> Result<()> {
    let answer = poster.post(batch).await?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(format!("a POST was answered {}: {}", answer.status, answer.body).into())
}

async fn read(file: &Path) -> Result<String> {
    for _ in 0..LOOKS {
        if let Ok(text) = std::fs::read_to_string(file)
            && !text.is_empty()
        {
            return Ok(text);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err("the stack does not start".into())
}

/// The arguments with which a benchmark is told to be a server.
const POSTHORN: &str = "posthorn";
const FAN_OUT: &str = "fan-out";
const GATEWAY: &str = "gateway";
const ENDPOINTS: &str = "endpoints";

/// Is the server that the arguments ask for, until it ends; none when they ask for none.
///
/// A benchmark has all of the `posthorn` program in it, and so starts what it was built with.
///
/// # Errors
/// When the server cannot run.
pub async fn serve() -> Result<Option<ExitCode>> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    match arguments.peek().and_then(|word| word.to_str()) {
        Some(POSTHORN) => Ok(Some(posthorn::cli::run(arguments).await)),
        Some(FAN_OUT) => fan_out::run().await.map(|()| None),
        Some(GATEWAY) => gateway::run().await.map(|()| None),
        Some(ENDPOINTS) => endpoints::run().await.map(|()| None),
        _ => Ok(None),
    }
}
