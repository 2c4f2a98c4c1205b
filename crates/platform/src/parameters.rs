//! The query of a request: every parameter is known and stands there once.

use std::borrow::Cow;

use domain::{Cursor, Feed, Filter, Millis};
use ::http::StatusCode;

use crate::http::HttpError;

const DEFAULT_LIMIT: usize = 50;
/// The most events that one page may be asked to have.
const MAX_LIMIT: usize = 1_000;

/// Parameters and their values, decoded.
#[derive(Debug)]
pub struct Parameters<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Parameters<'q> {
    /// Reads a query in which nothing but `known` may stand.
    pub fn read(query: &'q str, known: &[&str]) -> Result<Parameters<'q>, HttpError> {
        let mut parameters = Parameters(Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                return Err(unknown_parameter(&name));
            }
            if parameters.get(&name).is_some() {
                let message = format!("the parameter {name:?} stands there twice");
                return Err(bad("repeated_parameter", message));
            }
            parameters.0.push((name, value));
        }
        Ok(parameters)
    }

    pub fn get(&self, wanted: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| &**value)
    }

    /// `limit`: how many events are wanted.
    pub fn limit(&self) -> Result<usize, HttpError> {
        let Some(text) = self.get("limit") else {
            return Ok(DEFAULT_LIMIT);
        };
        let message = || format!("limit is a number from 1 to {MAX_LIMIT}");
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|limit| is_number && (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| bad("bad_limit", message()))
    }

    /// `filter`: which events are wanted.
    pub fn filter(&self) -> Result<Filter, HttpError> {
        self.get("filter").map_or(Ok(Filter::default()), filter)
    }

    /// A point in time.
    pub fn time(&self, name: &str) -> Result<Option<Millis>, HttpError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let message = || format!("{name} is a time such as 2026-11-22T01:02:03Z");
        let time = Millis::from_rfc3339(text);
        time.map(Some).ok_or_else(|| bad("bad_time", message()))
    }

    /// A cursor of this feed.
    pub fn cursor(&self, name: &str, feed: &Feed) -> Result<Option<Cursor>, HttpError> {
        let cursor = self.get(name).map(|text| feed.decode(text)).transpose();
        cursor.map_err(|error| bad("bad_cursor", format!("{name}: {error}")))
    }
}

pub fn filter(text: &str) -> Result<Filter, HttpError> {
    text.parse()
        .map_err(|error: domain::FilterError| bad("bad_filter", error.to_string()))
}

fn unknown_parameter(name: &str) -> HttpError {
    let message = format!("there is no parameter {name:?}");
    bad("unknown_parameter", message)
}

pub fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Parameters<'_>, HttpError> {
        Parameters::read(query, &["limit", "filter"])
    }

    #[test]
    fn a_parameter_is_known_and_stands_there_once() {
        let parameters = read("filter=type%3Aopen+-type:a&limit=7").unwrap();
        assert_eq!(parameters.get("filter"), Some("type:open -type:a"));
        assert_eq!(parameters.limit().unwrap(), 7);
        assert_eq!(read("").unwrap().limit().unwrap(), DEFAULT_LIMIT);
        for (query, code, name) in [
            ("limit=1&limit=2", "repeated_parameter", "limit"),
            ("limit=1&%6cimit=1", "repeated_parameter", "limit"),
            ("colour=red", "unknown_parameter", "colour"),
            ("=", "unknown_parameter", "\"\""),
            ("Limit=1", "unknown_parameter", "Limit"),
        ] {
            let error = read(query).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, code), "{query}");
            assert!(error.message.contains(name), "{}", error.message);
        }
    }

    #[test]
    fn a_limit_is_a_plain_number() {
        for text in [
            "",
            "0",
            "1001",
            "-1",
            "+5",
            "5.0",
            "ten",
            "99999999999999999999",
        ] {
            let query = format!("limit={}", text.replace('+', "%2B"));
            assert_eq!(read(&query).unwrap().limit().unwrap_err().code, "bad_limit");
        }
        assert_eq!(read("limit=1000").unwrap().limit().unwrap(), 1_000);
    }
}
