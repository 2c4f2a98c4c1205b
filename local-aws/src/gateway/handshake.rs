//! The opening handshake of a WebSocket, as a server reads it. (RFC 6455, section 4.2.1.)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::answer::Answer;
use crate::answer::message;

/// The only version that there is. (Section 4.1.)
const VERSION: &str = "13";
/// How many bytes a key stands for. (Same section.)
const KEY_BYTES: usize = 16;

/// Why a request opens no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no GET.
    Method,
    /// It asks for no WebSocket, or for one of another version.
    Upgrade,
    /// It has no key, or one that is none.
    Key,
}

impl Refusal {
    /// What the client is answered.
    pub(crate) fn answer(self) -> Answer {
        match self {
            Refusal::Method => {
                let answer = message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
                with(answer, &[(header::ALLOW, "GET")])
            }
            // What to upgrade to, and to which version. (Section 4.2.2; RFC 9110, section 15.5.22.)
            Refusal::Upgrade => {
                let answer = message(StatusCode::UPGRADE_REQUIRED, "Upgrade Required");
                let headers = [
                    (header::UPGRADE, "websocket"),
                    (header::CONNECTION, "Upgrade"),
                    (header::SEC_WEBSOCKET_VERSION, VERSION),
                ];
                with(answer, &headers)
            }
            Refusal::Key => message(StatusCode::BAD_REQUEST, "Bad Request"),
        }
    }
}

/// What `Sec-WebSocket-Accept` says to this request.
///
/// # Errors
/// When it opens no WebSocket.
pub(crate) fn accept(method: &Method, headers: &HeaderMap) -> Result<String, Refusal> {
    if method != Method::GET {
        return Err(Refusal::Method);
    }
    let is_upgrade = has_token(headers, &header::UPGRADE, "websocket")
        && has_token(headers, &header::CONNECTION, "upgrade");
    let version = only(headers, &header::SEC_WEBSOCKET_VERSION);
    if !is_upgrade || version.map(str::trim) != Some(VERSION) {
        return Err(Refusal::Upgrade);
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).map(str::trim);
    let is_key = |key: &&str| STANDARD.decode(key).is_ok_and(|key| key.len() == KEY_BYTES);
    key.filter(is_key)
        .map(|key| derive_accept_key(key.as_bytes()))
        .ok_or(Refusal::Key)
}

fn with(mut answer: Answer, headers: &[(HeaderName, &'static str)]) -> Answer {
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Whether a list has this word, in any case and in any of the header's lines.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then(|| line.to_str().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(changes: &[(&'static str, Option<&'static str>)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", VERSION),
            ("sec-websocket-key", KEY),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in changes {
            headers.remove(*name);
            if let Some(value) = value {
                headers.insert(*name, HeaderValue::from_static(value));
            }
        }
        headers
    }

    fn refused(headers: &HeaderMap) -> Answer {
        accept(&Method::GET, headers).unwrap_err().answer()
    }

    #[test]
    fn the_handshake_of_the_standard_is_accepted() {
        // Section 1.3.
        let accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(accept(&Method::GET, &request(&[])).unwrap(), accepted);
        for changes in [
            [
                ("upgrade", Some("WebSocket")),
                ("connection", Some("keep-alive, Upgrade")),
            ],
            [
                ("upgrade", Some("h2c, websocket")),
                ("connection", Some("UPGRADE")),
            ],
        ] {
            assert!(
                accept(&Method::GET, &request(&changes)).is_ok(),
                "{changes:?}"
            );
        }
    }

    #[test]
    fn another_version_is_told_which_one_there_is() {
        for version in [
            None,
            Some("8"),
            Some("12"),
            Some("14"),
            Some("0"),
            Some("13, 8"),
            Some(""),
            Some("013"),
        ] {
            let answer = refused(&request(&[("sec-websocket-version", version)]));
            assert_eq!(answer.status(), 426, "{version:?}");
            assert_eq!(answer.headers()["sec-websocket-version"], "13");
            assert_eq!(answer.headers()["upgrade"], "websocket");
        }
        let mut twice = request(&[]);
        twice.append("sec-websocket-version", HeaderValue::from_static("13"));
        assert_eq!(refused(&twice).status(), 426);
    }

    #[test]
    fn what_is_no_upgrade_or_has_no_key_is_refused() {
        for (name, value, status) in [
            ("upgrade", None, 426),
            ("upgrade", Some("h2c"), 426),
            ("connection", None, 426),
            ("connection", Some("keep-alive"), 426),
            ("sec-websocket-key", None, 400),
            ("sec-websocket-key", Some(""), 400),
            ("sec-websocket-key", Some("short"), 400),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ"), 400),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZXM="), 400),
        ] {
            let answer = refused(&request(&[(name, value)]));
            assert_eq!(answer.status(), status, "{name}: {value:?}");
        }
        let answer = accept(&Method::POST, &request(&[])).unwrap_err().answer();
        assert_eq!(answer.status(), 405);
    }
}
