//! The open connections of the WebSocket API, as `@connections` sees them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::clock::{self, Millis};

/// How much may wait for a client before it counts as too slow. AWS names no figure.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How much may wait for all clients together. Beyond it a client is refused messages only while
/// `KEEPS_UP_BYTES` or more wait for it: slow clients must not make others miss something. So at most
/// this waits in all, and less than 256 KB more for each connection (`KEEPS_UP_BYTES` and one message);
/// `limits.rs` bounds the connections.
const ALL_BUFFERS_BYTES: usize = 64 * 1024 * 1024;
/// Less than this waits for a client that keeps up. It is the size of the largest message.
const KEEPS_UP_BYTES: usize = 128 * 1024;

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
    /// What is waiting for all clients.
    all_waiting_bytes: Arc<AtomicUsize>,
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
        self.all_waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn send(&self, message: Bytes) -> Result<(), NotSent> {
        let bytes = message.len();
        let own = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let all = self.all_waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // A client that keeps up has room for its next message, however many others have none.
        if own > BUFFER_BYTES || (own >= KEEPS_UP_BYTES && all > ALL_BUFFERS_BYTES) {
            self.sent(bytes);
            return Err(NotSent::TooSlow);
        }
        self.commands
            .send(Command::Send(message))
            .map_err(|_| NotSent::Gone)
    }
}

impl Drop for Socket {
    /// What waits for a client that is gone waits for nobody.
    fn drop(&mut self) {
        let bytes = *self.waiting_bytes.get_mut();
        self.all_waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The open connections.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Mutex<HashMap<String, Arc<Socket>>>,
    ending: AtomicUsize,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Sockets {
    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Socket>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is about to open, and where its commands arrive.
    ///
    /// # Errors
    /// When there is no randomness for its id.
    pub fn opening(
        &self,
        source_ip: IpAddr,
        user_agent: Option<String>,
    ) -> std::io::Result<(Arc<Socket>, mpsc::UnboundedReceiver<Command>)> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let now = clock::now();
        let socket = Socket {
            // 11 bytes: 16 characters with one `=`.
            id: URL_SAFE.encode(crate::ids::random::<11>()?),
            connected_at: now,
            source_ip,
            user_agent,
            last_active_at: AtomicU64::new(now.0),
            waiting_bytes: AtomicUsize::new(0),
            all_waiting_bytes: self.waiting_bytes.clone(),
            commands,
        };
        Ok((Arc::new(socket), receiver))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(sockets: &Sockets) -> (Arc<Socket>, mpsc::UnboundedReceiver<Command>) {
        let address = IpAddr::from([127, 0, 0, 1]);
        let (socket, commands) = sockets.opening(address, None).unwrap();
        sockets.add(socket.clone());
        (socket, commands)
    }

    #[test]
    fn what_waits_for_clients_that_do_not_read_is_bounded_for_each_and_for_all() {
        const MESSAGE_BYTES: usize = 128 * 1024;
        const SMALL_BYTES: usize = 4 * 1024;
        const CLIENTS: usize = 40;
        let sockets = Sockets::default();
        let message = Bytes::from(vec![b'x'; MESSAGE_BYTES]);
        let small = Bytes::from(vec![b'x'; SMALL_BYTES]);
        let clients: Vec<_> = (0..CLIENTS).map(|_| opened(&sockets)).collect();
        for (socket, _) in &clients {
            while sockets.send(&socket.id, message.clone()).is_ok() {}
            assert!(socket.waiting_bytes.load(Ordering::Relaxed) <= BUFFER_BYTES + MESSAGE_BYTES);
        }
        let waiting = || sockets.waiting_bytes.load(Ordering::Relaxed);
        let most = ALL_BUFFERS_BYTES + (CLIENTS + 1) * MESSAGE_BYTES;
        assert!(
            (ALL_BUFFERS_BYTES..=most).contains(&waiting()),
            "{}",
            waiting()
        );

        // A client that reads gets its next message all the same.
        let (reader, _commands) = opened(&sockets);
        assert_eq!(sockets.send(&reader.id, message.clone()), Ok(()));
        assert_eq!(
            sockets.send(&reader.id, message.clone()),
            Err(NotSent::TooSlow)
        );
        reader.sent(MESSAGE_BYTES);
        assert_eq!(sockets.send(&reader.id, message), Ok(()));

        // And so does one for which a little is waiting already.
        let (behind, _commands) = opened(&sockets);
        for _ in 0..KEEPS_UP_BYTES / SMALL_BYTES {
            assert_eq!(sockets.send(&behind.id, small.clone()), Ok(()));
        }
        let refused = sockets.send(&behind.id, small.clone());
        assert_eq!(refused, Err(NotSent::TooSlow));
        behind.sent(SMALL_BYTES);
        assert_eq!(sockets.send(&behind.id, small), Ok(()));

        // Those that go take what waited for them along.
        for (socket, _) in &clients {
            sockets.remove(&socket.id);
        }
        drop(clients);
        assert_eq!(waiting(), MESSAGE_BYTES + KEEPS_UP_BYTES);
    }
}
