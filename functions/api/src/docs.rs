//! The document that describes the API, and a page to try it: Swagger UI, from this binary alone.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};

use utoipa::openapi::Server;

use crate::response::{not_found, refusal};
use crate::routes::documented;
use crate::schema::STREAM;
use crate::state::Shared;

#[cfg(test)]
mod tables;

const BUNDLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

/// Nothing but what is here, and requests to here. Swagger UI sets styles by itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
/// A new deployment may bring others.
const CACHE: &str = "public, max-age=300";

/// `GET /openapi.json`
pub(crate) async fn document(state: State<Shared>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, CACHE)];
    let document = state
        .document
        .get_or_init(|| written(state.tail_url.as_deref()));
    (headers, document.clone()).into_response()
}

/// The document of a deployment whose streams are here, if it has any.
fn written(tail_url: Option<&str>) -> String {
    let mut document = documented().into_openapi();
    let paths = &mut document.paths.paths;
    match (tail_url, paths.get_mut(STREAM)) {
        (Some(url), Some(stream)) => stream.servers = Some(vec![Server::new(url)]),
        (None, _) => drop(paths.remove(STREAM)),
        (Some(_), None) => {}
    }
    document.to_json().unwrap_or_default()
}

/// `GET /docs`
pub(crate) async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, CACHE),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PAGE).into_response()
}

/// `GET /docs/…`
pub(crate) async fn file(Path(name): Path<String>) -> Response {
    let (content_type, content, is_packed) = match name.as_str() {
        "swagger-ui-bundle.js" => ("text/javascript", BUNDLE, true),
        "swagger-ui.css" => ("text/css", STYLE, true),
        "start.js" => ("text/javascript", START.as_bytes(), false),
        _ => return refusal(not_found("no such path")),
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, CACHE),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if is_packed {
        (headers, [(CONTENT_ENCODING, "gzip")], content).into_response()
    } else {
        (headers, content).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_stream_is_described_where_there_is_one() {
        let stream = |tail_url| {
            let document: Value = serde_json::from_str(&written(tail_url)).unwrap();
            document["paths"][STREAM].clone()
        };
        assert_eq!(stream(None), Value::Null);
        let url = "https://abc.lambda-url.eu-central-1.on.aws";
        assert_eq!(stream(Some(url))["servers"][0]["url"], url);
    }
}
