//! One HTTP request of a delivery, and what came of it.

use super::{DeliveryId, TlsFaults};
use crate::redacted::Redacted;
use crate::time::Millis;

/// The most of an answer's body that is kept, in bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// The headers of an answer that are kept: what it is, what it asks for, and by what its sender
/// finds it again.
pub const KEPT_HEADERS: &[&str] = &[
    "allow",
    "content-length",
    "content-type",
    "date",
    "location",
    "retry-after",
    "server",
    "via",
    "www-authenticate",
    "x-request-id",
];
/// The longest value of a header that is kept, in bytes.
pub const MAX_HEADER_BYTES: usize = 500;

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The name has no address, or was not found out.
    Dns,
    /// Nobody takes connections there.
    Refused,
    /// There is no TLS, or none that can be trusted, and why.
    Tls(TlsFaults),
    /// It took too long, to connect or in all.
    Timeout,
    /// There was an answer, and it was no success.
    Status,
    /// The address is forbidden.
    Blocked,
    /// The connection ended before there was a status line.
    Reset,
    /// The server answered, but not in HTTP/1.
    NotHttp,
    /// The event is not kept any more, so that there was nothing to send.
    Missing,
    /// Anything else.
    Other,
}

impl ErrorClass {
    /// All of them; `Tls` without a reason.
    pub const ALL: [ErrorClass; 10] = [
        ErrorClass::Dns,
        ErrorClass::Refused,
        ErrorClass::Tls(TlsFaults::NONE),
        ErrorClass::Timeout,
        ErrorClass::Status,
        ErrorClass::Blocked,
        ErrorClass::Reset,
        ErrorClass::NotHttp,
        ErrorClass::Missing,
        ErrorClass::Other,
    ];

    /// Its word, in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorClass::Dns => "dns",
            ErrorClass::Refused => "refused",
            ErrorClass::Tls(_) => "tls",
            ErrorClass::Timeout => "timeout",
            ErrorClass::Status => "status",
            ErrorClass::Blocked => "blocked",
            ErrorClass::Reset => "reset",
            ErrorClass::NotHttp => "not_http",
            ErrorClass::Missing => "missing",
            ErrorClass::Other => "other",
        }
    }

    /// What was wrong with TLS; empty for other failures.
    #[must_use]
    pub fn tls_faults(self) -> TlsFaults {
        match self {
            ErrorClass::Tls(faults) => faults,
            _ => TlsFaults::NONE,
        }
    }

    /// Reads what [`ErrorClass::as_str`] and [`TlsFaults::to_text`] wrote; what is not known is
    /// [`ErrorClass::Other`].
    #[must_use]
    pub fn stored(text: &str, faults: TlsFaults) -> ErrorClass {
        let mut known = ErrorClass::ALL.into_iter();
        match known.find(|class| class.as_str() == text) {
            Some(ErrorClass::Tls(_)) => ErrorClass::Tls(faults),
            class => class.unwrap_or(ErrorClass::Other),
        }
    }
}

/// What an endpoint answered. Its body may say anything, so `Debug` does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Those of [`KEPT_HEADERS`] that were there, in lower case.
    pub headers: Redacted<Vec<(String, String)>>,
    /// Its beginning, [`MAX_BODY_BYTES`] at most.
    pub body: Redacted<Vec<u8>>,
    /// Whether there was more of it.
    pub is_cut: bool,
}

impl Answer {
    /// An answer of which only the status is known.
    #[must_use]
    pub fn of_status(status: u16) -> Answer {
        Answer {
            status,
            headers: Redacted(Vec::new()),
            body: Redacted(Vec::new()),
            is_cut: false,
        }
    }

    /// Whether it took the event: 2xx and nothing else.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header that was kept.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.0.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// One request and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// When it began.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The answer, or why there was none.
    pub outcome: Result<Answer, ErrorClass>,
}

impl Exchange {
    /// What never took place, since there was nothing to send any more.
    #[must_use]
    pub fn missing(at: Millis) -> Exchange {
        Exchange {
            at,
            duration_ms: 0,
            outcome: Err(ErrorClass::Missing),
        }
    }

    /// How it failed; none when it did not.
    #[must_use]
    pub fn error(&self) -> Option<ErrorClass> {
        match &self.outcome {
            Ok(answer) if answer.is_success() => None,
            Ok(_) => Some(ErrorClass::Status),
            Err(class) => Some(*class),
        }
    }
}

/// An attempt, as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Its number, from 1.
    pub number: u16,
    /// What was sent and came back.
    pub exchange: Exchange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_2xx_is_a_success() {
        for status in [200, 201, 204, 299] {
            assert!(Answer::of_status(status).is_success(), "{status}");
        }
        for status in [100, 199, 300, 301, 304, 308, 400, 410, 429, 500, 599] {
            assert!(!Answer::of_status(status).is_success(), "{status}");
        }
    }

    #[test]
    fn every_class_is_read_as_it_was_written() {
        for class in ErrorClass::ALL {
            assert_eq!(ErrorClass::stored(class.as_str(), TlsFaults::NONE), class);
        }
        assert_eq!(
            ErrorClass::stored("new", TlsFaults::NONE),
            ErrorClass::Other
        );
        let expired = TlsFaults::from_text("expired");
        assert_eq!(ErrorClass::stored("tls", expired), ErrorClass::Tls(expired));
        assert_eq!(ErrorClass::stored("reset", expired), ErrorClass::Reset);
    }

    #[test]
    fn what_an_endpoint_answers_is_not_logged() {
        let answer = Answer {
            headers: Redacted(vec![("server".into(), "canary".into())]),
            body: Redacted(b"canary".to_vec()),
            ..Answer::of_status(200)
        };
        assert!(!format!("{answer:?}").contains("canary"));
        assert_eq!(answer.header("server"), Some("canary"));
    }
}
