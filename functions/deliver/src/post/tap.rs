//! Notes what a connection reads, so that a status line stays known whatever follows it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::HEAD_BYTES;

/// How each of our requests begins.
const REQUEST_START: &[u8] = b"POST ";

/// What a connection has read since it began to write its last request.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// When the last request began, of which some was written.
    asked_at: Option<Instant>,
    /// What was read since then, or what the server said before a first request that could not be
    /// written: at most [`HEAD_BYTES`].
    bytes: Vec<u8>,
}

/// What a server has said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) bytes: Vec<u8>,
    /// Whether it follows a request. Otherwise it answers none.
    pub(super) is_answer: bool,
}

impl Heard {
    /// What was said to a request that was made at `start` or later. Of a connection that had
    /// requests before, nothing if this one was not written: what was read answers an earlier one.
    pub(super) fn since(&self, start: Instant) -> Said {
        let noted = self.lock();
        if noted.asked_at.is_some_and(|at| at < start) {
            return Said::default();
        }
        Said {
            bytes: noted.bytes.clone(),
            is_answer: noted.asked_at.is_some(),
        }
    }

    fn has_asked(&self) -> bool {
        self.lock().asked_at.is_some()
    }

    fn ask(&self) {
        let mut noted = self.lock();
        noted.asked_at = Some(Instant::now());
        noted.bytes.clear();
    }

    /// Notes what there is room for; whether there is room for more.
    fn note(&self, bytes: &[u8]) -> bool {
        let mut noted = self.lock();
        let room = HEAD_BYTES.saturating_sub(noted.bytes.len());
        noted
            .bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        bytes.len() < room
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that notes what it reads since it began to write its last request.
///
/// It reads nothing before its first request. hyper gives a connection up on which something comes
/// before that, so that what is known of a server that speaks first would depend on who is faster.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    stream: S,
    heard: Heard,
    /// The task that reads, while there was no request.
    reader: Option<Waker>,
}

impl<S> Tapped<S> {
    pub(crate) fn new(stream: S) -> Tapped<S> {
        Tapped {
            stream,
            heard: Heard::default(),
            reader: None,
        }
    }
}

impl<S: AsyncRead + Unpin> Tapped<S> {
    /// Notes a request of which some was written, or what the server had said when none could be.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        is_start: bool,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) if is_start && count > 0 => {
                self.heard.ask();
                if let Some(reader) = self.reader.take() {
                    reader.wake();
                }
                written
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.drain(context).unwrap_or(error))),
            written => written,
        }
    }

    /// Notes what has come already: after a failed write hyper reads no more. Answers what TLS says
    /// of it, such as why the server refuses us.
    fn drain(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let mut space = [0; 4_096];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    if !self.heard.note(buffer.filled()) {
                        return None;
                    }
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Some(error);
                }
                Poll::Ready(_) | Poll::Pending => return None,
            }
        }
    }
}

impl<S: Connection> Connection for Tapped<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.heard.clone())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.heard.has_asked() {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.heard.note(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written, bytes.starts_with(REQUEST_START))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        let is_start = first.is_some_and(|first| first.starts_with(REQUEST_START));
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written, is_start)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, Interest};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection that its server has reset after it said this.
    async fn reset_after(text: &str) -> Tapped<TcpStream> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, (mut server, _)) = (stream.unwrap(), accepted.unwrap());
        server.write_all(text.as_bytes()).await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        let both = Interest::READABLE | Interest::WRITABLE;
        while !stream.ready(both).await.unwrap().is_write_closed() {
            tokio::task::yield_now().await;
        }
        Tapped::new(stream)
    }

    #[tokio::test]
    async fn what_came_before_a_request_that_could_not_be_written_is_known_and_answers_nothing() {
        for text in ["SSH-2.0-OpenSSH_9.2p1\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let mut connection = reset_after(text).await;
            let start = Instant::now();
            let written = connection.write(b"POST / HTTP/1.1\r\n").await;
            assert!(written.is_err(), "{written:?}");
            let said = connection.heard.since(start);
            assert_eq!(
                (said.bytes.as_slice(), said.is_answer),
                (text.as_bytes(), false)
            );
        }
    }
}
