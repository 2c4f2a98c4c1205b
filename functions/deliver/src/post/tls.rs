//! TLS to endpoints, which says everything that is wrong with a certificate.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use domain::delivery::{TlsFault, TlsFaults};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    Error, InvalidMessage, OtherError, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

/// Trusts these authorities.
pub(super) fn config(roots: RootCertStore) -> Result<ClientConfig, Box<dyn StdError>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    Ok(with_verifier(provider, Explaining(verifier.build()?))?)
}

/// `dangerous` is what rustls calls any verifier that is handed in; this one trusts nothing that
/// rustls' own does not.
fn with_verifier(
    provider: Arc<CryptoProvider>,
    verifier: Explaining,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

/// What is wrong according to an error, or the errors that it is made of; none if TLS is not the
/// cause.
pub(super) fn faults(error: &(dyn StdError + 'static)) -> Option<TlsFaults> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return Some(of(error));
    }
    // An I/O error's source is the source of what it wraps.
    let wrapped = error.downcast_ref::<io::Error>();
    let wrapped = wrapped.and_then(|error| Some(error.get_ref()? as &(dyn StdError + 'static)));
    faults(wrapped.or_else(|| error.source())?)
}

fn of(error: &Error) -> TlsFaults {
    let fault = match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            let explained = other.downcast_ref::<Explained>();
            return explained.map_or(TlsFault::BadCertificate.into(), |it| it.faults);
        }
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => TlsFault::BadCertificate,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => TlsFault::NotTls,
        Error::AlertReceived(alert) => of_alert(*alert),
        _ => TlsFault::Protocol,
    };
    fault.into()
}

/// What a server says of us. We have no certificate, so that complaints of it ask for one.
fn of_alert(alert: AlertDescription) -> TlsFault {
    match alert {
        AlertDescription::UnrecognisedName => TlsFault::WrongHost,
        AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown => TlsFault::ClientCertificate,
        _ => TlsFault::Protocol,
    }
}

fn of_certificate(error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::WrongHost
        }
        // A signature that is not of the authority of this name is of another one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownIssuer,
        CertificateError::Revoked => TlsFault::Revoked,
        _ => TlsFault::BadCertificate,
    }
}

/// All that is wrong with a certificate, in the place of what rustls found first.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be trusted ({})", .faults.to_text())]
struct Explained {
    faults: TlsFaults,
    source: Error,
}

#[derive(Debug)]
struct Explaining(Arc<WebPkiServerVerifier>);

impl Explaining {
    fn explain(error: Error, certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> Error {
        let first = of(&error);
        let Ok(certificate) = EndEntityCert::try_from(certificate) else {
            return error;
        };
        let mut faults: Vec<_> = first.iter().collect();
        if certificate.issuer() == certificate.subject() {
            // Neither of these says more of it.
            faults.retain(|it| !matches!(it, TlsFault::UnknownIssuer | TlsFault::BadCertificate));
            faults.push(TlsFault::SelfSigned);
        }
        if certificate.verify_is_valid_for_subject_name(host).is_err() {
            faults.push(TlsFault::WrongHost);
        }
        let explained = Explained {
            faults: faults.into_iter().collect(),
            source: error,
        };
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(explained))))
    }
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0
            .verify_server_cert(certificate, intermediates, host, ocsp, now)
            .map_err(|error| Explaining::explain(error, certificate, host))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}
