//! Somebody's endpoint: an HTTP/1.1 server that answers as a test says and keeps what it was sent.
//!
//! It reads and writes the socket itself, since a test has to answer what no HTTP library would: a head
//! that comes byte by byte, a body without an end, nothing at all.

mod reply;
mod request;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use reply::Reply;
pub use request::Received;

use crate::{DEADLINE, eventually};

/// A server on a port of its own. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    paths: Mutex<HashMap<String, Path>>,
    /// What was asked, in order of arrival.
    received: Mutex<Vec<Received>>,
    /// Whether held answers may go.
    released: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Path {
    /// The answers that are left, the last of which stays.
    replies: VecDeque<Reply>,
    /// The answers to requests with this text in them, which go before.
    by_text: Vec<(String, Reply)>,
    outstanding: usize,
    most_outstanding: usize,
}

impl Receiver {
    /// A receiver on a free port, which answers 200 to everything until it is told otherwise.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Receiver {
        Receiver::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// A receiver at this address: where another one was before it, or at another of the machine's.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start_at(address: SocketAddr) -> Receiver {
        let listener = TcpListener::bind(address).await.expect("a port");
        let state = Arc::new(State::default());
        Receiver {
            address: listener.local_addr().expect("an address"),
            server: tokio::spawn(accept(listener, state.clone())),
            state,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers requests of this path so, from now on.
    pub fn reply(&self, path: &str, reply: Reply) {
        self.script(path, [reply]);
    }

    /// Answers requests of this path so, one after the other; the last answer stays.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut paths = lock(&self.state.paths);
        let path = paths.entry(path.to_owned()).or_default();
        path.replies = replies.into_iter().collect();
    }

    /// Answers requests of this path with this text in them so, whatever else there is.
    pub fn reply_to(&self, path: &str, text: &str, reply: Reply) {
        let mut paths = lock(&self.state.paths);
        let path = paths.entry(path.to_owned()).or_default();
        path.by_text.push((text.to_owned(), reply));
    }

    /// Sends every answer that is [held](Reply::held), and holds none from now on.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// Everything that was received so far, in order of arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// What was received on this path, in order of arrival.
    #[must_use]
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        let received = lock(&self.state.received);
        let mine = received.iter().filter(|request| request.path() == path);
        mine.cloned().collect()
    }

    fn count_at(&self, path: &str) -> usize {
        let received = lock(&self.state.received);
        let mine = received.iter().filter(|request| request.path() == path);
        mine.count()
    }

    /// Waits until this path has had at least so many requests, and answers all of them.
    ///
    /// # Panics
    /// When they do not come in time.
    #[track_caller]
    pub fn wait_for(&self, path: &str, count: usize) -> impl Future<Output = Vec<Received>> {
        self.wait_within(DEADLINE, path, count)
    }

    /// The same with another deadline.
    ///
    /// # Panics
    /// When they do not come in time.
    #[track_caller]
    pub fn wait_within(
        &self,
        deadline: Duration,
        path: &str,
        count: usize,
    ) -> impl Future<Output = Vec<Received>> {
        eventually(deadline, async move || {
            let there = self.count_at(path);
            if there >= count {
                return Ok(self.received_at(path));
            }
            Err(format!("{path} had {there} of {count}"))
        })
    }

    /// How many requests of this path have no whole answer yet.
    #[must_use]
    pub fn outstanding(&self, path: &str) -> usize {
        let paths = lock(&self.state.paths);
        paths.get(path).map_or(0, |path| path.outstanding)
    }

    /// The most that ever had none at the same time.
    #[must_use]
    pub fn most_outstanding(&self, path: &str) -> usize {
        let paths = lock(&self.state.paths);
        paths.get(path).map_or(0, |path| path.most_outstanding)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    /// Keeps a request; answers how to answer it.
    fn take(&self, request: Received) -> Reply {
        let mut paths = lock(&self.paths);
        let path = paths.entry(request.path().to_owned()).or_default();
        path.outstanding += 1;
        path.most_outstanding = path.most_outstanding.max(path.outstanding);
        let mut by_text = path.by_text.iter();
        let by_text = by_text.find(|(text, _)| request.text().contains(text));
        let reply = match (by_text, path.replies.len()) {
            (Some((_, reply)), _) => reply.clone(),
            (None, 0) => Reply::status(200),
            (None, 1) => path.replies[0].clone(),
            (None, _) => path.replies.pop_front().expect("an answer"),
        };
        lock(&self.received).push(request);
        reply
    }
}

/// A request that is being answered, or whose client has gone.
struct Outstanding<'a> {
    state: &'a State,
    path: String,
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        if let Some(path) = lock(&self.state.paths).get_mut(&self.path) {
            path.outstanding -= 1;
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Ends its connections when the server is aborted.
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        number += 1;
        let state = state.clone();
        connections.spawn(async move { serve(stream, number, &state).await });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers the requests of a connection until one of both sides closes it.
async fn serve(stream: TcpStream, connection: usize, state: &State) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Some(request) = request::read(&mut stream, connection).await {
        let path = request.path().to_owned();
        let reply = state.take(request);
        let _outstanding = Outstanding { state, path };
        let released = state.released.subscribe();
        if !reply.write(&mut stream, released).await {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
