//! Connections to public addresses only. The connector itself resolves a name, judges every address
//! of the answer and connects to one of those, so that no name can mean something else a moment
//! later, and no spelling of an address passes by.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::address;
use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::tap::Tapped;

/// How long a connection may take, from its name to the end of its handshake.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

type BoxError = Box<dyn Error + Send + Sync>;
type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The name has no address, or no server answers for it.
    #[error("the name could not be resolved")]
    Dns(#[source] io::Error),
    /// It has an address that no endpoint may have.
    #[error("the address is not public ({0})")]
    Blocked(&'static str),
    /// No server accepts connections there.
    #[error("the connection was refused")]
    Refused(#[source] io::Error),
    /// The handshake failed.
    #[error("there is no TLS")]
    Tls(#[source] BoxError),
    /// It took more than [`CONNECT_LIMIT`].
    #[error("connecting took too long")]
    TimedOut,
}

/// Connects to endpoints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Whether any address is allowed, and plain HTTP: in the local stack.
    pub(super) allows_private: bool,
}

impl Guard {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let is_plain = uri.scheme() == Some(&Scheme::HTTP);
        if is_plain && !self.allows_private {
            return Err(ConnectError::Blocked("plain HTTP"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let resolved = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<SocketAddr> = resolved.map_err(ConnectError::Dns)?.collect();
        if !self.allows_private {
            judge(addresses.iter().map(SocketAddr::ip)).map_err(ConnectError::Blocked)?;
        }
        let stream = connect_to_any(&addresses).await?;
        // A request is written at once; waiting for more to fill a packet would only delay it.
        stream.set_nodelay(true).map_err(ConnectError::Refused)?;
        Ok(TokioIo::new(stream))
    }
}

/// Refuses an answer in which any address is not public: one that mixes them is made to get past
/// this.
fn judge(addresses: impl Iterator<Item = IpAddr>) -> Result<(), &'static str> {
    match addresses.filter_map(address::forbidden).next() {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

/// Tries the addresses in turn, each for its share of the time that is left: one that swallows
/// packets must not hide the next.
async fn connect_to_any(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let end = Instant::now() + CONNECT_LIMIT;
    let mut last = ConnectError::Dns(io::Error::from(io::ErrorKind::NotFound));
    for (tried, address) in addresses.iter().enumerate() {
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / others;
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => ConnectError::Refused(error),
            Err(_) => ConnectError::TimedOut,
        };
    }
    Err(last)
}

impl Service<Uri> for Guard {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response, ConnectError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.connect(uri))
    }
}

/// A connector with a time limit, whose errors are [`ConnectError`], and whose connections note what
/// they read.
#[derive(Debug, Clone)]
pub(super) struct InTime<C>(pub(super) C);

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Tapped<TokioIo<C::Response>>>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response, ConnectError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.0.poll_ready(context).map_err(kind)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let connected = timeout(CONNECT_LIMIT, connecting).await;
            let connected = connected.map_err(|_| ConnectError::TimedOut)?;
            let stream = connected.map_err(kind)?;
            Ok(TokioIo::new(Tapped::new(TokioIo::new(stream))))
        })
    }
}

/// An error that is not the guard's is the handshake's.
fn kind(error: BoxError) -> ConnectError {
    match error.downcast::<ConnectError>() {
        Ok(error) => *error,
        Err(error) => ConnectError::Tls(error),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn judged(addresses: &[&str]) -> Result<(), &'static str> {
        judge(addresses.iter().map(|address| address.parse().unwrap()))
    }

    async fn refused(uri: &str, allows_private: bool) -> ConnectError {
        let guard = Guard { allows_private };
        guard.connect(uri.parse().unwrap()).await.unwrap_err()
    }

    #[test]
    fn an_answer_with_any_address_that_is_not_public_is_refused() {
        assert_eq!(judged(&["8.8.8.8", "2001:4860:4860::8888"]), Ok(()));
        assert_eq!(judged(&["8.8.8.8", "10.0.0.1"]), Err("private"));
        assert_eq!(judged(&["8.8.8.8", "::ffff:127.0.0.1"]), Err("loopback"));
        assert_eq!(judged(&["169.254.169.254"]), Err("metadata"));
    }

    #[tokio::test]
    async fn no_spelling_of_a_private_address_is_connected_to() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "localhost",
            "LOCALHOST",
            "169.254.169.254",
            "[fd00:ec2::254]",
        ] {
            let error = refused(&format!("https://{host}/"), false).await;
            assert!(matches!(error, ConnectError::Blocked(_)), "{host}: {error}");
        }
        let error = refused("http://8.8.8.8/", false).await;
        assert!(matches!(error, ConnectError::Blocked("plain HTTP")));
    }

    #[tokio::test]
    async fn on_a_desk_any_address_will_do() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!(
            "http://localhost:{}/",
            listener.local_addr().unwrap().port()
        );
        let guard = Guard {
            allows_private: true,
        };
        // `localhost` may be ::1 first, where nobody listens.
        assert!(guard.connect(uri.parse().unwrap()).await.is_ok());
        drop(listener);
        let error = refused(&uri, true).await;
        assert!(matches!(error, ConnectError::Refused(_)), "{error}");
    }

    #[tokio::test]
    async fn a_name_without_an_address_says_so() {
        // "Special-Use Domain Names" (RFC 6761): there is never anything in `.invalid`.
        let error = refused("https://nothing.invalid/", false).await;
        assert!(matches!(error, ConnectError::Dns(_)), "{error}");
    }
}
