//! The dashboard's files, which are part of the binary.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use local_aws::Urls;
use local_aws::answer::{Answer, answer_json};
use serde_json::json;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Where the page reads which APIs it is to use.
const CONFIG: &str = "/config.json";

struct File {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const fn file(path: &'static str, media_type: &'static str, content: &'static str) -> File {
    File {
        path,
        media_type,
        content,
    }
}

const FILES: &[File] = &[
    file("/", HTML, include_str!("../../dashboard/index.html")),
    file(
        "/app.js",
        JAVASCRIPT,
        include_str!("../../dashboard/app.js"),
    ),
    file(
        "/feed.js",
        JAVASCRIPT,
        include_str!("../../dashboard/feed.js"),
    ),
    file(
        "/filters.js",
        JAVASCRIPT,
        include_str!("../../dashboard/filters.js"),
    ),
    file(
        "/format.js",
        JAVASCRIPT,
        include_str!("../../dashboard/format.js"),
    ),
    file(
        "/list.js",
        JAVASCRIPT,
        include_str!("../../dashboard/list.js"),
    ),
    file(
        "/panel.js",
        JAVASCRIPT,
        include_str!("../../dashboard/panel.js"),
    ),
    file(
        "/posthorn-client.js",
        JAVASCRIPT,
        include_str!("../../client/dist/posthorn-client.js"),
    ),
    file(
        "/session.js",
        JAVASCRIPT,
        include_str!("../../dashboard/session.js"),
    ),
    file(
        "/terms.js",
        JAVASCRIPT,
        include_str!("../../dashboard/terms.js"),
    ),
    file(
        "/posthorn.svg",
        "image/svg+xml",
        include_str!("../../dashboard/posthorn.svg"),
    ),
    file(
        "/filters.css",
        CSS,
        include_str!("../../dashboard/filters.css"),
    ),
    file("/list.css", CSS, include_str!("../../dashboard/list.css")),
    file("/panel.css", CSS, include_str!("../../dashboard/panel.css")),
    file("/style.css", CSS, include_str!("../../dashboard/style.css")),
];

/// Whether a path is one of the page's.
#[must_use]
pub(crate) fn is_path(path: &str) -> bool {
    path == CONFIG || FILES.iter().any(|file| file.path == path)
}

/// The answer to a request of a file; none when there is no such file.
#[must_use]
pub(crate) fn answer(parts: &Parts, urls: &Urls) -> Option<Answer> {
    let path = parts.uri.path();
    if path == CONFIG {
        return Some(config(parts, urls));
    }
    let file = FILES.iter().find(|file| file.path == path)?;
    let mut answer = Response::new(Bytes::from_static(file.content.as_bytes()).into());
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(file.media_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // The page says the rest of its policy itself, but a `meta` element cannot forbid frames.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    );
    Some(answer)
}

/// Where the page finds the APIs: under the name by which it was asked for, so that it works
/// through a tunnel as well.
fn config(parts: &Parts, urls: &Urls) -> Answer {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let is_https = header("x-forwarded-proto").is_some_and(|it| it.eq_ignore_ascii_case("https"));
    let (http, ws) = match header("host") {
        Some(host) if is_https => (
            format!("https://{host}"),
            format!("wss://{host}{}", urls.websocket_path()),
        ),
        Some(host) => (
            format!("http://{host}"),
            format!("ws://{host}{}", urls.websocket_path()),
        ),
        None => (urls.http.clone(), urls.ws.clone()),
    };
    // What `tail` answers is under the same name here.
    answer_json(
        StatusCode::OK,
        &json!({ "http": http, "ws": ws, "tail": http }),
    )
}
