//! The WebSocket API: `$connect` before the connection opens, `$default` for each message,
//! `$disconnect` after it closed. ("Working with WebSocket APIs".)

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream::SplitSink, stream::SplitStream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::account::ACCOUNT_ID;
use crate::answer::Answer;
use crate::answer::message;
use crate::gateway::handshake;
use crate::gateway::http_api::request_time;
use crate::gateway::sockets::{Command, Socket};
use crate::ids::request_id;
use crate::server::limits::Place;
use crate::stack::services::Services;

/// "Quotas for WebSocket APIs": frame size, message payload size.
const FRAME_BYTES: usize = 32 * 1024;
const MESSAGE_BYTES: usize = 128 * 1024;
/// Same page: idle connection timeout, connection duration.
const IDLE: Duration = Duration::from_secs(10 * 60);
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// Same page: integration timeout.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);
/// Same page: URL length, in characters.
const URL_CHARACTERS: usize = 4_096;
/// How many messages are taken at once for one write.
const WRITES: usize = 64;
/// How many messages of one client are handled side by side; the next one is not read before.
const INVOCATIONS: usize = 64;

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// Opens a connection, if `$connect` lets it.
pub(crate) async fn connect(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    services: Arc<Services>,
) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    if services.urls.ws.len() + "?".len() + query.len() > URL_CHARACTERS {
        return message(StatusCode::URI_TOO_LONG, "URI Too Long");
    }
    let accept = match handshake::accept(request.method(), request.headers()) {
        Ok(accept) => accept,
        Err(refusal) => return refusal.answer(),
    };
    let headers = request.headers();
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let Ok((socket, commands)) = services.sockets.opening(peer.ip(), user_agent) else {
        return message(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
    };
    let payload = connect_payload(&services, &socket, headers, request.uri());
    let mut answer = match invoke(&services, "$connect", payload).await {
        Some(answer) if (200..300).contains(&answer.status_code) => answer.switching_protocols(),
        Some(answer) => {
            let status =
                StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
            return message(status, status.canonical_reason().unwrap_or("Refused"));
        }
        None => return message(StatusCode::BAD_GATEWAY, "Internal server error"),
    };
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        answer
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let place = request.extensions_mut().remove::<Place>();
    tokio::spawn(async move {
        let _place = place;
        match upgrade.await {
            Ok(upgraded) => open(upgraded, socket, commands, services).await,
            Err(error) => tracing::debug!(%error, "A connection did not open."),
        }
    });
    answer
}

/// A route's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteAnswer {
    status_code: u16,
    #[serde(default)]
    headers: Map<String, Value>,
}

impl RouteAnswer {
    fn switching_protocols(&self) -> Answer {
        let mut answer = Response::new(Bytes::new().into());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let protocol = self
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"));
        if let Some(protocol) =
            protocol.and_then(|(_, value)| HeaderValue::from_str(value.as_str()?).ok())
        {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        answer
    }
}

/// Invokes a route's function; none when it has none or fails.
async fn invoke(services: &Services, route_key: &str, payload: Value) -> Option<RouteAnswer> {
    let function = services
        .template
        .websocket
        .as_ref()?
        .routes
        .get(route_key)?;
    let invoked = services.invoke(function, payload.to_string());
    match timeout(INTEGRATION_TIMEOUT, invoked).await {
        Ok(Ok(answer)) => serde_json::from_str(&answer).ok(),
        Ok(Err(error)) => {
            tracing::error!(%error, route_key, "A WebSocket route failed.");
            None
        }
        Err(_) => {
            tracing::error!(route_key, "A WebSocket route got no answer in time.");
            None
        }
    }
}

async fn open(
    upgraded: Upgraded,
    socket: Arc<Socket>,
    commands: UnboundedReceiver<Command>,
    services: Arc<Services>,
) {
    let config = WebSocketConfig::default()
        // A connection mostly waits: the default buffers of 128 KB each would be most of its memory.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_frame_size(Some(FRAME_BYTES))
        .max_message_size(Some(MESSAGE_BYTES));
    let stream =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    services.sockets.add(socket.clone());
    let (mut sink, stream) = stream.split();
    let longest = services.socket_limit.unwrap_or(LONGEST).min(LONGEST);
    let ended = tokio::select! {
        ended = read(stream, &socket, &services) => ended,
        ended = write(&mut sink, commands, &socket) => ended,
        ended = watch_time(&socket, longest) => ended,
    };
    services.sockets.remove(&socket.id);
    services
        .bill
        .connection(socket.connected_at, crate::clock::now());
    if let Some(code) = ended.close_with {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: Utf8Bytes::from(ended.reason.as_str()),
        };
        // A client that is gone needs no farewell.
        let _ = tokio::time::timeout(
            Duration::from_secs(1),
            sink.send(Message::Close(Some(frame))),
        )
        .await;
    } else {
        // The answer to the client's own close frame waits to be written.
        let _ = tokio::time::timeout(Duration::from_secs(1), sink.flush()).await;
    }
    drop(sink);
    invoke(
        &services,
        "$disconnect",
        disconnect_payload(&services, &socket, &ended),
    )
    .await;
    services.sockets.ended();
}

/// How a connection ended.
#[derive(Debug)]
struct Ended {
    /// What `$disconnect` is told.
    code: u16,
    reason: String,
    /// The code that we close with, none when the client has closed or is gone.
    close_with: Option<u16>,
}

impl Ended {
    fn by_us(code: u16, reason: &str) -> Ended {
        Ended {
            code,
            reason: reason.to_owned(),
            close_with: Some(code),
        }
    }

    fn by_client(code: u16, reason: &str) -> Ended {
        Ended {
            code,
            reason: reason.to_owned(),
            close_with: None,
        }
    }
}

async fn read(
    mut stream: SplitStream<Stream>,
    socket: &Arc<Socket>,
    services: &Arc<Services>,
) -> Ended {
    let invocations = Arc::new(Semaphore::new(INVOCATIONS));
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                socket.touch();
                services.bill.message(text.len());
                let (services, socket) = (services.clone(), socket.clone());
                let slot = invocations.clone().acquire_owned().await;
                // The gateway does not wait for one message's function before it calls the next.
                tokio::spawn(async move {
                    let _slot = slot;
                    let payload = message_payload(&services, &socket, &text);
                    if invoke(&services, "$default", payload).await.is_none() {
                        let failure = json!({
                            "message": "Internal server error",
                            "connectionId": socket.id,
                            "requestId": request_id(),
                        });
                        let failure = failure.to_string();
                        services.bill.message(failure.len());
                        // Who is gone or slow does not learn it.
                        let _ = services.sockets.send(&socket.id, failure.into());
                    }
                });
            }
            Some(Ok(Message::Binary(_))) => {
                return Ended::by_us(1003, "binary messages are not supported");
            }
            // Pings are answered, but do not count as activity.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(Some(frame)))) => {
                return Ended::by_client(frame.code.into(), &frame.reason);
            }
            Some(Ok(Message::Close(None))) => {
                return Ended::by_client(1005, "Client-side close frame status not set");
            }
            Some(Err(Error::Capacity(_))) => return Ended::by_us(1009, "Message too long"),
            Some(Err(Error::Utf8(_))) => return Ended::by_us(1007, "not UTF-8"),
            Some(Err(Error::Protocol(_))) => return Ended::by_us(1002, "protocol error"),
            Some(Err(_)) | None => return Ended::by_client(1006, "Connection closed abnormally"),
        }
    }
}

async fn write(
    sink: &mut SplitSink<Stream, Message>,
    mut commands: UnboundedReceiver<Command>,
    socket: &Socket,
) -> Ended {
    let mut taken = Vec::with_capacity(WRITES);
    loop {
        if commands.recv_many(&mut taken, WRITES).await == 0 {
            return Ended::by_us(1001, "Going away");
        }
        for command in taken.drain(..) {
            let text = match command {
                Command::Send(text) => text,
                Command::Close => return Ended::by_us(1000, "Connection closed by the server"),
                Command::GoAway => return Ended::by_us(1001, "Going away"),
            };
            let bytes = text.len();
            let Ok(text) = Utf8Bytes::try_from(text) else {
                return Ended::by_us(1007, "not UTF-8");
            };
            if sink.feed(Message::Text(text)).await.is_err() {
                return Ended::by_client(1006, "Connection closed abnormally");
            }
            socket.sent(bytes);
        }
        socket.touch();
        if sink.flush().await.is_err() {
            return Ended::by_client(1006, "Connection closed abnormally");
        }
    }
}

/// Returns when the connection has been idle, or open, for too long.
async fn watch_time(socket: &Socket, longest: Duration) -> Ended {
    let end = Instant::now() + longest;
    loop {
        let idle = crate::clock::now()
            .0
            .saturating_sub(socket.last_active_at().0);
        let Some(left) = IDLE
            .checked_sub(Duration::from_millis(idle))
            .filter(|left| !left.is_zero())
        else {
            return Ended::by_us(1001, "Going away");
        };
        if Instant::now() >= end {
            return Ended::by_us(1001, "Going away");
        }
        sleep_until((Instant::now() + left).min(end)).await;
    }
}

fn connect_payload(services: &Services, socket: &Socket, headers: &HeaderMap, uri: &Uri) -> Value {
    let mut single = Map::new();
    let mut multi: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = Value::from(String::from_utf8_lossy(value.as_bytes()));
        single.insert(name.as_str().to_owned(), value.clone());
        add(&mut multi, name.as_str(), value);
    }
    let mut payload = json!({
        "headers": single,
        "multiValueHeaders": multi,
        "requestContext": context(services, socket, "$connect", "CONNECT"),
        "isBase64Encoded": false,
    });
    let mut single = Map::new();
    let mut multi = Map::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        add(&mut multi, &name, Value::from(&*value));
        single.insert(name.into_owned(), Value::from(&*value));
    }
    if !single.is_empty() {
        payload["queryStringParameters"] = Value::Object(single);
        payload["multiValueQueryStringParameters"] = Value::Object(multi);
    }
    payload
}

fn add(multi: &mut Map<String, Value>, name: &str, value: Value) {
    match multi.get_mut(name).and_then(Value::as_array_mut) {
        Some(values) => values.push(value),
        None => {
            multi.insert(name.to_owned(), Value::from(vec![value]));
        }
    }
}

/// A MESSAGE event has no headers and no query: what is needed later has to be kept at `$connect`.
fn message_payload(services: &Services, socket: &Socket, text: &str) -> Value {
    let mut context = context(services, socket, "$default", "MESSAGE");
    context["messageId"] = Value::from(request_id());
    json!({ "requestContext": context, "body": text, "isBase64Encoded": false })
}

fn disconnect_payload(services: &Services, socket: &Socket, ended: &Ended) -> Value {
    let mut context = context(services, socket, "$disconnect", "DISCONNECT");
    context["disconnectStatusCode"] = Value::from(ended.code);
    context["disconnectReason"] = Value::from(ended.reason.as_str());
    let headers = json!({ "Host": services.urls.host(), "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" });
    let multi = json!({ "Host": [services.urls.host()], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""] });
    json!({ "headers": headers, "multiValueHeaders": multi, "requestContext": context, "isBase64Encoded": false })
}

fn context(services: &Services, socket: &Socket, route_key: &str, event_type: &str) -> Value {
    let now = crate::clock::now();
    let (api_id, stage) = match &services.template.websocket {
        Some(api) => (api.api_id.as_str(), api.stage.as_str()),
        None => ("", ""),
    };
    json!({
        "accountId": ACCOUNT_ID,
        "apiId": api_id,
        "connectedAt": socket.connected_at.0,
        "connectionId": socket.id,
        "domainName": services.urls.host(),
        "eventType": event_type,
        "extendedRequestId": request_id(),
        "identity": { "sourceIp": socket.source_ip.to_string(), "userAgent": socket.user_agent },
        "messageDirection": "IN",
        "requestId": request_id(),
        "requestTime": request_time(now),
        "requestTimeEpoch": now.0,
        "routeKey": route_key,
        "stage": stage,
    })
}
