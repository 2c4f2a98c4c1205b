//! Real TLS servers, and what is said of those that cannot be trusted.

use std::sync::Arc;

use domain::delivery::TlsFaults;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority that a test's client trusts, or not.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Authority {
        Authority::named("Test Authority")
    }

    fn named(name: &str) -> Authority {
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Authority {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// A server's certificate by this authority, with its key.
    fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(certificate.der().clone(), &key)
    }
}

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> Identity {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Identity {
            certificate,
            key: key.into(),
        }
    }

    fn self_signed(params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Identity::new(certificate.der().clone(), &key)
    }
}

fn params(hosts: &[&str], name: &str) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn good() -> CertificateParams {
    params(&["localhost", "127.0.0.1"], "localhost")
}

fn expired() -> CertificateParams {
    let mut params = good();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 1);
    params
}

const ALL: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

fn config(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate], identity.key)
        .unwrap()
}

/// What a client that trusts `roots` makes of a server.
async fn outcome(roots: RootCertStore, config: ServerConfig) -> Result<u16, ErrorClass> {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (uri, _) = raw(move |stream| async move {
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return;
        };
        let mut request = [0; 1_024];
        if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    said(roots, uri).await
}

/// A server for one connection, of which nothing has been read.
async fn raw<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> (Uri, JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    });
    (uri.parse().unwrap(), serving)
}

async fn said(roots: RootCertStore, uri: Uri) -> Result<u16, ErrorClass> {
    let client = Client::trusting(roots, true).unwrap();
    let answer = client.post(uri, HeaderMap::new(), Bytes::from_static(b"{}"));
    answer.await.map(|answer| answer.status)
}

fn tls(faults: &[TlsFault]) -> Result<u16, ErrorClass> {
    Err(ErrorClass::Tls(
        faults.iter().copied().collect::<TlsFaults>(),
    ))
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_taken() {
    let authority = Authority::new();
    for versions in [ALL, TLS12] {
        let config = config(authority.issue(&good()), versions);
        assert_eq!(outcome(authority.roots(), config).await, Ok(200));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said() {
    let authority = Authority::new();
    let elsewhere = params(&["elsewhere.example"], "elsewhere.example");
    let mut early = good();
    early.not_before = date_time_ymd(4000, 1, 1);
    early.not_after = date_time_ymd(4001, 1, 1);
    let mut for_clients = good();
    for_clients.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let mut is_authority = good();
    is_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let both = params(&["elsewhere.example"], "elsewhere.example");
    let mut expired_elsewhere = expired();
    expired_elsewhere.subject_alt_names = both.subject_alt_names.clone();
    for (identity, faults) in [
        (Identity::self_signed(&good()), &[TlsFault::SelfSigned][..]),
        // As `openssl req -x509` makes them.
        (
            Identity::self_signed(&is_authority),
            &[TlsFault::SelfSigned],
        ),
        (
            Identity::self_signed(&elsewhere),
            &[TlsFault::SelfSigned, TlsFault::WrongHost],
        ),
        (
            Identity::self_signed(&expired()),
            &[TlsFault::SelfSigned, TlsFault::Expired],
        ),
        (
            Identity::self_signed(&expired_elsewhere),
            &[TlsFault::SelfSigned, TlsFault::Expired, TlsFault::WrongHost],
        ),
        (Authority::new().issue(&good()), &[TlsFault::UnknownIssuer]),
        (
            Authority::named("Another").issue(&good()),
            &[TlsFault::UnknownIssuer],
        ),
        (authority.issue(&expired()), &[TlsFault::Expired]),
        (authority.issue(&early), &[TlsFault::NotYetValid]),
        (authority.issue(&elsewhere), &[TlsFault::WrongHost]),
        (authority.issue(&for_clients), &[TlsFault::BadCertificate]),
    ] {
        let found = outcome(authority.roots(), config(identity, ALL)).await;
        assert_eq!(found, tls(faults));
    }
}

#[tokio::test]
async fn a_server_without_a_version_or_without_tls_says_so() {
    let roots = || Authority::new().roots();
    // A server of TLS 1.0 refuses with the alert `protocol_version`, one without a common cipher with
    // `handshake_failure`.
    for alert in [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ] {
        let (uri, _) = raw(move |mut stream| async move {
            stream.write_all(alert).await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
        })
        .await;
        assert_eq!(said(roots(), uri).await, tls(&[TlsFault::Protocol]));
    }
    for text in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "220 mail.example ESMTP\r\n",
    ] {
        let (uri, _) = raw(move |mut stream| async move {
            stream.write_all(text.as_bytes()).await.unwrap();
            let _ = stream.read(&mut [0; 4_096]).await;
        })
        .await;
        assert_eq!(said(roots(), uri).await, tls(&[TlsFault::NotTls]), "{text}");
    }
    let (uri, _) = raw(|stream| async move { drop(stream) }).await;
    assert_eq!(said(roots(), uri).await, tls(&[TlsFault::Closed]));
    // The alert `unrecognized_name`.
    let (uri, _) = raw(|mut stream| async move {
        stream
            .write_all(b"\x15\x03\x03\x00\x02\x02\x70")
            .await
            .unwrap();
        let _ = stream.read(&mut [0; 4_096]).await;
    })
    .await;
    assert_eq!(said(roots(), uri).await, tls(&[TlsFault::WrongHost]));
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_the_client_says_so() {
    let authority = Authority::new();
    for versions in [ALL, TLS12] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let wants =
            WebPkiClientVerifier::builder_with_provider(authority.roots().into(), provider.clone());
        let identity = authority.issue(&good());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(wants.build().unwrap())
            .with_single_cert(vec![identity.certificate], identity.key)
            .unwrap();
        let found = outcome(authority.roots(), config).await;
        assert_eq!(found, tls(&[TlsFault::ClientCertificate]));
    }
}
