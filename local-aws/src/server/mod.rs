//! Which request goes to which service.

pub(crate) mod hosts;
pub(crate) mod limits;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::{Answer, answer_json, message};
use crate::aws;
use crate::gateway::function_url::{self, Body};
use crate::gateway::{http_api, websocket_api};
use crate::sqs::SqsError;
use crate::stack::services::Services;

use limits::{Place, Places};

/// The largest call of the SDK: DynamoDB's 16 MB and a little.
const CALL_BYTES: usize = 17 * 1024 * 1024;

/// For what is no page: nothing of it may be run or framed.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Where connections come in.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// For everybody, as many at once as there are places.
    Public(TcpListener, Places),
    /// For the functions' calls of AWS, and nothing else. Only programs of this machine reach it, and
    /// a call that is turned away fails for good: connections wait when there are no more files.
    Calls(TcpListener),
}

impl Entrance {
    fn listener(&self) -> &TcpListener {
        match self {
            Entrance::Public(listener, _) | Entrance::Calls(listener) => listener,
        }
    }
}

/// Serves until `stop` changes; then open connections get a moment to finish.
pub(crate) async fn serve(
    entrance: Entrance,
    services: Arc<Services>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = entrance.listener().accept() => match accepted {
                Ok((stream, peer)) => {
                    let admitted = match &entrance {
                        Entrance::Public(_, places) => {
                            let admitted = places.admit(stream);
                            admitted.map(|(stream, place)| (stream, Some(place)))
                        }
                        Entrance::Calls(_) => Some((stream, None)),
                    };
                    if let Some((stream, place)) = admitted {
                        connections.spawn(connection(stream, peer, place, services.clone()));
                    }
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

/// A connection with a place is a client's, one without is for calls of AWS.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<Place>,
    services: Arc<Services>,
) {
    // Small messages are not worth waiting for more.
    let _ = stream.set_nodelay(true);
    let answer = move |mut request: Request<Incoming>| {
        let services = services.clone();
        let is_for_calls = place.is_none();
        if let Some(place) = place.clone() {
            // A WebSocket takes it along.
            request.extensions_mut().insert(place);
        }
        // On the heap: a connection that waits for a request has no room for the answer's future.
        Box::pin(async move {
            let mut answer = if is_for_calls && !aws::is_call(request.headers()) {
                whole(aws::unrecognized())
            } else {
                route(request, peer, services).await
            };
            secure(answer.headers_mut());
            answer
        })
    };
    if let Err(error) = speak(stream, answer).await {
        tracing::debug!(%error, "A connection ended early.");
    }
}

/// Reads requests and writes their answers, until the connection ends.
async fn speak<A>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: impl Fn(Request<Incoming>) -> A,
) -> hyper::Result<()>
where
    A: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD)
        .max_buf_size(limits::HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
}

/// What keeps an answer from being used as a page, a frame or a script by another origin. An answer
/// may have a policy of its own.
fn secure(headers: &mut HeaderMap) {
    let always = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in always {
        let value = HeaderValue::from_static(value);
        headers.entry(name).or_insert(value);
    }
}

async fn route(
    request: Request<Incoming>,
    peer: SocketAddr,
    services: Arc<Services>,
) -> Response<Body> {
    if let Some(refusal) = services.hosts.refusal(request.uri(), request.headers()) {
        return whole(refusal);
    }
    let is_for_it = !aws::is_call(request.headers()) && services.is_for_function_url(request.uri());
    let function = function_url::function(&services.template.functions);
    let Some((function, url)) = function.filter(|_| is_for_it) else {
        return whole(at_hand(request, peer, services).await);
    };
    let (parts, body) = request.into_parts();
    match services.bodies.read(body, function_url::BODY_BYTES).await {
        Ok((body, _held)) => {
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
        return match services.call_bodies.read(body, CALL_BYTES).await {
            Ok((body, _held)) => services.aws.call(caller, &parts, body).await,
            Err(answer) => answer,
        };
    }
    let path = request.uri().path();
    if path.trim_end_matches('/') == services.websocket_path {
        return websocket_api::connect(request, peer, services).await;
    }
    if let Some(rest) = path.strip_prefix("/_stack/") {
        return own(rest, request.method(), request.headers(), &services).await;
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
                && let Some(answer) = services.page.and_then(|page| page(&parts, &services.urls))
            {
                return answer;
            }
            match http_api::default_route(routes) {
                Some(route) => route,
                None => return message(StatusCode::NOT_FOUND, "Not Found"),
            }
        }
    };
    if http_api::headers_are_too_large(&parts) {
        return message(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request Header Fields Too Large",
        );
    }
    let (body, _held) = match services.bodies.read(body, http_api::BODY_BYTES).await {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    let payload = http_api::payload(route, &services.http_api_id, &parts, &body, peer);
    let invoked = services.invoke(&route.function, payload);
    let answer = match timeout(http_api::INTEGRATION_TIMEOUT, invoked).await {
        Ok(result) => http_api::response(result),
        Err(_) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
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

/// What the local stack tells of itself, to those who can read `stack.json`.
async fn own(path: &str, method: &Method, headers: &HeaderMap, services: &Services) -> Answer {
    if !has_token(headers, &services.urls.stack_token) {
        return token_needed();
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut answer = message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(header::ALLOW, allowed);
        return answer;
    }
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
            None => message(StatusCode::NOT_FOUND, "Not Found"),
        },
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok()?.split_once(' '));
    given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case("bearer")
            && bool::from(token.as_bytes().ct_eq(given.trim().as_bytes()))
    })
}

fn token_needed() -> Answer {
    let mut answer = message(
        StatusCode::UNAUTHORIZED,
        "send `Authorization: Bearer` with the `stack_token` of stack.json in the data directory",
    );
    let scheme = HeaderValue::from_static("Bearer");
    let headers = answer.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, scheme);
    answer
}

async fn queue_page(queue: &str, services: &Services) -> Answer {
    match services.aws.sqs.messages(queue).await {
        Ok(messages) => answer_json(StatusCode::OK, &json!({ "messages": messages })),
        Err(SqsError::NoSuchQueue) => message(StatusCode::NOT_FOUND, "Not Found"),
        Err(error) => {
            tracing::error!(%error, "A queue cannot be read.");
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;
    use crate::functions::scripted::handlers;
    use crate::stack::identity::Identity;
    use crate::{Options, Stack};

    const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Site:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/scripted/, Runtime: provided.al2023, Handler: bootstrap}
";

    #[tokio::test(flavor = "multi_thread")]
    async fn the_port_for_calls_answers_only_calls() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            handlers: handlers(),
            ..Options::new(TEMPLATE, directory.path())
        };
        let stack = Stack::start(options).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let entrance = Entrance::Calls(listener);
        let _serving = tokio::spawn(serve(entrance, stack.services.clone(), stopped));

        let identity = Identity::load(directory.path()).unwrap();
        let key = &identity.access_keys["Site"];
        let call = format!("authorization: AWS4-HMAC-SHA256 Credential={key}/x\r\n");
        let mut client = TcpStream::connect(address).await.unwrap();
        for (target, headers, expected) in [
            ("/healthz", "", "UnrecognizedClientException"),
            ("/config.json", "", "UnrecognizedClientException"),
            // A call, which names no connection.
            ("/", call.as_str(), "ForbiddenException"),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            while !answer.ends_with('}') {
                answer.push(char::from(client.read_u8().await.unwrap()));
            }
            assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
            assert!(answer.contains(expected), "{target}: {answer}");
        }
    }

    async fn ok(_: Request<Incoming>) -> Response<Body> {
        whole(answer_json(StatusCode::OK, &json!({})))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_head_does_not_end_within_30_seconds_is_closed() {
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        for (said, answers) in [("", 0), ("GET / HTTP/1.1\r\nhost: local", 0), (request, 1)] {
            let (mut client, server) = tokio::io::duplex(4 * 1_024);
            let began = Instant::now();
            let served = tokio::spawn(speak(server, ok));
            client.write_all(said.as_bytes()).await.unwrap();
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.unwrap();
            let _ = served.await.unwrap();
            assert_eq!(
                began.elapsed().as_secs(),
                limits::HEAD.as_secs(),
                "{said:?}"
            );
            assert_eq!(heard.matches("HTTP/1.1 200").count(), answers, "{heard}");
        }
    }
}
