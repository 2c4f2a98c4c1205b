//! What was wrong with an endpoint's TLS.

/// One thing that was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsFault {
    /// The certificate is its own issuer.
    SelfSigned,
    /// No authority that is trusted has issued the certificate, or the chain to it is incomplete.
    UnknownIssuer,
    /// The certificate, or one above it, has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is for other names than the URL's.
    WrongHost,
    /// The certificate was revoked.
    Revoked,
    /// The certificate is damaged, or not one for servers.
    BadCertificate,
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// There is no version, cipher or signature that both sides take, or the server breaks the rules.
    Protocol,
    /// The server does not speak TLS.
    NotTls,
    /// The connection ended before the handshake did.
    Closed,
}

impl TlsFault {
    /// All of them.
    pub const ALL: [TlsFault; 11] = [
        TlsFault::SelfSigned,
        TlsFault::UnknownIssuer,
        TlsFault::Expired,
        TlsFault::NotYetValid,
        TlsFault::WrongHost,
        TlsFault::Revoked,
        TlsFault::BadCertificate,
        TlsFault::ClientCertificate,
        TlsFault::Protocol,
        TlsFault::NotTls,
        TlsFault::Closed,
    ];

    /// Its word, in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TlsFault::SelfSigned => "self_signed",
            TlsFault::UnknownIssuer => "unknown_issuer",
            TlsFault::Expired => "expired",
            TlsFault::NotYetValid => "not_yet_valid",
            TlsFault::WrongHost => "wrong_host",
            TlsFault::Revoked => "revoked",
            TlsFault::BadCertificate => "bad_certificate",
            TlsFault::ClientCertificate => "client_certificate",
            TlsFault::Protocol => "protocol",
            TlsFault::NotTls => "not_tls",
            TlsFault::Closed => "closed",
        }
    }
}

/// All that was wrong: a certificate can be expired, self-signed and another host's at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsFaults(u16);

impl TlsFaults {
    /// Nothing that is known.
    pub const NONE: TlsFaults = TlsFaults(0);

    /// Each once, in the order of [`TlsFault::ALL`].
    pub fn iter(self) -> impl Iterator<Item = TlsFault> {
        let has = move |fault: &TlsFault| self.0 & bit(*fault) != 0;
        TlsFault::ALL.into_iter().filter(has)
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words, separated by spaces.
    #[must_use]
    pub fn to_text(self) -> String {
        let words: Vec<_> = self.iter().map(TlsFault::as_str).collect();
        words.join(" ")
    }

    /// Reads what [`TlsFaults::to_text`] wrote; unknown words are skipped.
    #[must_use]
    pub fn from_text(text: &str) -> TlsFaults {
        let fault = |word| TlsFault::ALL.into_iter().find(|it| it.as_str() == word);
        text.split(' ').filter_map(fault).collect()
    }
}

impl From<TlsFault> for TlsFaults {
    fn from(fault: TlsFault) -> TlsFaults {
        TlsFaults(bit(fault))
    }
}

impl FromIterator<TlsFault> for TlsFaults {
    fn from_iter<I: IntoIterator<Item = TlsFault>>(faults: I) -> TlsFaults {
        TlsFaults(faults.into_iter().fold(0, |all, fault| all | bit(fault)))
    }
}

fn bit(fault: TlsFault) -> u16 {
    1 << fault as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_were_written() {
        for fault in TlsFault::ALL {
            let faults = TlsFaults::from(fault);
            assert_eq!(faults.to_text(), fault.as_str());
            assert_eq!(TlsFaults::from_text(fault.as_str()), faults);
        }
        let all: TlsFaults = TlsFault::ALL.into_iter().collect();
        assert_eq!(TlsFaults::from_text(&all.to_text()), all);
        assert_eq!(all.iter().count(), TlsFault::ALL.len());
        assert_eq!(
            TlsFaults::from_text("new expired"),
            TlsFault::Expired.into()
        );
        assert!(TlsFaults::from_text("").is_empty());
    }
}
