//! The one port: which request goes to which service.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::function_url::Body;
use crate::sqs::SqsError;
use crate::stack::Services;
use crate::{aws, function_url, http_api, page, websocket_api};

/// An answer of any of the services.
pub type Answer = Response<Full<Bytes>>;

/// The largest call of the SDK: DynamoDB's 16 MB and a little.
const CALL_BYTES: usize = 17 * 1024 * 1024;

/// A JSON answer.
#[must_use]
pub fn answer_json(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Bytes::from(body.to_string()).into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    answer
}

/// Serves until `stop` changes; then open connections get a moment to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    services: Arc<Services>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, services.clone()));
                }
                // Out of file descriptors, mostly: it gets better when others close.
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted.");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => return,
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, services: Arc<Services>) {
    // Small messages are not worth waiting for more.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let services = services.clone();
        async move { Ok::<_, Infallible>(route(request, peer, services).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // The gateway answers 431 to what is longer than its 10 KB; hyper must be able to read it.
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "A connection ended early.");
    }
}

async fn route(
    request: Request<Incoming>,
    peer: SocketAddr,
    services: Arc<Services>,
) -> Response<Body> {
    let is_asked = !aws::is_call(request.headers()) && function_url::is_asked(request.uri());
    let function = function_url::function(&services.template.functions);
    let Some((function, url)) = function.filter(|_| is_asked) else {
        return whole(at_hand(request, peer, services).await);
    };
    let (parts, body) = request.into_parts();
    match collect(body, function_url::BODY_BYTES).await {
        Ok(body) => {
            let payload = function_url::payload(url, &parts, &body, peer);
            function_url::response(services.stream(&function.logical_id, payload)).await
        }
        Err(answer) => whole(answer),
    }
}

fn whole(answer: Answer) -> Response<Body> {
    answer.map(|body| body.map_err(|never| match never {}).boxed_unsync())
}

/// Answers that are made at once.
async fn at_hand(request: Request<Incoming>, peer: SocketAddr, services: Arc<Services>) -> Answer {
    if aws::is_call(request.headers()) {
        let (parts, body) = request.into_parts();
        // Before anything of the body is read: the port may be public.
        let Some(caller) = services.aws.caller(&parts.headers) else {
            return aws::unrecognized();
        };
        return match collect(body, CALL_BYTES).await {
            Ok(body) => services.aws.call(caller, &parts, body).await,
            Err(answer) => answer,
        };
    }
    let path = request.uri().path();
    if path.trim_end_matches('/') == services.websocket_path {
        return websocket_api::connect(request, peer, services).await;
    }
    if let Some(rest) = path.strip_prefix("/_stack/") {
        return own(rest, &services).await;
    }
    http_api(request, peer, &services).await
}

async fn http_api(request: Request<Incoming>, peer: SocketAddr, services: &Services) -> Answer {
    let (parts, body) = request.into_parts();
    let routes = &services.template.http_routes;
    let path = parts.uri.path();
    let route = match http_api::route(routes, parts.method.as_str(), path) {
        Some(route) => route,
        None => {
            if matches!(parts.method, Method::GET | Method::HEAD)
                && let Some(answer) = page::answer(&parts, &services.urls)
            {
                return answer;
            }
            match http_api::default_route(routes) {
                Some(route) => route,
                None => return http_api::message(StatusCode::NOT_FOUND, "Not Found"),
            }
        }
    };
    if http_api::headers_are_too_large(&parts) {
        return http_api::message(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request Header Fields Too Large",
        );
    }
    let body = match collect(body, http_api::BODY_BYTES).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let payload = http_api::payload(route, &services.http_api_id, &parts, &body, peer);
    let invoked = services.invoke(&route.function, payload);
    let answer = match timeout(http_api::INTEGRATION_TIMEOUT, invoked).await {
        Ok(result) => http_api::response(result),
        Err(_) => http_api::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    };
    services
        .bill
        .http_request(body.len().max(answer_bytes(&answer)));
    answer
}

fn answer_bytes(answer: &Answer) -> usize {
    let bytes = hyper::body::Body::size_hint(answer.body()).exact();
    bytes.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

async fn collect(body: Incoming, limit: usize) -> Result<Bytes, Answer> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(http_api::message(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request Entity Too Large",
        )),
        Err(_) => Err(http_api::message(StatusCode::BAD_REQUEST, "Bad Request")),
    }
}

/// What the local stack tells of itself.
async fn own(path: &str, services: &Services) -> Answer {
    match path {
        "health" => answer_json(
            StatusCode::OK,
            &json!({ "status": "ok", "connections": services.sockets.count() }),
        ),
        "bill" => {
            let mut answer = answer_json(StatusCode::OK, &services.bill());
            let no_store = HeaderValue::from_static("no-store");
            answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
            answer
        }
        _ => match path.strip_prefix("queues/") {
            Some(queue) => queue_page(queue, services).await,
            None => http_api::message(StatusCode::NOT_FOUND, "Not Found"),
        },
    }
}

async fn queue_page(queue: &str, services: &Services) -> Answer {
    match services.aws.sqs.messages(queue).await {
        Ok(messages) => answer_json(StatusCode::OK, &json!({ "messages": messages })),
        Err(SqsError::NoSuchQueue) => http_api::message(StatusCode::NOT_FOUND, "Not Found"),
        Err(error) => {
            tracing::error!(%error, "A queue cannot be read.");
            http_api::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}
