//! Pages of events, newest first or from a cursor on.

use axum::extract::State;
use axum::response::Response;
use domain::{Cursor, Event, Filter, Millis, Position, Rights, Scope, View};
use platform::clock;
use platform::http::HttpError;
use store::{Look, StoreError};

use crate::call::Call;
use crate::caller::holder;
use crate::page::Page;
use crate::response::{Refusal, json};
use crate::schema::{Refusals, Timeline};
use crate::state::Shared;
use platform::parameters::{self, Parameters, bad};

const PARAMETERS: [&str; 6] = ["after", "before", "filter", "from", "limit", "to"];
/// What is asked for.
#[derive(Debug)]
struct Query {
    filter: Filter,
    limit: usize,
    way: Way,
    now: Millis,
}

#[derive(Debug)]
enum Way {
    /// Newest first, from before a position back to a time.
    Back { before: Position, oldest: Millis },
    /// Oldest first, from a cursor on.
    On(Cursor),
}

impl Query {
    fn read(state: &crate::State, call: &Call, now: Millis) -> Result<Query, HttpError> {
        let parameters = Parameters::read(&call.query, &PARAMETERS)
            .map_err(|error| long_poll_is_elsewhere(state, call, error))?;
        let before = parameters.cursor("before", &state.feed)?;
        let after = parameters.cursor("after", &state.feed)?;
        let (from, to) = (parameters.time("from")?, parameters.time("to")?);
        let way = match after {
            None => {
                let before = before.map(|cursor| cursor.position);
                let to = to.map(Position::start_of);
                let newest = Position::start_of(Millis::MAX);
                Way::Back {
                    before: before.unwrap_or(newest).min(to.unwrap_or(newest)),
                    oldest: from.unwrap_or(Millis(0)),
                }
            }
            Some(cursor) => {
                let others = ["before", "from", "to"];
                let other = others.iter().find(|name| parameters.get(name).is_some());
                if let Some(other) = other {
                    let message = format!("parameters `after` and `{other}` exclude each other");
                    return Err(bad("conflicting_parameters", message));
                }
                Way::On(cursor)
            }
        };
        Ok(Query {
            filter: parameters.filter()?,
            limit: parameters.limit()?,
            way,
            now,
        })
    }
}

/// Says where `wait` is known.
fn long_poll_is_elsewhere(state: &crate::State, call: &Call, error: HttpError) -> HttpError {
    let asks_to_wait = || parameters::first(&call.query, "wait").is_some();
    if error.code != "unknown_parameter" || !asks_to_wait() {
        return error;
    }
    let message = match &state.tail_url {
        Some(url) => {
            format!("parameter `wait` is not supported here; long poll is at {url}/v1/events")
        }
        None => "parameter `wait` is not supported: this deployment has no long poll".to_owned(),
    };
    bad(error.code, message)
}

/// Lists events, newest first; with `after`, oldest first.
///
/// A page has at most `limit` events and 2 MB. With a filter, a page scans 10,000 events or 10 s,
/// so it may be short or empty although `more` is true: continue at `next`.
///
/// With `wait` (0 to 20 seconds), the request is a long poll. The function behind `GET /v1/stream`
/// serves it at its own address, if the deployment has it, and accepts `after`, `filter`, `limit`
/// and, instead of a token, `ticket`. This address refuses `wait`.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "list_events",
    tag = "events",
    params(
        ("filter" = Option<String>, Query, description = "Only events that match this filter", max_length = 2048, example = "type:open,click"),
        ("before" = Option<String>, Query, description = "Only events stored before this cursor: the `next` of the previous page, or the `cursor` of any event"),
        ("after" = Option<String>, Query, description = "Only events stored after this cursor, oldest first; excludes `before`, `from` and `to`"),
        ("from" = Option<String>, Query, format = DateTime, description = "Only events received at this time or later"),
        ("to" = Option<String>, Query, format = DateTime, description = "Only events received before this time"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 1000, description = "Page size; default 50"),
    ),
    responses((status = 200, description = "A page of events", body = Timeline), Refusals, (status = 400, description = "`bad_filter`, `bad_cursor`, `bad_time`, `bad_limit`: the value is invalid. A cursor must come from this deployment, and `after` must not be more than a minute ahead. `conflicting_parameters`: `after` excludes `before`, `from` and `to`", body = crate::schema::error::Error)),
    security(("token" = ["read"])),
)]
pub(crate) async fn list(State(state): State<Shared>, call: Call) -> Result<Response, Refusal> {
    let now = clock::now();
    let holder = holder(&state, &call, Scope::Read).await?;
    let query = Query::read(&state, &call, now)?;
    refuse_ahead(&state, &call, &query).await?;
    let view = holder
        .rights
        .narrow(&query.filter)
        .map_err(HttpError::from)?;
    let page = page(&state, &holder.rights, view, query)
        .await
        .map_err(|error| HttpError::unavailable(&call.request_id, &error))?;
    Ok(json(page))
}

/// Refuses to read on from a time that has not come: what comes would be missed.
async fn refuse_ahead(state: &crate::State, call: &Call, query: &Query) -> Result<(), HttpError> {
    let Way::On(cursor) = query.way else {
        return Ok(());
    };
    let is_made_up = state.late.is_made_up(cursor, query.now).await;
    match is_made_up.map_err(|error| HttpError::unavailable(&call.request_id, &error))? {
        true => Err(parameters::ahead("after")),
        false => Ok(()),
    }
}

async fn page(
    state: &crate::State,
    rights: &Rights,
    view: View,
    query: Query,
) -> Result<String, StoreError> {
    let mut page = Page::new(&state.feed, rights, view, query.limit);
    match query.way {
        Way::Back { before, oldest } => {
            let mut scan = state.reader.before(before, query.now).down_to(oldest);
            let walked = page.fill(&mut scan).await?;
            let next = walked.last.filter(|_| walked.more);
            let next = next.map(|last| state.feed.cursor_at(last));
            Ok(page.finish(next.as_deref(), walked.more, None))
        }
        Way::On(cursor) => {
            let look = |event: &Event<'_>| match page.add(event) {
                true => Look::Next,
                false => Look::Stop,
            };
            let read = state.reader.poll(cursor, &state.late, query.now, look);
            let read = read.await?;
            let next = state.feed.encode(read.next);
            Ok(page.finish(Some(&next), read.more, Some(read.recovered)))
        }
    }
}
