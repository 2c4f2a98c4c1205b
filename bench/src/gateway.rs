//! As much of AWS as `push` needs, in a process of its own: a table that keeps what is put into it,
//! and a gateway that takes every message. It does nothing else, so that what its caller pays for
//! is the caller's own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{Result, out};

/// Where it tells how many messages it took since it was asked last.
pub const TAKEN: &str = "/taken";
/// Where it gives the items that were put in batches since it was asked last: events.
pub const WRITTEN: &str = "/written";

#[derive(Debug, Default)]
struct State {
    /// Items put one by one, by partition: connections.
    rows: Mutex<HashMap<String, Vec<Value>>>,
    written: Mutex<Vec<Value>>,
    taken: AtomicUsize,
}

/// Serves on any free port, which it prints, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub async fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    out::line(listener.local_addr()?.to_string());
    let state = Arc::new(State::default());
    loop {
        let (stream, _) = listener.accept().await?;
        // A failure ends the connection, which is all that there is to do.
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        let service = service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(answer(request, &state).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let target = request.headers().get("x-amz-target");
    let operation =
        target.and_then(|target| target.to_str().ok()?.split('.').nth(1).map(str::to_owned));
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let answer = match (path.as_str(), operation) {
        (TAKEN, _) => json!(state.taken.swap(0, Ordering::Relaxed)),
        (WRITTEN, _) => Value::Array(std::mem::take(&mut *lock(&state.written))),
        (_, Some(operation)) => {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            table(state, &operation, body)
        }
        (_, None) => {
            state.taken.fetch_add(1, Ordering::Relaxed);
            return Response::default();
        }
    };
    let mut answer = Response::new(Full::from(answer.to_string()));
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn table(state: &State, operation: &str, mut body: Value) -> Value {
    match operation {
        "PutItem" => {
            let item = body["Item"].take();
            let partition = item["pk"]["S"].as_str().unwrap_or_default().to_owned();
            lock(&state.rows).entry(partition).or_default().push(item);
            json!({})
        }
        "Query" => {
            let wanted = body["ExpressionAttributeValues"][":pk"]["S"].as_str();
            let rows = lock(&state.rows);
            let items = rows.get(wanted.unwrap_or_default());
            json!({ "Items": items.map_or(&[][..], Vec::as_slice) })
        }
        "BatchGetItem" => json!({ "Responses": {}, "UnprocessedKeys": {} }),
        "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object_mut().into_iter().flatten();
            let puts = tables.filter_map(|(_, requests)| requests.as_array_mut());
            let items = puts
                .flatten()
                .map(|request| request["PutRequest"]["Item"].take());
            lock(&state.written).extend(items);
            json!({ "UnprocessedItems": {} })
        }
        _ => json!({}),
    }
}
