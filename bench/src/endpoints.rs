//! Other people's endpoints, in a process of their own: they note what comes, and when, and cost as
//! little as can be, so that what is measured is who calls them.

use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::batches::{Key, key};
use crate::{Result, cpu, out};

/// Paths that begin so get no answer.
pub const HANGING: &str = "/hang";
/// Paths that begin so lose their connection.
pub const DEAD: &str = "/dead";
/// How many requests were answered with 200 since it was asked for what came.
const COUNT: &str = "/count";
/// What came since it was asked last: a line for each request that was answered with 200.
const TAKEN: &str = "/taken";

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Most requests are read at once.
const READ_BYTES: usize = 16 * 1024;

/// A request that was answered with 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The number of its path.
    pub endpoint: usize,
    /// Its event.
    pub key: Key,
    /// When it was read, as [`cpu::monotonic_ns`] tells the time.
    pub at_ns: u64,
}

type Arrivals = Arc<Mutex<Vec<Arrival>>>;

/// Serves on any free port, which it prints, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub async fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    out::line(listener.local_addr()?.to_string());
    let arrivals = Arrivals::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let arrivals = arrivals.clone();
        // A failure ends the connection, which is all that there is to do.
        tokio::spawn(async move { connection(stream, &arrivals).await });
    }
}

async fn connection(mut stream: TcpStream, arrivals: &Arrivals) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    while let Some((head, whole)) = request(&mut stream, &mut buffer).await? {
        let at_ns = cpu::monotonic_ns();
        let head = &buffer[..head];
        let path = path(head);
        match path {
            COUNT => {
                let count = lock(arrivals).len();
                stream.write_all(&answer(&count.to_string())).await?;
            }
            TAKEN => {
                let taken = std::mem::take(&mut *lock(arrivals));
                let lines: String = taken.iter().map(Arrival::line).collect();
                stream.write_all(&answer(&lines)).await?;
            }
            path if path.starts_with(HANGING) => {
                // Until the client has enough.
                while stream.read_buf(&mut buffer).await? > 0 {
                    buffer.clear();
                }
                return Ok(());
            }
            path if path.starts_with(DEAD) => return Ok(()),
            path => {
                let endpoint = path.trim_start_matches('/').parse().unwrap_or_default();
                let key = header(head, b"webhook-id").and_then(key);
                if let Some(key) = key {
                    let arrival = Arrival {
                        endpoint,
                        key,
                        at_ns,
                    };
                    lock(arrivals).push(arrival);
                }
                stream.write_all(OK).await?;
            }
        }
        buffer.drain(..whole);
    }
    Ok(())
}

/// Reads until a request is whole: the bytes of its head, and of all of it. None at the end.
async fn request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<(usize, usize)>> {
    loop {
        if let Some(head) = memmem::find(buffer, b"\r\n\r\n") {
            let length = header(&buffer[..head], b"content-length");
            let length = length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
            let whole = head + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                return Ok(Some((head, whole)));
            }
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn path(head: &[u8]) -> &str {
    let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    std::str::from_utf8(path).unwrap_or_default()
}

fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let (given, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        given.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arrival {
    fn line(&self) -> String {
        format!("{} {:x} {}\n", self.endpoint, self.key, self.at_ns)
    }

    fn parse(line: &str) -> Option<Arrival> {
        let mut words = line.split(' ');
        Some(Arrival {
            endpoint: words.next()?.parse().ok()?,
            key: Key::from_str_radix(words.next()?, 16).ok()?,
            at_ns: words.next()?.parse().ok()?,
        })
    }
}

/// Asks such a process what came.
#[derive(Debug, Clone)]
pub struct Asker {
    client: reqwest::Client,
    base: String,
}

impl Asker {
    /// Of the process that listens at `address`.
    #[must_use]
    pub fn new(client: reqwest::Client, address: &str) -> Asker {
        Asker {
            client,
            base: format!("http://{address}"),
        }
    }

    /// The URL of one of its endpoints.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// How many requests there were since [`Asker::take`].
    ///
    /// # Errors
    /// When it has ended.
    pub async fn count(&self) -> Result<usize> {
        Ok(self.ask(COUNT).await?.parse()?)
    }

    /// Those requests.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn take(&self) -> Result<Vec<Arrival>> {
        let lines = self.ask(TAKEN).await?;
        Ok(lines.lines().filter_map(Arrival::parse).collect())
    }

    async fn ask(&self, path: &str) -> Result<String> {
        let answer = self.client.get(self.url(path)).send().await?;
        Ok(answer.text().await?)
    }
}
