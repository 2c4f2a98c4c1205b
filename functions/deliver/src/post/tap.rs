//! Notes what a connection reads, so that a status line stays known whatever follows it.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The most bytes of an answer's head that are read; the rest is ignored.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// How each of our requests begins.
const REQUEST_START: &[u8] = b"POST ";

/// What a connection has read since it began to write its last request.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// When the last request began, of which some was written.
    asked_at: Option<Instant>,
    /// What was read since then, or what the server said before the first request: at most
    /// [`HEAD_BYTES`].
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

    /// Begins a request. Returns what was said before the first one.
    fn ask(&self) -> Vec<u8> {
        let mut noted = self.lock();
        let before = mem::take(&mut noted.bytes);
        match noted.asked_at.replace(Instant::now()) {
            None => before,
            Some(_) => Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.lock().bytes.is_empty()
    }

    fn room(&self) -> usize {
        HEAD_BYTES.saturating_sub(self.lock().bytes.len())
    }

    /// Notes what there is room for.
    fn note(&self, bytes: &[u8]) {
        let room = self.room();
        let kept = &bytes[..bytes.len().min(room)];
        self.lock().bytes.extend_from_slice(kept);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that notes what it reads since it began to write its last request.
///
/// What comes before the first request is kept back until then. hyper gives up a connection on which
/// something comes before that, so that what is known of a server that speaks first would depend on
/// who is faster. A connection that ends before anything came does end for hyper as well: the pool
/// may hold it, and must not hand it out.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    stream: S,
    heard: Heard,
    /// What came before the first request and has not been read yet.
    early: Vec<u8>,
    /// What TLS said before the first request, such as why the server refuses us.
    refusal: Option<io::Error>,
    /// The task that reads, while there was no request.
    reader: Option<Waker>,
}

impl<S> Tapped<S> {
    pub(crate) fn new(stream: S) -> Tapped<S> {
        Tapped {
            stream,
            heard: Heard::default(),
            early: Vec::new(),
            refusal: None,
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
                self.early.extend(self.heard.ask());
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
    /// of it.
    fn drain(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.refusal.is_none()
            && let Poll::Ready(Err(error)) = self.poll_note(context)
        {
            self.refusal = Some(error).filter(is_of_tls);
        }
        self.refusal.take()
    }

    /// Notes what comes while hyper is given nothing, until the stream ends. Pending, too, while
    /// there is no room.
    fn poll_note(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 4_096];
        loop {
            let room = self.heard.room().min(space.len());
            if room == 0 {
                return Poll::Pending;
            }
            let mut buffer = ReadBuf::new(&mut space[..room]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.heard.note(buffer.filled());
        }
    }

    /// How the stream ends before the first request, if nothing was said.
    fn poll_early(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reader = Some(context.waker().clone());
        if self.refusal.is_some() {
            return Poll::Pending;
        }
        match self.poll_note(context) {
            Poll::Ready(Err(error)) if is_of_tls(&error) => {
                self.refusal = Some(error);
                Poll::Pending
            }
            end if self.heard.is_empty() => end,
            _ => Poll::Pending,
        }
    }

    /// Reads what was kept back, and then the stream.
    fn poll_all(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..count]);
            self.early.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match self.refusal.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_read(context, buffer),
        }
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
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
            return self.poll_early(context);
        }
        let before = buffer.filled().len();
        let read = self.poll_all(context, buffer);
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
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (stream.unwrap(), accepted.unwrap().0)
    }

    /// A connection that its server has reset after it said this.
    async fn reset_after(text: &str) -> Tapped<TcpStream> {
        let (stream, mut server) = connected().await;
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

    #[tokio::test]
    async fn a_connection_that_the_server_ends_before_a_request_ends_for_who_reads_it() {
        for has_reset in [false, true] {
            let (stream, server) = connected().await;
            if has_reset {
                server.set_zero_linger().unwrap();
            }
            drop(server);
            let mut connection = Tapped::new(stream);
            let mut space = [0; 8];
            let reading = timeout(Duration::from_secs(10), connection.read(&mut space));
            let read = reading.await.expect("it ends").ok();
            assert_eq!(read, (!has_reset).then_some(0));
        }
    }

    #[tokio::test]
    async fn what_comes_before_the_first_request_is_read_after_it_began() {
        let (stream, mut server) = connected().await;
        let early = vec![b'a'; 2 * HEAD_BYTES];
        let sent = early.clone();
        tokio::spawn(async move { server.write_all(&sent).await.unwrap() });
        stream.readable().await.unwrap();
        let mut connection = Tapped::new(stream);
        let mut space = [0; 8];
        let mut buffer = ReadBuf::new(&mut space);
        let read = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut connection).poll_read(context, &mut buffer))
        });
        assert!(read.await.is_pending());
        connection.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
        let mut text = vec![0; early.len()];
        connection.read_exact(&mut text).await.unwrap();
        assert!(text == early);
    }
}
