//! Where the webhook is: the URL to enter in Mandrill, and the paths that it cannot have.

use http::Uri;
use local_aws::gateway::http_api;
use local_aws::template::{HttpRoute, RouteKey, Template};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::page;

/// What stands for itself anywhere in a URL. ("RFC 3986: unreserved characters".)
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as a part of a URL: a segment of a path, a name or a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Something else than the webhook answers there.
#[derive(Debug, thiserror::Error)]
#[error("the webhook cannot be at `{path}` (`WebhookPath`): {owner} answers there")]
pub struct PathTaken {
    path: String,
    owner: String,
}

/// The path that Mandrill posts to.
fn path(template: &Template) -> Option<&str> {
    let mut functions = template.functions.iter();
    let path = functions.find_map(|function| function.environment.get("WEBHOOK_PATH"));
    path.map(String::as_str)
}

/// The URL to enter in Mandrill.
pub(crate) fn url(http: &str, template: &Template, secret: Option<&(String, String)>) -> String {
    let path = path(template).unwrap_or("/mandrill");
    let query = secret.map(|(name, value)| format!("?{}={}", encoded(name), encoded(value)));
    format!("{http}{path}{}", query.unwrap_or_default())
}

/// Refuses a webhook where its requests would never reach it. It is on the route `$default`, which
/// gets what no other route does.
pub(crate) fn check_path(template: &Template) -> Result<(), PathTaken> {
    let Some(path) = path(template) else {
        return Ok(());
    };
    let at = path.strip_suffix('/').unwrap_or(path);
    let first = at.split('/').nth(1).unwrap_or_default();
    let stage = template.websocket.as_ref().map(|api| api.stage.as_str());
    let owner = if let Some(route) = template.http_routes.iter().find(|route| takes(route, at)) {
        format!("the HTTP API (`{}`)", route.key)
    } else if stage == Some(first) {
        "the WebSocket API".to_owned()
    } else if first == "_stack" {
        "the local stack itself".to_owned()
    } else if page::is_path(at) {
        "the page".to_owned()
    } else {
        return Ok(());
    };
    let path = path.to_owned();
    Err(PathTaken { path, owner })
}

/// Whether a route takes a path, by whatever method, or the path's beginning is its own.
fn takes(route: &HttpRoute, path: &str) -> bool {
    let RouteKey::Path { path: pattern, .. } = &route.key else {
        return false;
    };
    let fixed = pattern.split("/{").next().unwrap_or(pattern);
    http_api::matches(pattern, path) || (!fixed.is_empty() && fixed == path)
}

/// Why a text is no URL to enter in Mandrill.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    let scheme_ends = url
        .find("://")
        .ok_or("a URL begins with https:// or http://")?;
    let scheme = url[..scheme_ends].to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err("Mandrill posts to https:// and http:// only");
    }
    if url.contains('#') {
        return Err("a fragment (`#…`) is never sent: leave it out");
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a URL has no white space");
    }
    host(url)
        .map(|_| ())
        .ok_or("the URL has no host that can be read")
}

/// The host of a URL, as requests that come by it name it.
pub(crate) fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    local_aws::host_name(host)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use local_aws::template::Settings;

    fn template(path: &str) -> Template {
        let parameters = BTreeMap::from([("WebhookPath".to_owned(), path.to_owned())]);
        // Without the template's own rule, which not every template has.
        let lines = crate::template::TEMPLATE.split_inclusive('\n');
        let text: String = lines
            .filter(|line| !line.contains("AllowedPattern: ^(?!/(v1"))
            .collect();
        let settings = Settings {
            parameters,
            ..Settings::default()
        };
        Template::parse(&text, &settings).unwrap()
    }

    #[test]
    fn a_secret_in_the_url_stands_there_encoded() {
        let secret = ("s&ecret".to_owned(), "q+Zx/8 kT==%ü#".to_owned());
        let url = url("http://localhost:1", &template("/in/"), Some(&secret));
        let (address, query) = url.split_once('?').unwrap();
        assert_eq!(address, "http://localhost:1/in/");
        let read: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!(read, [(secret.0.as_str().into(), secret.1.as_str().into())]);
        assert!(
            query.is_ascii() && !query.contains(['+', '/', ' ', '#']),
            "{query}"
        );
    }

    #[test]
    fn a_webhook_is_not_where_something_else_answers() {
        for (path, owner) in [
            ("/v1", "HTTP API"),
            ("/v1/x", "HTTP API"),
            ("/v1/hooks/mail/", "HTTP API"),
            ("/docs", "HTTP API"),
            ("/docs/x", "HTTP API"),
            ("/openapi.json", "HTTP API"),
            ("/healthz/", "HTTP API"),
            ("/live", "WebSocket API"),
            ("/live/x", "WebSocket API"),
            ("/_stack/hook", "local stack"),
            ("/_stack", "local stack"),
            ("/app.js", "page"),
            ("/config.json", "page"),
        ] {
            let refused = check_path(&template(path)).unwrap_err().to_string();
            assert!(
                refused.contains(path) && refused.contains(owner),
                "{refused}"
            );
        }
        for path in [
            "/mandrill",
            "/webhook/",
            "/djrill/webhook/",
            "/v2/x",
            "/hooks/v1",
            "/lively",
        ] {
            assert!(check_path(&template(path)).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_url_for_mandrill_has_a_scheme_and_a_host_and_no_fragment() {
        for url in [
            "https://name.example/mandrill",
            "HTTPS://Name.Example:8443/in?secret=s%2B",
            "http://user:word@localhost:8080/mandrill/",
            "http://[::1]:8080/",
            "https://name.example",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for (url, why) in [
            ("", "begins with"),
            ("notaurl", "begins with"),
            ("name.example/mandrill", "begins with"),
            ("mailto:a@example.net", "begins with"),
            ("ftp://name.example/", "only"),
            ("ws://name.example/", "only"),
            ("https://", "no host"),
            ("https:///mandrill", "no host"),
            ("https://name.example:99999/", "no host"),
            ("https://name.example/#a", "fragment"),
            ("https://name.example/a b", "white space"),
            ("https://name.example/a\n", "white space"),
        ] {
            let refused = check_url(url).unwrap_err();
            assert!(refused.contains(why), "{url}: {refused}");
        }
        assert_eq!(
            host("https://u:p@Name.Example:1/x").as_deref(),
            Some("name.example")
        );
    }
}
