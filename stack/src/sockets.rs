//! The open connections of the WebSocket API, as `@connections` sees them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use domain::Millis;
use platform::clock;
use tokio::sync::mpsc;

/// How much may wait for a client before it counts as too slow. AWS names no figure.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What is to be done with a connection.
#[derive(Debug)]
pub enum Command {
    /// Send this text.
    Send(Bytes),
    /// Close it: somebody asked for that.
    Close,
    /// Close it: the stack is stopping.
    GoAway,
}

/// An open connection.
#[derive(Debug)]
pub struct Socket {
    /// Its id, as AWS makes them: with `=` at the end.
    pub id: String,
    /// When it was opened.
    pub connected_at: Millis,
    /// The client's address.
    pub source_ip: IpAddr,
    /// What the client says it is.
    pub user_agent: Option<String>,
    last_active_at: AtomicU64,
    waiting_bytes: AtomicUsize,
    commands: mpsc::UnboundedSender<Command>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// There is no such connection.
    Gone,
    /// Too much is waiting for the client.
    TooSlow,
}

impl Socket {
    /// A connection that is about to open, and where its commands arrive.
    ///
    /// # Errors
    /// When there is no randomness for its id.
    pub fn new(
        source_ip: IpAddr,
        user_agent: Option<String>,
    ) -> std::io::Result<(Arc<Socket>, mpsc::UnboundedReceiver<Command>)> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let now = clock::now();
        let socket = Socket {
            // 11 bytes: 16 characters with one `=`.
            id: URL_SAFE.encode(crate::identity::random::<11>()?),
            connected_at: now,
            source_ip,
            user_agent,
            last_active_at: AtomicU64::new(now.0),
            waiting_bytes: AtomicUsize::new(0),
            commands,
        };
        Ok((Arc::new(socket), receiver))
    }

    /// Something was sent or received.
    pub fn touch(&self) {
        self.last_active_at.store(clock::now().0, Ordering::Relaxed);
    }

    /// When something was last sent or received.
    pub fn last_active_at(&self) -> Millis {
        Millis(self.last_active_at.load(Ordering::Relaxed))
    }

    /// A message has left.
    pub fn sent(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn send(&self, message: Bytes) -> Result<(), NotSent> {
        let bytes = message.len();
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) > BUFFER_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NotSent::TooSlow);
        }
        self.commands
            .send(Command::Send(message))
            .map_err(|_| NotSent::Gone)
    }
}

/// The open connections.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Mutex<HashMap<String, Arc<Socket>>>,
    ending: AtomicUsize,
}

impl Sockets {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Socket>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has opened.
    pub fn add(&self, socket: Arc<Socket>) {
        self.open().insert(socket.id.clone(), socket);
    }

    /// A connection has closed, and its `$disconnect` is about to run.
    pub fn remove(&self, id: &str) {
        self.ending.fetch_add(1, Ordering::AcqRel);
        self.open().remove(id);
    }

    /// The `$disconnect` of a removed connection has run.
    pub fn ended(&self) {
        self.ending.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether no connection is open, and none is being closed.
    pub fn are_all_ended(&self) -> bool {
        self.count() == 0 && self.ending.load(Ordering::Acquire) == 0
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// When each of them was opened.
    pub fn open_since(&self) -> Vec<Millis> {
        self.open()
            .values()
            .map(|socket| socket.connected_at)
            .collect()
    }

    /// The ids of all that are open.
    pub fn ids(&self) -> Vec<String> {
        self.open().keys().cloned().collect()
    }

    /// An open connection.
    pub fn get(&self, id: &str) -> Option<Arc<Socket>> {
        self.open().get(id).cloned()
    }

    /// Sends a message to a connection.
    ///
    /// # Errors
    /// When it is gone or too slow.
    pub fn send(&self, id: &str, message: Bytes) -> Result<(), NotSent> {
        self.get(id).ok_or(NotSent::Gone)?.send(message)
    }

    /// Closes a connection; false when there is none.
    pub fn close(&self, id: &str) -> bool {
        self.get(id)
            .is_some_and(|socket| socket.commands.send(Command::Close).is_ok())
    }

    /// Closes every connection.
    pub fn close_all(&self) {
        for socket in self.open().values() {
            // One whose receiver is gone is closed already.
            let _ = socket.commands.send(Command::GoAway);
        }
    }
}
