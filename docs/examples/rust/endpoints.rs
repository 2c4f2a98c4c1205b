//! Three endpoints: bounces, inbound mail, and changes of the allow and deny lists.
//!
//! As a package of its own: `cargo add axum serde_json standardwebhooks`, `cargo add tokio -F full`,
//! this as `src/main.rs`, and `BOUNCES_SECRET=whsec_… INBOUND_SECRET=… LISTS_SECRET=… cargo run`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program like anybody's"
)]

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, post};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

/// Inbound mail comes with its attachments.
const BODY_BYTES: usize = 32 * 1024 * 1024;

struct Endpoint {
    webhook: Webhook,
    handle: fn(&Value),
    /// The ids of what was handled; a real one keeps them in its database, with what it does.
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

fn endpoint(secret: &str, handle: fn(&Value)) -> Result<MethodRouter, Box<dyn Error>> {
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
    let Ok(event) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    // An answer that got lost makes it come again, with the same id.
    let mut handled = endpoint
        .handled
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if handled.insert(text(&event["id"]).to_owned()) {
        (endpoint.handle)(&event);
    }
    StatusCode::NO_CONTENT
}

fn bounce(event: &Value) {
    let recipient = text(&event["recipient"]);
    match text(&event["type"]) {
        "soft_bounce" => println!("{recipient} could not be reached"),
        kind => println!("{recipient} gets no more mail: {kind}"),
    }
}

fn mail(event: &Value) {
    let mail = &event["data"]["msg"];
    let attachments = mail["attachments"]
        .as_object()
        .map_or(0, |files| files.len());
    let (from, subject) = (text(&mail["from_email"]), text(&mail["subject"]));
    println!("mail from {from}: {subject} ({attachments} attachments)");
}

fn listing(event: &Value) {
    // Such as `blacklist_add`; newer ones may say `denylist`.
    let (list, action) = text(&event["type"]).split_once('_').unwrap_or_default();
    let is_denied = matches!(list, "blacklist" | "denylist");
    let list = if is_denied { "deny list" } else { "allow list" };
    println!("{list}, {action}: {}", text(&event["recipient"]));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
