//! Pages of events, newest first.

use domain::{Millis, Position, Rights};
use http::StatusCode;
use lambda_http::{Request, RequestExt};
use platform::clock;
use platform::http::HttpError;
use store::StoreError;

use crate::Deps;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;
/// A page ends here, before Lambda's limit of 6 MB for an answer with all its escapes. An event that
/// is larger by itself, or too large for its item, is in it without `data`: read by its id it is
/// whole, and a page costs the same whatever is in it.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// How many events are read at once.
const CHUNK: usize = 100;

/// What is asked for.
pub(crate) struct Query {
    limit: usize,
    before: Position,
    now: Millis,
    rights: Rights,
}

impl Query {
    pub(crate) fn read(deps: &Deps, rights: Rights, request: &Request) -> Result<Query, HttpError> {
        let now = clock::now();
        let mut query = Query {
            limit: DEFAULT_LIMIT,
            before: Position::start_of(Millis::MAX),
            now,
            rights,
        };
        let parameters = request.query_string_parameters_ref();
        for (name, value) in parameters
            .into_iter()
            .flat_map(|parameters| parameters.iter())
        {
            match name {
                "limit" => query.limit = limit(value)?,
                "before" => {
                    let cursor = deps.feed.decode(value);
                    query.before = cursor
                        .map_err(|error| bad("bad_cursor", format!("before: {error}")))?
                        .position;
                }
                _ => return Err(unknown_parameter(name)),
            }
        }
        Ok(query)
    }
}

fn limit(value: &str) -> Result<usize, HttpError> {
    value
        .parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| {
            bad(
                "bad_limit",
                format!("limit is a number from 1 to {MAX_LIMIT}"),
            )
        })
}

pub(crate) fn unknown_parameter(name: &str) -> HttpError {
    bad(
        "unknown_parameter",
        format!("there is no parameter {name:?}"),
    )
}

pub(crate) fn bad(code: &'static str, message: String) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, code, message)
}

/// `{"events":[…],"next":"<cursor>"}`, `next` null on the last page.
pub(crate) async fn page(deps: &Deps, query: &Query) -> Result<String, StoreError> {
    let mut body = String::from(r#"{"events":["#);
    let next = fill(deps, query, &mut body).await?;
    body.push_str(r#"],"next":"#);
    match next {
        Some(last) => {
            body.push('"');
            body.push_str(&deps.feed.cursor_at(last));
            body.push_str("\"}");
        }
        None => body.push_str("null}"),
    }
    Ok(body)
}

/// Writes the events of a page; answers the position of the last if there are more behind it.
async fn fill(
    deps: &Deps,
    query: &Query,
    body: &mut String,
) -> Result<Option<Position>, StoreError> {
    let mut scan = deps.reader.before(query.before, query.now);
    let mut count = 0;
    let mut last = None;
    while count < query.limit {
        let Some((events, looked_at)) = scan.next(CHUNK.min(query.limit - count)).await? else {
            return Ok(None);
        };
        for event in events
            .iter()
            .filter(|event| query.rights.sees(&event.content))
        {
            let json = query
                .rights
                .show(event)
                .to_json_within(&deps.feed, true, PAGE_BYTES);
            if count > 0 && body.len() + json.len() > PAGE_BYTES {
                return Ok(last);
            }
            if count > 0 {
                body.push(',');
            }
            body.push_str(&json);
            count += 1;
            last = Some(event.position());
        }
        // Events that are gone are not in the page, but behind it all the same.
        last = Some(looked_at);
    }
    let is_more = scan.next(1).await?.is_some();
    Ok(last.filter(|_| is_more))
}
