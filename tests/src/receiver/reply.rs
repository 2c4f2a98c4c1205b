//! How a receiver answers.

use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// What an endless body is made of.
const PIECE: &[u8] = &[b'z'; 64 * 1024];

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    kind: Kind,
    /// How long it takes until it begins.
    delay: Duration,
    /// Whether it waits until the receiver is told to release it.
    is_held: bool,
    /// The pause after each of its bytes, the head's too.
    drip: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Kind {
    Whole {
        status: u16,
        headers: Vec<(String, String)>,
        body: Bytes,
    },
    /// A body that goes on until the client has enough.
    Endless {
        status: u16,
    },
    /// These bytes, and then the end of the connection.
    Raw(Bytes),
    Never,
}

impl Reply {
    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Reply {
        Reply::new(Kind::Whole {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        })
    }

    /// A status, and a body that does not end.
    #[must_use]
    pub fn endless(status: u16) -> Reply {
        Reply::new(Kind::Endless { status })
    }

    /// These bytes in place of an answer, and the end of the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Reply {
        Reply::new(Kind::Raw(bytes.into()))
    }

    /// The end of the connection, without an answer.
    #[must_use]
    pub fn close() -> Reply {
        Reply::raw(Bytes::new())
    }

    /// Nothing, for as long as the client waits.
    #[must_use]
    pub fn hang() -> Reply {
        Reply::new(Kind::Never)
    }

    fn new(kind: Kind) -> Reply {
        Reply {
            kind,
            delay: Duration::ZERO,
            is_held: false,
            drip: None,
        }
    }

    /// With a header, if it is a whole answer. The body's length is there by itself.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        if let Kind::Whole { headers, .. } = &mut self.kind {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With a body, if it is a whole answer.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Reply {
        if let Kind::Whole { body, .. } = &mut self.kind {
            *body = bytes.into();
        }
        self
    }

    /// It begins so much later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Reply {
        self.delay = delay;
        self
    }

    /// It begins when the receiver is told to [release](super::Receiver::release) it.
    #[must_use]
    pub fn held(mut self) -> Reply {
        self.is_held = true;
        self
    }

    /// It comes byte by byte, the head too, with this pause after each.
    #[must_use]
    pub fn dripping(mut self, pause: Duration) -> Reply {
        self.drip = Some(pause);
        self
    }

    /// Answers; whether the connection may have another request.
    pub(super) async fn write(
        &self,
        stream: &mut BufReader<TcpStream>,
        released: watch::Receiver<bool>,
    ) -> bool {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut early = [0];
        tokio::select! {
            written = self.answer(&mut writer, released) => written.is_ok_and(|goes_on| goes_on),
            // Nobody sends a second request before the answer to the first: the client has gone.
            _ = reader.read(&mut early) => false,
        }
    }

    async fn answer(
        &self,
        writer: &mut (impl AsyncWrite + Unpin),
        mut released: watch::Receiver<bool>,
    ) -> io::Result<bool> {
        sleep(self.delay).await;
        if self.is_held {
            let _ = released.wait_for(|released| *released).await;
        }
        match &self.kind {
            Kind::Whole {
                status,
                headers,
                body,
            } => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                if *status != 204 {
                    head += &format!("content-length: {}\r\n", body.len());
                }
                let whole = [head.as_bytes(), b"\r\n", body].concat();
                self.send(writer, &whole).await?;
                Ok(true)
            }
            Kind::Endless { status } => {
                let head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n\r\n");
                self.send(writer, head.as_bytes()).await?;
                loop {
                    self.send(writer, PIECE).await?;
                }
            }
            Kind::Raw(bytes) => {
                self.send(writer, bytes).await?;
                Ok(false)
            }
            Kind::Never => pending().await,
        }
    }

    async fn send(&self, writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        let Some(pause) = self.drip else {
            return writer.write_all(bytes).await;
        };
        for byte in bytes {
            writer.write_all(&[*byte]).await?;
            sleep(pause).await;
        }
        Ok(())
    }
}
