//! The names by which the local stack may be asked.
//!
//! A web page can let its own name resolve to this machine (DNS rebinding). To a browser the stack is
//! then that page's own server, so no CORS rule stops the page. What gives it away is the name in
//! `Host`. AWS does not route a request with another name either.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};

use crate::answer::Answer;
use crate::answer::message;

/// Which names are answered, whatever the port.
#[derive(Debug)]
pub(crate) struct Hosts {
    names: BTreeSet<String>,
    /// Whether the stack listens on every address of the machine. An address cannot be rebound.
    any_address: bool,
}

impl Hosts {
    /// `localhost` and loopback addresses, the address that is listened on, and `more`.
    pub(crate) fn new(host: IpAddr, more: impl IntoIterator<Item = String>) -> Hosts {
        let mut names: BTreeSet<String> = more.into_iter().collect();
        names.extend(["localhost".to_owned(), host.to_string()]);
        Hosts {
            names,
            any_address: host.is_unspecified(),
        }
    }

    /// The refusal of a request that was meant for another server, or does not say for which.
    pub(crate) fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<Answer> {
        let mut given = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return Some(bad_request("a request needs one `Host` header"));
        };
        let Some(host) = host.to_str().ok().and_then(name) else {
            return Some(bad_request("`Host` is no name or address"));
        };
        // The target may have a host of its own ("RFC 9112: absolute-form"), which counts as well.
        let target = match uri.authority().map(|authority| name(authority.as_str())) {
            None => None,
            Some(None) => return Some(bad_request("the target's host is no name or address")),
            Some(target) => target,
        };
        let wrong = [Some(host), target].into_iter().flatten();
        let wrong = wrong.into_iter().find(|name| !self.allows(name))?;
        Some(message(
            StatusCode::MISDIRECTED_REQUEST,
            &format!(
                "this local stack does not answer as `{wrong}`: start it with `--allow-host {wrong}`"
            ),
        ))
    }

    fn allows(&self, name: &str) -> bool {
        if self.names.contains(name) {
            return true;
        }
        let address: Result<IpAddr, _> = name.parse();
        address.is_ok_and(|address| self.any_address || address.to_canonical().is_loopback())
    }
}

/// The name in a `Host` header, in the form in which names are compared: lower case, without port,
/// brackets and the root's dot. `None` if it is none.
#[must_use]
pub fn name(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    let (name, port) = (authority.host(), authority.as_str());
    let port = port.strip_prefix(name)?;
    if !port.is_empty() {
        let digits = port.strip_prefix(':')?;
        let is_port = digits.bytes().all(|digit| digit.is_ascii_digit());
        (is_port && (digits.is_empty() || digits.parse::<u16>().is_ok())).then_some(())?;
    }
    if let Some(address) = name.strip_prefix('[') {
        let address: std::net::Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

fn bad_request(text: &str) -> Answer {
    message(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &Hosts, target: &str, given: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in given {
            headers.append(header::HOST, host.parse().unwrap());
        }
        let refusal = hosts.refusal(&target.parse().unwrap(), &headers);
        refusal.map_or(200, |answer| answer.status().as_u16())
    }

    fn hosts() -> Hosts {
        let allowed = "name.example".to_owned();
        Hosts::new(IpAddr::from([127, 0, 0, 1]), [allowed])
    }

    #[test]
    fn loopback_and_the_names_that_were_given_are_answered_on_any_port() {
        for host in [
            "localhost",
            "localhost:8080",
            "localhost:",
            "LOCALHOST.:1",
            "127.0.0.1:65535",
            "127.9.9.9",
            "[::1]:8080",
            "[0:0::1]",
            "[::ffff:127.0.0.1]",
            "Name.Example",
            "name.example.:443",
        ] {
            assert_eq!(status(&hosts(), "/", &[host]), 200, "{host}");
        }
    }

    #[test]
    fn every_other_name_and_address_is_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "name.example.evil.example",
            "evil-name.example",
            "localhosts",
            "0.0.0.0",
            "192.0.2.1:8080",
            "[::2]",
            "127.1",
            "2130706433",
            "0x7f000001",
        ] {
            assert_eq!(status(&hosts(), "/", &[host]), 421, "{host}");
        }
    }

    #[test]
    fn a_host_that_cannot_be_read_is_a_bad_request() {
        for host in [
            "",
            ":8080",
            ".",
            "a b",
            "<>",
            "user@localhost",
            "localhost:65536",
            "localhost:+1",
            "localhost:x",
            "localhost/",
            "localhost,evil.example",
            "::1",
            "[::1",
            "[localhost]",
            "local%68ost",
        ] {
            assert_eq!(status(&hosts(), "/", &[host]), 400, "{host}");
        }
        assert_eq!(status(&hosts(), "/", &[]), 400);
        assert_eq!(status(&hosts(), "/", &["localhost", "localhost"]), 400);
    }

    #[test]
    fn the_host_of_the_target_counts_as_well() {
        let asked = |target| status(&hosts(), target, &["localhost"]);
        assert_eq!(asked("http://localhost:8080/"), 200);
        assert_eq!(asked("http://evil.example/"), 421);
        assert_eq!(asked("http://localhost@evil.example/"), 400);
        assert_eq!(
            status(&hosts(), "http://localhost/", &["evil.example"]),
            421
        );
    }

    #[test]
    fn a_stack_on_every_address_answers_by_every_address_and_no_other_name() {
        let hosts = Hosts::new(IpAddr::from([0, 0, 0, 0]), []);
        for host in ["192.0.2.1:8080", "[2001:db8::1]", "0.0.0.0", "localhost"] {
            assert_eq!(status(&hosts, "/", &[host]), 200, "{host}");
        }
        assert_eq!(status(&hosts, "/", &["evil.example"]), 421);
        let hosts = Hosts::new(IpAddr::from([192, 0, 2, 7]), []);
        assert_eq!(status(&hosts, "/", &["192.0.2.7:8080"]), 200);
        assert_eq!(status(&hosts, "/", &["192.0.2.8"]), 421);
    }
}
