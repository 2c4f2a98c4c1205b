//! Which pages of other origins may read the answers. (Fetch standard, "CORS protocol".)

use ::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use ::http::{HeaderMap, HeaderValue};

use crate::config::{self, ConfigError, Lookup};

/// The longest time for which a browser keeps what it was told: Chromium's.
const MAX_AGE_SECONDS: &str = "7200";

/// The origins that are let in: none, some, or all.
#[derive(Debug, Default)]
pub struct Origins {
    any: bool,
    these: Vec<HeaderValue>,
    methods: &'static str,
    headers: &'static str,
}

impl Origins {
    /// Reads `CORS_ORIGINS`: origins with commas between them, or `*`; none when it is not set. Their
    /// pages may use `methods` and send `headers`, both with commas between them.
    ///
    /// # Errors
    /// When one of them is no origin.
    pub fn read(
        lookup: Lookup<'_>,
        methods: &'static str,
        headers: &'static str,
    ) -> Result<Origins, ConfigError> {
        let list = config::optional(lookup, "CORS_ORIGINS").unwrap_or_default();
        let mut origins = Origins {
            methods,
            headers,
            ..Origins::default()
        };
        for origin in list.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            if origin == "*" {
                origins.any = true;
                continue;
            }
            let invalid = || ConfigError::Invalid {
                name: "CORS_ORIGINS".to_owned(),
                reason: "an origin is https://… without a path".to_owned(),
            };
            let (scheme, host) = origin.split_once("://").ok_or_else(invalid)?;
            if !matches!(scheme, "http" | "https") || host.is_empty() || host.contains('/') {
                return Err(invalid());
            }
            let value = HeaderValue::from_str(origin).map_err(|_| invalid())?;
            origins.these.push(value);
        }
        Ok(origins)
    }

    /// What the answer to a request with these headers says to the browser.
    #[must_use]
    pub fn headers(&self, asked: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.any && self.these.is_empty() {
            return headers;
        }
        // Whether or not this one is let in: a cache must not give its answer to another.
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = asked.get(ORIGIN) else {
            return headers;
        };
        if !self.any && !self.these.contains(origin) {
            return headers;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            for (name, value) in [
                (ACCESS_CONTROL_ALLOW_METHODS, self.methods),
                (ACCESS_CONTROL_ALLOW_HEADERS, self.headers),
                (ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(list: &str) -> Result<Origins, ConfigError> {
        let list = list.to_owned();
        let lookup = |name: &str| (name == "CORS_ORIGINS").then(|| list.clone());
        Origins::read(&lookup, "GET, HEAD", "Authorization")
    }

    fn allowed(list: &str, origin: &'static str) -> Option<String> {
        let mut asked = HeaderMap::new();
        asked.insert(ORIGIN, HeaderValue::from_static(origin));
        let headers = origins(list).unwrap().headers(&asked);
        let value = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_listed_origins_are_let_in() {
        let list = "https://a.example, http://localhost:3000";
        assert_eq!(
            allowed(list, "https://a.example").as_deref(),
            Some("https://a.example")
        );
        assert!(allowed(list, "http://localhost:3000").is_some());
        for other in [
            "https://b.example",
            "http://a.example",
            "null",
            "https://a.example:8443",
        ] {
            assert_eq!(allowed(list, other), None, "{other}");
        }
        assert_eq!(allowed("", "https://a.example"), None);
        assert!(allowed("*", "https://any.example").is_some());
    }

    #[test]
    fn who_asks_before_asking_is_told_what_may_be_asked() {
        let origins = origins("https://a.example").unwrap();
        let told = |origin: &'static str| {
            let mut asked = HeaderMap::new();
            asked.insert(ORIGIN, HeaderValue::from_static(origin));
            asked.insert(
                ACCESS_CONTROL_REQUEST_METHOD,
                HeaderValue::from_static("GET"),
            );
            let headers = origins.headers(&asked);
            let methods = headers.get(ACCESS_CONTROL_ALLOW_METHODS)?;
            Some(methods.to_str().unwrap().to_owned())
        };
        assert_eq!(told("https://a.example").as_deref(), Some("GET, HEAD"));
        assert_eq!(told("https://b.example"), None);
    }

    #[test]
    fn what_is_no_origin_is_refused_at_the_start() {
        for list in [
            "a.example",
            "https://a.example/",
            "ftp://a.example",
            "https://",
        ] {
            assert!(origins(list).is_err(), "{list}");
        }
    }
}
