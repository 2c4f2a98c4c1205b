//! The way to AWS: TLS, and a millisecond each way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Result;

const ONE_WAY: Duration = Duration::from_millis(1);
/// Where Linux distributions keep their root certificates.
const SYSTEM_ROOTS: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// An HTTPS address of a server that speaks HTTP.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    roots: PathBuf,
    _directory: TempDir,
}

impl Endpoint {
    /// Starts in front of the server at `upstream`.
    ///
    /// # Errors
    /// When there is no port or no certificate.
    pub async fn start(upstream: &str) -> Result<Endpoint> {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        // Beside the system's roots, which a function on AWS reads as well.
        let roots = SYSTEM_ROOTS
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok());
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("roots.pem");
        std::fs::write(&file, roots.unwrap_or_default() + &certified.cert.pem())?;

        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], PrivateKeyDer::from(key))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let secure = listener.local_addr()?;
        tokio::spawn(terminate(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            upstream.to_owned(),
        ));
        Ok(Endpoint {
            address: slow_down(secure)?,
            roots: file,
            _directory: directory,
        })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The root certificates with which it is trusted.
    #[must_use]
    pub fn roots(&self) -> String {
        self.roots.display().to_string()
    }
}

async fn terminate(listener: TcpListener, acceptor: TlsAcceptor, upstream: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut plain = TcpStream::connect(upstream).await?;
            plain.set_nodelay(true)?;
            let mut secure = acceptor.accept(stream).await?;
            tokio::io::copy_bidirectional(&mut secure, &mut plain).await
        });
    }
}

/// Threads, since timers of a runtime are no finer than a millisecond.
fn slow_down(to: SocketAddr) -> Result<SocketAddr> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            thread::spawn(move || {
                // The handshake of TCP itself.
                thread::sleep(2 * ONE_WAY);
                let far = StdStream::connect(to)?;
                far.set_nodelay(true)?;
                near.set_nodelay(true)?;
                let (from, into) = (near.try_clone()?, far.try_clone()?);
                thread::spawn(move || carry(from, into));
                carry(far, near)
            });
        }
    });
    Ok(address)
}

fn carry(mut from: StdStream, mut to: StdStream) -> std::io::Result<()> {
    let mut buffer = [0; 64 * 1024];
    loop {
        let bytes = from.read(&mut buffer)?;
        if bytes == 0 {
            return to.shutdown(Shutdown::Write);
        }
        thread::sleep(ONE_WAY);
        to.write_all(&buffer[..bytes])?;
    }
}
