//! Where an endpoint may be.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::address;

/// The longest URL, in bytes: what every server and proxy takes.
pub const MAX_URL_BYTES: usize = 2_048;

/// Whether endpoints may be where only the functions, or only one machine, can reach them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateAddresses {
    /// As on AWS: `https` and public addresses only.
    Refused,
    /// As on a desk: `http` and any address as well.
    Allowed,
}

/// The URL of an endpoint, as it is sent to. `Debug` shows no more than its host, as paths and
/// queries tend to hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl(String);

/// Why an endpoint may not have this URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It cannot be read as an absolute URL.
    #[error("is not a URL")]
    Malformed,
    /// It has more than [`MAX_URL_BYTES`] bytes.
    #[error("must have at most {MAX_URL_BYTES} bytes")]
    TooLong,
    /// It is neither `https` nor, where that is allowed, `http`.
    #[error("must start with https://")]
    Scheme,
    /// It has a user or a password.
    #[error("must not contain a user name or password; use a header")]
    UserInfo,
    /// It has a fragment, which is never sent.
    #[error("must not have a fragment (#)")]
    Fragment,
    /// It names this machine or this network. Says by what.
    #[error("must not point to an address that is not public ({0})")]
    Forbidden(&'static str),
}

impl TargetUrl {
    /// Reads a URL as browsers do, so that an address is seen as one in any spelling, and checks
    /// that an endpoint may have it.
    ///
    /// # Errors
    /// When it may not.
    pub fn parse(text: &str, private: PrivateAddresses) -> Result<TargetUrl, UrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
        check(&url, private)?;
        let text = String::from(url);
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        Ok(TargetUrl(text))
    }

    /// One that was checked when it was stored.
    #[must_use]
    pub fn stored(text: String) -> TargetUrl {
        TargetUrl(text)
    }

    /// Whether it may still be sent to: what was allowed once may not be so any more.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self, private: PrivateAddresses) -> Result<(), UrlError> {
        TargetUrl::parse(&self.0, private).map(drop)
    }

    /// Its text, with an international name as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, and its port when it has one.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.origin().1
    }

    /// Its scheme, and its host with its port when it has one: who gets what is sent there.
    #[must_use]
    pub fn origin(&self) -> (&str, &str) {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next();
        (scheme, authority.unwrap_or_default())
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.authority())
    }
}

fn check(url: &Url, private: PrivateAddresses) -> Result<(), UrlError> {
    let is_allowed = private == PrivateAddresses::Allowed;
    match url.scheme() {
        "https" => {}
        "http" if is_allowed => {}
        _ => return Err(UrlError::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    let address = match url.host() {
        Some(Host::Domain(name)) if !is_allowed && is_local(name) => {
            return Err(UrlError::Forbidden("local name"));
        }
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        None => return Err(UrlError::Malformed),
    };
    match address.and_then(address::forbidden) {
        Some(reason) if !is_allowed => Err(UrlError::Forbidden(reason)),
        _ => Ok(()),
    }
}

/// Names that no public server has: one without a dot, and those of "Special-Use Domain Names"
/// (IANA) and of cloud networks that resolve to something near.
fn is_local(name: &str) -> bool {
    const LOCAL: &[&str] = &[
        "localhost",
        "localdomain",
        "local",
        "internal",
        "intranet",
        "home.arpa",
        "in-addr.arpa",
        "ip6.arpa",
        "onion",
        "test",
        "invalid",
    ];
    let name = name.strip_suffix('.').unwrap_or(name);
    let ends_with = |local: &&str| {
        let rest = name.strip_suffix(*local);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !name.contains('.') || LOCAL.iter().any(ends_with)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> Option<UrlError> {
        TargetUrl::parse(text, PrivateAddresses::Refused).err()
    }

    #[test]
    fn an_endpoint_is_reached_by_https() {
        assert_eq!(refusal("https://hooks.example.com/a?b=c"), None);
        for text in ["http://hooks.example.com/", "ftp://hooks.example.com/"] {
            assert_eq!(refusal(text), Some(UrlError::Scheme), "{text}");
        }
        for text in [
            "",
            "hooks.example.com",
            "https://",
            "//hooks.example.com/",
            "/a",
        ] {
            assert_eq!(refusal(text), Some(UrlError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_url_is_all_there_is_to_it() {
        for text in [
            "https://user@hooks.example.com/",
            "https://user:password@hooks.example.com/",
            "https://:password@hooks.example.com/",
        ] {
            assert_eq!(refusal(text), Some(UrlError::UserInfo), "{text}");
        }
        for text in [
            "https://hooks.example.com/#a",
            "https://hooks.example.com/#",
        ] {
            assert_eq!(refusal(text), Some(UrlError::Fragment), "{text}");
        }
        let long = |bytes: usize| format!("https://a.example/{:a>1$}", "", bytes - 18);
        assert_eq!(refusal(&long(MAX_URL_BYTES)), None);
        assert_eq!(refusal(&long(MAX_URL_BYTES + 1)), Some(UrlError::TooLong));
        // What becomes too long when it is written as it is sent.
        let escaped = format!("https://a.example/{}", "ü".repeat(1_000));
        assert_eq!(refusal(&escaped), Some(UrlError::TooLong));
    }

    #[test]
    fn a_forbidden_address_is_one_in_any_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "10.0.0.7",
            "0",
            "169.254.169.254",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[fd00::1]",
            "[fe80::1]",
            "[64:ff9b::7f00:1]",
            "[0:0:0:0:0:ffff:a9fe:a9fe]",
        ] {
            let text = format!("https://{host}/");
            assert!(
                matches!(refusal(&text), Some(UrlError::Forbidden(_))),
                "{host}"
            );
            assert!(
                TargetUrl::parse(&text, PrivateAddresses::Allowed).is_ok(),
                "{host}"
            );
        }
        for host in ["8.8.8.8", "[2606:4700::1111]"] {
            assert_eq!(refusal(&format!("https://{host}/")), None, "{host}");
        }
    }

    #[test]
    fn a_local_name_is_forbidden() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "printer",
            "nas.local",
            "api.internal",
            "metadata.google.internal",
            "1.0.0.127.in-addr.arpa",
            "router.home.arpa",
        ] {
            let text = format!("https://{host}/");
            assert_eq!(
                refusal(&text),
                Some(UrlError::Forbidden("local name")),
                "{host}"
            );
        }
        for host in [
            "mylocalhost.example",
            "local.example.com",
            "internal.example",
        ] {
            assert_eq!(refusal(&format!("https://{host}/")), None, "{host}");
        }
    }

    #[test]
    fn on_a_desk_it_may_be_there_too() {
        let parse = |text| TargetUrl::parse(text, PrivateAddresses::Allowed);
        assert_eq!(
            parse("http://localhost:8888/a").unwrap().authority(),
            "localhost:8888"
        );
        assert_eq!(parse("ftp://localhost/"), Err(UrlError::Scheme));
        let url = parse("http://127.1:8888").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8888/");
        assert_eq!(url.check(PrivateAddresses::Refused), Err(UrlError::Scheme));
    }

    #[test]
    fn no_more_than_its_host_is_logged() {
        let url = TargetUrl::parse("https://a.example/secret?b", PrivateAddresses::Refused);
        assert_eq!(format!("{:?}", url.unwrap()), "a.example/…");
    }

    proptest! {
        #[test]
        fn every_address_that_is_forbidden_is_forbidden_in_a_url(address in any::<u32>()) {
            let expected = address::forbidden(IpAddr::V4(address.into()));
            let found = refusal(&format!("https://0x{address:x}/"));
            prop_assert_eq!(found, expected.map(UrlError::Forbidden));
            prop_assert_eq!(refusal(&format!("https://{address}/")), found);
            prop_assert_eq!(refusal(&format!("https://0{address:o}/")), found);
        }

        #[test]
        fn a_url_is_read_again_as_it_was_kept(text in "https://[a-z]{1,9}\\.example/[ -~]{0,40}") {
            if let Ok(url) = TargetUrl::parse(&text, PrivateAddresses::Refused) {
                prop_assert_eq!(TargetUrl::parse(url.as_str(), PrivateAddresses::Refused), Ok(url));
            }
        }

        #[test]
        fn reading_any_text_as_a_url_never_panics(text in ".*") {
            let _ = refusal(&text);
        }
    }
}
