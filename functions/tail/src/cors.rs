//! Which pages of other origins may read. ("Fetch", CORS protocol.)

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Empty};
use lambda_http::{Request, Response};
use platform::{Lookup, config};

use crate::Body;

/// The origins that may read: none, some, or all (`*`).
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    /// Reads `CORS_ORIGINS`: origins with commas between them, `*` for every one.
    pub(crate) fn new(lookup: Lookup<'_>) -> Cors {
        let text = config::optional(lookup, "CORS_ORIGINS").unwrap_or_default();
        let origins = text.split(',').map(str::trim);
        Cors {
            origins: origins
                .filter(|origin| !origin.is_empty())
                .map(|origin| origin.trim_end_matches('/').to_owned())
                .collect(),
        }
    }

    /// Lets the page of this origin read the answer, if it may.
    pub(crate) fn allow(&self, origin: Option<&str>, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            headers.remove(ACCESS_CONTROL_ALLOW_METHODS);
            return;
        }
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        let allowed = |origin: &&str| {
            let mut origins = self.origins.iter();
            origins.any(|allowed| allowed == "*" || allowed == origin)
        };
        // No credentials are sent that the page does not have itself, so any origin may be named.
        if let Some(origin) = origin.filter(allowed)
            && let Ok(origin) = HeaderValue::from_str(origin)
        {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
}

pub(crate) fn origin(request: &Request) -> Option<&str> {
    request.headers().get(ORIGIN)?.to_str().ok()
}

/// The answer to a browser that asks whether it may ask.
pub(crate) fn preflight() -> Response<Body> {
    let mut response = Response::new(Empty::<Bytes>::new().boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, last-event-id"),
        (ACCESS_CONTROL_MAX_AGE, "3600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &str, origin: &str) -> Option<String> {
        let lookup = |_: &str| Some(origins.to_owned());
        let mut headers = HeaderMap::new();
        Cors::new(&lookup).allow(Some(origin), &mut headers);
        let allowed = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(allowed.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_origin_is_allowed_by_its_name_or_when_all_are() {
        let (a, b) = ("https://a.example", "https://b.example");
        assert_eq!(allowed("", a), None);
        assert_eq!(allowed("*", a).as_deref(), Some(a));
        assert_eq!(
            allowed("https://a.example/, https://b.example", b).as_deref(),
            Some(b)
        );
        for other in [
            "https://c.example",
            "http://a.example",
            "null",
            "https://a.example.net",
        ] {
            assert_eq!(allowed("https://a.example", other), None, "{other}");
        }
    }
}
