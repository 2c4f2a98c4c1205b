//! The query of a request: every parameter is known and stands there once.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ::http::StatusCode;
use domain::{Cursor, Feed, Filter, Millis};

use crate::http::HttpError;
use crate::suggest;

/// How much a page has that was not asked for more or less, and the most that it may be asked for.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

/// Parameters and their values, decoded.
#[derive(Debug)]
pub struct Parameters<'q>(Vec<(Cow<'q, str>, Cow<'q, str>)>);

impl<'q> Parameters<'q> {
    /// Reads a query in which nothing but `known` may stand.
    ///
    /// # Errors
    /// 400 when something else stands there, or a parameter is repeated.
    pub fn read(query: &'q str, known: &[&str]) -> Result<Parameters<'q>, HttpError> {
        let mut parameters = Parameters(Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                return Err(unknown_parameter(&name, known));
            }
            if parameters.get(&name).is_some() {
                let message = format!("parameter `{name}` is repeated");
                return Err(bad("repeated_parameter", message));
            }
            parameters.0.push((name, value));
        }
        Ok(parameters)
    }

    /// What stands there, if it does.
    #[must_use]
    pub fn get(&self, wanted: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| &**value)
    }

    /// `limit`: how much a page may have.
    ///
    /// # Errors
    /// 400 when it is none of the numbers that there may be.
    pub fn limit(&self) -> Result<usize, HttpError> {
        let limit = self.number("limit", 1..=MAX_LIMIT, "bad_limit")?;
        Ok(limit.unwrap_or(DEFAULT_LIMIT))
    }

    /// A plain number within a range, without a sign.
    ///
    /// # Errors
    /// 400 with this code when it is none.
    pub fn number<T: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
        code: &'static str,
    ) -> Result<Option<T>, HttpError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let message = || {
            format!(
                "parameter `{name}` must be a number from {} to {}",
                range.start(),
                range.end()
            )
        };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|number| is_number && range.contains(number))
            .map(Some)
            .ok_or_else(|| bad(code, message()))
    }

    /// `filter`: what is wanted.
    ///
    /// # Errors
    /// 400 when it is no filter.
    pub fn filter(&self) -> Result<Filter, HttpError> {
        self.get("filter").map_or(Ok(Filter::default()), filter)
    }

    /// A point in time.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn time(&self, name: &str) -> Result<Option<Millis>, HttpError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let message =
            || format!("parameter `{name}` must be an RFC 3339 time such as 2026-11-22T01:02:03Z");
        let time = Millis::from_rfc3339(text);
        time.map(Some).ok_or_else(|| bad("bad_time", message()))
    }

    /// A cursor of this feed.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn cursor(&self, name: &str, feed: &Feed) -> Result<Option<Cursor>, HttpError> {
        let text = self.get(name);
        text.map(|text| cursor(name, text, feed)).transpose()
    }
}

/// The first value of a parameter, whatever else stands in the query: for who has to be known
/// before they are told what is wrong with it.
#[must_use]
pub fn first<'q>(query: &'q str, wanted: &str) -> Option<Cow<'q, str>> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value)
}

/// A cursor of this feed, to read on from, that came under this name.
///
/// # Errors
/// 400 when it is none, or is ahead of the feed: whoever read from it would miss what comes.
pub fn start(name: &str, text: &str, feed: &Feed, now: Millis) -> Result<Cursor, HttpError> {
    let cursor = cursor(name, text, feed)?;
    match cursor.is_ahead_of(now) {
        true => Err(ahead(name)),
        false => Ok(cursor),
    }
}

/// The refusal of a cursor that names a time that has not come.
#[must_use]
pub fn ahead(name: &str) -> HttpError {
    bad(
        "bad_cursor",
        format!("`{name}`: the cursor is in the future"),
    )
}

/// The filter of this text.
///
/// # Errors
/// 400 when it is none.
pub fn filter(text: &str) -> Result<Filter, HttpError> {
    text.parse()
        .map_err(|error: domain::FilterError| bad("bad_filter", error.to_string()))
}

/// What is wrong with a request, with this code.
pub fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, code, message)
}

/// A cursor of this feed that came under this name.
///
/// # Errors
/// 400 when it is none.
pub fn cursor(name: &str, text: &str, feed: &Feed) -> Result<Cursor, HttpError> {
    let cursor = feed.decode(text);
    cursor.map_err(|error| bad("bad_cursor", format!("`{name}`: {error}")))
}

fn unknown_parameter(name: &str, known: &[&str]) -> HttpError {
    let message = format!(
        "unknown parameter `{}`{}",
        name.escape_debug(),
        suggest::hint(name, known)
    );
    bad("unknown_parameter", message)
}

#[cfg(test)]
mod tests {
    use domain::Position;

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
            ("=", "unknown_parameter", "``"),
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

    #[test]
    fn who_reads_on_from_a_cursor_may_not_be_ahead_of_the_feed() {
        let feed = Feed::new("one");
        let at = |now| {
            start(
                "after",
                &feed.cursor_at(Position::start_of(Millis(100_000))),
                &feed,
                now,
            )
        };
        assert!(at(Millis(40_000)).is_ok());
        assert_eq!(at(Millis(39_999)).unwrap_err().code, "bad_cursor");
        let other = Feed::new("two").cursor_at(Position::start_of(Millis(0)));
        let refused = start("after", &other, &feed, Millis(0)).unwrap_err();
        assert!(
            refused.message.starts_with("`after`: "),
            "{}",
            refused.message
        );
    }
}
