//! WebSocket clients that cost little: what is measured is the server, on the same machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::{self, TryStreamExt};
use memchr::memmem::Finder;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Result;
use crate::batches::{Key, key};

/// How many handshakes are under way at once.
const HANDSHAKES: usize = 32;
/// One frame of the server's at a time.
const READ_BYTES: usize = 32 * 1024;
/// When nothing has come for this long, nothing will.
const SILENCE: Duration = Duration::from_secs(4);

/// What one client got.
#[derive(Debug, Default)]
pub struct Log {
    /// The events in order.
    pub keys: Vec<Key>,
    /// The messages: how many events there were after it, and when it came.
    pub messages: Vec<(usize, Instant)>,
}

#[derive(Debug, Default)]
struct Progress {
    received: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

/// Open connections that note what they get.
#[derive(Debug)]
pub struct Clients {
    logs: Vec<Arc<Mutex<Log>>>,
    progress: Arc<Progress>,
    _tasks: JoinSet<()>,
}

impl Clients {
    /// Connects `count` clients to `url` at `address`.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn connect(address: &str, url: &str, count: usize) -> Result<Clients> {
        let sockets: Vec<_> = stream::iter((0..count).map(|_| open(address, url)))
            .buffer_unordered(HANDSHAKES)
            .try_collect()
            .await?;
        let progress = Arc::new(Progress::default());
        let mut tasks = JoinSet::new();
        let mut logs = Vec::with_capacity(count);
        for socket in sockets {
            let log = Arc::new(Mutex::new(Log::default()));
            logs.push(log.clone());
            tasks.spawn(listen(socket, log, progress.clone()));
        }
        Ok(Clients {
            logs,
            progress,
            _tasks: tasks,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    /// Says how many deliveries to wait for from now on, all clients together.
    pub fn expect(&self, deliveries: usize) {
        let received = self.progress.received.load(Ordering::Acquire);
        let target = received + deliveries as u64;
        self.progress.target.store(target, Ordering::Release);
    }

    /// Waits until the expected deliveries have come, or nothing comes any more.
    pub async fn wait(&self) {
        let progress = &self.progress;
        loop {
            let before = progress.received.load(Ordering::Acquire);
            if before >= progress.target.load(Ordering::Acquire) {
                return;
            }
            let timed_out = tokio::time::timeout(SILENCE, progress.reached.notified()).await;
            let after = progress.received.load(Ordering::Acquire);
            if timed_out.is_err() && after == before {
                return;
            }
        }
    }

    /// What each client got since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Log> {
        let take = |log: &Arc<Mutex<Log>>| {
            std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.logs.iter().map(take).collect()
    }
}

async fn open(address: &str, url: &str) -> Result<WebSocketStream<TcpStream>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0);
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let (socket, _) = client_async_with_config(url, tcp, Some(config)).await?;
    Ok(socket)
}

async fn listen(
    mut socket: WebSocketStream<TcpStream>,
    log: Arc<Mutex<Log>>,
    progress: Arc<Progress>,
) {
    const BEFORE_ID: &[u8] = br#""id":""#;
    let ids = Finder::new(br#""id":"evt_"#);
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let now = Instant::now();
        let text = text.as_bytes();
        let count = {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let before = log.keys.len();
            let found = ids
                .find_iter(text)
                .filter_map(|at| key(&text[at + BEFORE_ID.len()..]));
            log.keys.extend(found);
            let after = log.keys.len();
            log.messages.push((after, now));
            after - before
        };
        let before = progress.received.fetch_add(count as u64, Ordering::AcqRel);
        let target = progress.target.load(Ordering::Acquire);
        if before < target && before + count as u64 >= target {
            progress.reached.notify_one();
        }
    }
}
