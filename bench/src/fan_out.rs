//! The least that a live feed can be: a server that cuts a POST's batch into events and writes the
//! same messages as `push` to every WebSocket, from memory, without a store, a gateway, a stream
//! or a signature. What Posthorn costs more than this is what it promises more.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use domain::frame::{self, Cause, EVENT_BYTES, Rendered};
use domain::{Event, Feed};
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mandrill::Form;
use platform::clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::{Result, out};

type Answer = Response<Full<Bytes>>;
type Listeners = Arc<Mutex<Vec<UnboundedSender<Utf8Bytes>>>>;

/// Serves on any free port, which it prints, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub async fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    out::line(listener.local_addr()?.to_string());
    let listeners = Listeners::default();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, listeners.clone()));
    }
}

async fn connection(stream: TcpStream, listeners: Listeners) {
    // A failure ends the connection, which is all that there is to do.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let listeners = listeners.clone();
        async move { Ok::<_, Infallible>(answer(request, &listeners).await) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn answer(mut request: Request<Incoming>, listeners: &Listeners) -> Answer {
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
        let accept = derive_accept_key(key.as_bytes());
        let (sender, messages) = unbounded_channel();
        lock(listeners).push(sender);
        tokio::spawn(write(hyper::upgrade::on(&mut request), messages));
        return switching_protocols(&accept);
    }
    let is_batch = request.method() == Method::POST && request.uri().path() == "/mandrill";
    let Ok(body) = request.into_body().collect().await else {
        return status(StatusCode::BAD_REQUEST);
    };
    if is_batch {
        let messages = messages(&body.to_bytes());
        for listener in lock(listeners).iter() {
            for message in &messages {
                // One that has gone needs nothing.
                let _ = listener.send(message.clone());
            }
        }
    }
    // Anything else is a call of the management API, which gets its 200 and nothing more.
    status(StatusCode::OK)
}

fn lock(listeners: &Listeners) -> std::sync::MutexGuard<'_, Vec<UnboundedSender<Utf8Bytes>>> {
    listeners.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The messages that `push` would send.
fn messages(body: &[u8]) -> Vec<Utf8Bytes> {
    let form = Form::parse(body);
    let raw = form.events();
    let feed = Feed::new("fan-out");
    let rendered: Vec<_> = webhook::intake::events(&raw, Some("main"))
        .into_iter()
        .map(|event| {
            let event = Event {
                id: event.id,
                received_at: clock::now(),
                content: event.content,
                data: None,
            };
            Rendered {
                json: event.to_json_within(&feed, false, EVENT_BYTES),
                cursor: feed.cursor_at(event.position()),
            }
        })
        .collect();
    let messages = frame::messages(&rendered, Cause::Live);
    messages.into_iter().map(Utf8Bytes::from).collect()
}

async fn write(upgrade: OnUpgrade, mut messages: UnboundedReceiver<Utf8Bytes>) {
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0);
    let socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (mut sink, _) = socket.split();
    while let Some(message) = messages.recv().await {
        if sink.send(Message::Text(message)).await.is_err() {
            return;
        }
    }
}

fn switching_protocols(accept: &str) -> Answer {
    let mut answer = status(StatusCode::SWITCHING_PROTOCOLS);
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}
