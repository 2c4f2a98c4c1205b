//! Notes what a connection reads, so that a status line stays known whatever comes behind it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

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
    /// When the last request began.
    asked_at: Option<Instant>,
    /// The beginning of its answer, at most [`HEAD_BYTES`].
    bytes: Vec<u8>,
}

impl Heard {
    /// The beginning of the answer to a request that was made at `start` or later: nothing if it was
    /// never written, as when the connection had been closed meanwhile.
    pub(super) fn since(&self, start: Instant) -> Vec<u8> {
        let noted = self.lock();
        let is_ours = noted.asked_at.is_some_and(|at| at >= start);
        if is_ours {
            noted.bytes.clone()
        } else {
            Vec::new()
        }
    }

    fn ask(&self) {
        let mut noted = self.lock();
        noted.asked_at = Some(Instant::now());
        noted.bytes.clear();
    }

    fn note(&self, bytes: &[u8]) {
        let mut noted = self.lock();
        let room = HEAD_BYTES.saturating_sub(noted.bytes.len());
        noted
            .bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that notes what it reads since it began to write its last request.
#[derive(Debug)]
pub(crate) struct Tapped<S> {
    stream: S,
    heard: Heard,
}

impl<S> Tapped<S> {
    pub(crate) fn new(stream: S) -> Tapped<S> {
        Tapped {
            stream,
            heard: Heard::default(),
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.heard.note(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.starts_with(REQUEST_START) {
            self.heard.ask();
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        if first.is_some_and(|first| first.starts_with(REQUEST_START)) {
            self.heard.ask();
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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
