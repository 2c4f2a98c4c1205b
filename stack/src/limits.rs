//! How much the callers of the port may hold at once, so that a flood of them costs a bounded amount
//! of memory.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http_api::message;
use crate::server::Answer;

/// How many connections are served at once, sockets included.
pub(crate) const CONNECTIONS: usize = 4_096;
/// How much of request bodies is held at once, those that are being handled included.
const BODIES_KB: usize = 64 * 1024;
const KB: usize = 1_024;
/// The longest head that is read. The gateway refuses what is longer than its 10 KB with a 431 of its
/// own, and hyper the rest.
pub(crate) const HEAD_BYTES: usize = 16 * KB;
/// How long a head may take, and a connection be idle.
pub(crate) const HEAD: Duration = Duration::from_secs(30);
/// How long a body may take. API Gateway gives the whole request 30 s.
const BODY: Duration = Duration::from_secs(30);
/// What is said to a connection too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    content-length: 51\r\nconnection: close\r\nretry-after: 1\r\n\r\n\
    {\"message\":\"too many connections are open already\"}";

/// How many connections this process can serve at once. It may open as many files as it is allowed
/// to, of which a quarter is for everything but connections.
pub(crate) fn of_process() -> usize {
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => files.maximum,
        Err(_) => files.current,
    };
    let files = current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    CONNECTIONS.min(files / 4 * 3)
}

/// One of the connections that are served at once; it is free again when the last clone is dropped.
pub(crate) type Place = Arc<OwnedSemaphorePermit>;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Limits {
    connections: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Limits {
    pub(crate) fn new(connections: usize) -> Limits {
        Limits {
            connections: Arc::new(Semaphore::new(connections)),
            bodies: Arc::new(Semaphore::new(BODIES_KB)),
        }
    }

    /// A place for a connection; without one it is told so, and closed.
    pub(crate) fn admit(&self, stream: TcpStream) -> Option<(TcpStream, Place)> {
        if let Ok(place) = self.connections.clone().try_acquire_owned() {
            return Some((stream, Arc::new(place)));
        }
        // A new connection has room for these few bytes, so that nobody has to wait for it.
        let told = stream
            .into_std()
            .and_then(|mut stream| stream.write_all(FULL));
        if let Err(error) = told {
            tracing::debug!(%error, "A connection too many was not told so.");
        }
        None
    }

    /// Reads a body of at most `limit` bytes. It counts until the second value is dropped.
    pub(crate) async fn body(
        &self,
        body: Incoming,
        limit: usize,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Answer> {
        // Without a length it may become as long as it may be.
        let announced = body.size_hint().exact();
        let bytes = announced.map_or(limit, |bytes| usize::try_from(bytes).unwrap_or(limit));
        let kb = u32::try_from(bytes.min(limit).div_ceil(KB)).unwrap_or(u32::MAX);
        let read = async {
            let room = self.bodies.clone().acquire_many_owned(kb).await;
            let room = room.map_err(|_| unavailable())?;
            Ok((collect(body, limit).await?, room))
        };
        match timeout(BODY, read).await {
            Ok(read) => read,
            Err(_) => Err(message(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            )),
        }
    }
}

fn unavailable() -> Answer {
    message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
}

/// Reads a body of at most `limit` bytes, for a caller who is known.
pub(crate) async fn collect(body: Incoming, limit: usize) -> Result<Bytes, Answer> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(message(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request Entity Too Large",
        )),
        Err(_) => Err(message(StatusCode::BAD_REQUEST, "Bad Request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_too_many_is_told_so_in_a_whole_answer() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
