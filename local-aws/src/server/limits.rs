//! How much the callers of the port may hold at once, so that a flood of them costs a bounded amount
//! of memory.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::answer::Answer;
use crate::answer::message;

/// How many connections of clients are served at once, sockets included.
pub(crate) const CONNECTIONS: usize = 4_096;
const KB: usize = 1_024;
/// How much of request bodies is held at once, those that are being handled included.
pub(crate) const BODIES_KB: usize = 64 * KB;
/// The same for calls of AWS, whose callers are known.
pub(crate) const CALL_BODIES_KB: usize = 256 * KB;
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

/// How many connections of clients this process can serve at once. It may open as many files as it is
/// allowed to, of which half are for everything else: the functions' calls take two files each when
/// the functions run in this process.
#[must_use]
pub fn of_process() -> usize {
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
    CONNECTIONS.min(files / 2)
}

/// One of the connections that are served at once; it is free again when the last clone is dropped.
pub(crate) type Place = Arc<OwnedSemaphorePermit>;

/// How many connections a listener still lets in.
#[derive(Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new(connections: usize) -> Places {
        Places(Arc::new(Semaphore::new(connections)))
    }

    /// Takes a permit for a connection. Without one, answers 503 and closes the connection.
    pub(crate) fn admit(&self, stream: TcpStream) -> Option<(TcpStream, Place)> {
        if let Ok(place) = self.0.clone().try_acquire_owned() {
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
}

/// How much of request bodies may still be held.
#[derive(Debug)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Bodies {
    pub(crate) fn new(kb: usize) -> Bodies {
        Bodies(Arc::new(Semaphore::new(kb)))
    }

    /// Reads a body of at most `limit` bytes. It counts until the second value is dropped.
    ///
    /// # Errors
    /// 413 when it is longer, 503 when there is no room for what has arrived, 408 when it takes too
    /// long.
    pub(crate) async fn read<B>(
        &self,
        body: B,
        limit: usize,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Answer>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        match timeout(BODY, self.collect(body, limit)).await {
            Ok(read) => read,
            Err(_) => Err(message(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            )),
        }
    }

    /// Only what has arrived counts, whatever length is announced: a client that sends nothing takes
    /// no room.
    async fn collect<B>(
        &self,
        mut body: B,
        limit: usize,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Answer>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut held = self.more(0).ok_or_else(no_room)?;
        // Memory that nothing is written to costs nothing; a buffer that grows would hold twice as much.
        let announced = body.size_hint().exact().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(limit).min(limit);
        // Frames are copied, as one of a byte may hold on to a buffer of many.
        let mut read = Vec::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| message(StatusCode::BAD_REQUEST, "Bad Request"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let bytes = read.len() + data.len();
            if bytes > limit {
                return Err(message(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "Request Entity Too Large",
                ));
            }
            let more = self.more(bytes.div_ceil(KB) - held.num_permits());
            held.merge(more.ok_or_else(no_room)?);
            read.extend_from_slice(&data);
        }
        Ok((read.into(), held))
    }

    /// Nobody waits for room: whoever holds it may take as long as a body may take.
    fn more(&self, kb: usize) -> Option<OwnedSemaphorePermit> {
        let kb = u32::try_from(kb).unwrap_or(u32::MAX);
        self.0.clone().try_acquire_many_owned(kb).ok()
    }
}

fn no_room() -> Answer {
    let mut answer = message(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many request bodies are being handled: send this one again in a second",
    );
    let second = HeaderValue::from_static("1");
    answer.headers_mut().insert(header::RETRY_AFTER, second);
    answer
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::{Stream, StreamExt, future, stream};
    use http_body_util::{Full, StreamBody};
    use hyper::body::{Frame, SizeHint};
    use tokio::time::Instant;

    use super::*;

    const MB: usize = KB * KB;

    fn body(bytes: usize) -> Full<Bytes> {
        Full::new(vec![b'x'; bytes].into())
    }

    /// A body of this length, of which nothing arrives.
    struct Announced(u64);

    impl Body for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    fn frames(
        data: impl Stream<Item = Bytes> + Unpin,
    ) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(data.map(|data| Ok(Frame::data(data))))
    }

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

    #[tokio::test]
    async fn bodies_are_held_up_to_the_limit_and_the_next_one_is_refused_at_once() {
        let bodies = Bodies::new(BODIES_KB);
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(bodies.read(body(10 * MB), 10 * MB).await.unwrap());
        }
        held.push(bodies.read(body(4 * MB), 10 * MB).await.unwrap());
        let refused = bodies.read(body(1), 10 * MB).await.unwrap_err();
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert!(bodies.read(body(0), 10 * MB).await.is_ok());
        held.pop();
        // Of a refused body nothing is held.
        assert!(bodies.read(body(5 * MB), 10 * MB).await.is_err());
        assert!(bodies.read(body(4 * MB), 10 * MB).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_are_announced_and_do_not_arrive_hold_nothing() {
        let bodies = Bodies::new(BODIES_KB);
        let began = Instant::now();
        let announced = (0..100).map(|_| bodies.read(Announced(10 * MB as u64), 10 * MB));
        tokio::select! {
            biased;
            _ = future::join_all(announced) => panic!("they do not arrive"),
            read = bodies.read(body(10 * MB), 10 * MB) => assert!(read.is_ok()),
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_body_of_small_frames_is_read_whole_and_counts_as_long_as_it_is() {
        let bodies = Bodies::new(2);
        let letters = || frames(stream::iter((0..2_048).map(|_| Bytes::from_static(b"x"))));
        let (read, held) = bodies.read(letters(), 2_048).await.unwrap();
        assert_eq!((read.len(), held.num_permits()), (2_048, 2));
        drop(held);
        let refused = bodies.read(letters(), 2_047).await.unwrap_err();
        assert_eq!(refused.status(), 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_within_30_seconds_is_refused_and_holds_nothing() {
        let bodies = Bodies::new(BODIES_KB);
        let every_second = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Bytes::from(vec![b'x'; KB]), ()))
        });
        let silent = frames(stream::pending());
        let slow = frames(every_second.boxed());
        let began = Instant::now();
        let (silent, slow) = tokio::join!(bodies.read(silent, MB), bodies.read(slow, MB));
        assert_eq!(began.elapsed().as_secs(), BODY.as_secs());
        for refused in [silent, slow] {
            assert_eq!(refused.unwrap_err().status(), 408);
        }
        assert_eq!(bodies.0.available_permits(), BODIES_KB);
    }
}
