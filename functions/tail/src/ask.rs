//! What a reader asks for, and whether they may.

use std::borrow::Cow;

use domain::{Cursor, Filter, Rights, Scope, View};
use http::StatusCode;
use lambda_http::{Request, RequestExt};
use platform::clock;
use platform::http::HttpError;
use platform::tokens;

use crate::Deps;

/// What a long poll takes.
pub(crate) const POLL: &[&str] = &["after", "filter", "limit", "ticket", "wait"];
/// What a stream takes.
pub(crate) const STREAM: &[&str] = &["after", "data", "filter", "last", "ticket"];

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;
/// API Gateway would let a request wait no longer than this and a little; proxies are no different.
const MAX_WAIT_SECONDS: u64 = 20;
/// As many as a `resume` gives.
const MAX_LAST: usize = 1_000;

/// A request that was understood, by somebody who may make it.
#[derive(Debug)]
pub(crate) struct Ask {
    /// What the reader may do. The filter is in `filter` as well.
    pub(crate) rights: Rights,
    /// What is wanted, of what may be seen.
    pub(crate) filter: View,
    /// Where to go on.
    pub(crate) after: Option<Cursor>,
    /// How many of the newest events to begin with.
    pub(crate) last: usize,
    /// How many events there may be in a page.
    pub(crate) limit: usize,
    /// How long to wait for the first.
    pub(crate) wait_seconds: u64,
    /// Whether `data` is wanted in a stream.
    pub(crate) with_data: bool,
}

impl Ask {
    /// Reads a request that takes these parameters.
    ///
    /// # Errors
    /// 400 with what is wrong with the request, 401 and 403 when it may not be made.
    pub(crate) async fn read(
        deps: &Deps,
        request_id: &str,
        request: &Request,
        known: &[&str],
    ) -> Result<Ask, HttpError> {
        let rights = authorize(deps, request_id, request).await?;
        let mut ask = Ask {
            filter: rights.narrow(&Filter::default())?,
            rights,
            after: None,
            last: 0,
            limit: DEFAULT_LIMIT,
            wait_seconds: 0,
            with_data: false,
        };
        let parameters = request.query_string_parameters_ref();
        for (name, value) in parameters.into_iter().flat_map(|them| them.iter()) {
            if !known.contains(&name) {
                let message = format!("there is no parameter {name:?}");
                return Err(bad("unknown_parameter", message));
            }
            ask.take(deps, name, value)?;
        }
        if ask.after.is_some() && ask.last > 0 {
            return Err(bad("bad_last", "last and after exclude each other"));
        }
        // A browser that comes back sends its old URL, and beside it how far it has come.
        let header = request.headers().get("last-event-id");
        if let Some(id) = header.filter(|id| known == STREAM && !id.is_empty()) {
            let id = id.to_str().unwrap_or_default();
            ask.after = Some(cursor(deps, "Last-Event-ID", id)?);
            ask.last = 0;
        }
        Ok(ask)
    }

    fn take(&mut self, deps: &Deps, name: &str, value: &str) -> Result<(), HttpError> {
        match name {
            "after" => self.after = Some(cursor(deps, "after", value)?),
            "filter" => {
                let asked: Filter = value
                    .parse()
                    .map_err(|error| bad("bad_filter", format!("filter: {error}")))?;
                self.filter = self.rights.narrow(&asked)?;
            }
            "limit" => {
                self.limit = number(value, 1, MAX_LIMIT).ok_or_else(|| {
                    bad(
                        "bad_limit",
                        format!("limit is a number from 1 to {MAX_LIMIT}"),
                    )
                })?;
            }
            "last" => {
                self.last = number(value, 0, MAX_LAST)
                    .ok_or_else(|| bad("bad_last", format!("last is a number up to {MAX_LAST}")))?;
            }
            "wait" => {
                self.wait_seconds = number(value, 0, MAX_WAIT_SECONDS).ok_or_else(|| {
                    bad(
                        "bad_wait",
                        format!("wait is a number of seconds up to {MAX_WAIT_SECONDS}"),
                    )
                })?;
            }
            "data" => {
                self.with_data = value
                    .parse()
                    .map_err(|_| bad("bad_data", "data is true or false"))?;
            }
            // The ticket was read before.
            _ => {}
        }
        Ok(())
    }
}

/// What the reader may do, by the ticket in the URL or the token in the header.
async fn authorize(deps: &Deps, request_id: &str, request: &Request) -> Result<Rights, HttpError> {
    let now = clock::now();
    let parameters = request.query_string_parameters_ref();
    let ticket = parameters.and_then(|parameters| parameters.first("ticket"));
    let holder = match ticket {
        Some(ticket) => deps.tokens.ticket(ticket, now, request_id).await?,
        None => {
            deps.tokens
                .bearer(request.headers(), now, request_id)
                .await?
        }
    };
    tokens::require(&holder, Scope::Read)?;
    Ok(holder.rights)
}

fn cursor(deps: &Deps, name: &str, text: &str) -> Result<Cursor, HttpError> {
    let cursor = deps.feed.decode(text);
    let cursor = cursor.map_err(|error| bad("bad_cursor", format!("{name}: {error}")))?;
    if cursor.is_ahead_of(clock::now()) {
        return Err(bad(
            "bad_cursor",
            format!("{name}: the cursor is of the future"),
        ));
    }
    Ok(cursor)
}

fn number<T: std::str::FromStr + PartialOrd>(text: &str, least: T, most: T) -> Option<T> {
    let number = text.parse().ok();
    number.filter(|number| (least..=most).contains(number))
}

fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, code, message)
}
