//! Three endpoints: bounces, inbound mail, and changes of the allow and deny lists.
//!
//! As a package of its own: `cargo add axum serde_json standardwebhooks`, `cargo add serde -F derive`,
//! `cargo add serde_json -F raw_value`, `cargo add tokio -F full`, this as `src/main.rs`, and
//! `BOUNCES_SECRET=whsec_… INBOUND_SECRET=… LISTS_SECRET=… cargo run`.
//!
//! They print what they would do, or append it to the file that `OUTPUT` names.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program like anybody's"
)]

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

/// Inbound mail comes with its attachments.
const BODY_BYTES: usize = 32 * 1024 * 1024;

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    recipient: Option<String>,
    /// What was received, which may be anything: also what no string of Rust can hold.
    data: Box<RawValue>,
}

struct Endpoint {
    webhook: Webhook,
    handle: fn(&Event) -> io::Result<()>,
    /// The ids of handled events. A real one keeps them in its database, and adds an id in the
    /// transaction that does the work.
    handled: Mutex<HashSet<String>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/bounces", endpoint("BOUNCES_SECRET", bounce)?)
        .route("/inbound", endpoint("INBOUND_SECRET", mail)?)
        .route("/lists", endpoint("LISTS_SECRET", listing)?)
        .layer(DefaultBodyLimit::max(BODY_BYTES));
    let port = env::var("PORT").unwrap_or("8888".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

fn endpoint(
    secret: &str,
    handle: fn(&Event) -> io::Result<()>,
) -> Result<MethodRouter, Box<dyn Error>> {
    let secret = env::var(secret).map_err(|_| format!("set {secret}"))?;
    let endpoint = Arc::new(Endpoint {
        webhook: Webhook::new(&secret)?,
        handle,
        handled: Mutex::default(),
    });
    Ok(post(receive).with_state(endpoint))
}

async fn receive(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    // The signature is of these bytes; JSON that was parsed and written again has another one.
    if endpoint.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<Event>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    match endpoint.handle_once(&event) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(error) => {
            eprintln!("{} is not handled: {error}", event.id);
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl Endpoint {
    /// An event is delivered again under the same id, for example when an answer was lost.
    fn handle_once(&self, event: &Event) -> io::Result<()> {
        // Two attempts at once: the second waits until it is known how the first ends.
        let mut handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        if !handled.contains(&event.id) {
            // What fails is not noted: the next attempt handles it.
            (self.handle)(event)?;
            handled.insert(event.id.clone());
        }
        Ok(())
    }
}

fn bounce(event: &Event) -> io::Result<()> {
    let recipient = text(event.recipient.as_deref());
    match event.kind.as_str() {
        "soft_bounce" => write(&format!("{recipient} could not be reached")),
        kind => write(&format!("{recipient} gets no more mail: {kind}")),
    }
}

fn mail(event: &Event) -> io::Result<()> {
    let data: Value = serde_json::from_str(event.data.get()).unwrap_or_default();
    // A field of what has no fields is null.
    let mail = &data["msg"];
    let count = match &mail["attachments"] {
        Value::Object(files) => files.len(),
        // PHP writes an empty map as an empty array.
        Value::Array(files) => files.len(),
        _ => 0,
    };
    let (from, subject) = (mail["from_email"].as_str(), mail["subject"].as_str());
    let (from, subject) = (text(from), text(subject));
    write(&format!(
        "mail from {from}: {subject} ({count} attachments)"
    ))
}

fn listing(event: &Event) -> io::Result<()> {
    // Such as `blacklist_add`; newer ones may say `denylist`.
    let kind = event.kind.as_str();
    let (list, action) = kind.split_once('_').unwrap_or((kind, ""));
    let is_denied = matches!(list, "blacklist" | "denylist");
    let list = if is_denied { "deny list" } else { "allow list" };
    let recipient = text(event.recipient.as_deref());
    write(&format!("{list}, {action}: {recipient}"))
}

fn text(value: Option<&str>) -> &str {
    value.unwrap_or("(none)")
}

fn write(line: &str) -> io::Result<()> {
    let Ok(path) = env::var("OUTPUT") else {
        println!("{line}");
        return Ok(());
    };
    let mut output = OpenOptions::new().create(true).append(true).open(path)?;
    output.write_all(format!("{line}\n").as_bytes())
}
