//! What a reader asks for, and whether they may.

use std::borrow::Cow;

use domain::{Cursor, Millis, Rights, Scope, View};
use platform::clock;
use platform::http::HttpError;
use platform::parameters::{self, Parameters, bad};
use platform::tokens;

use crate::call::Call;
use crate::deps::Deps;

/// What a long poll takes.
pub(crate) const POLL: &[&str] = &["after", "filter", "limit", "ticket", "wait"];
/// What a stream takes.
pub(crate) const STREAM: &[&str] = &["after", "data", "filter", "last", "ticket"];
/// The names under which libraries that cannot send the header `Last-Event-ID` put it into a stream's
/// query.
pub(crate) const LAST_EVENT_ID: &[&str] = &[
    "lastEventId",
    "Last-Event-ID",
    "last-event-id",
    "lastEventID",
];

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
    pub(crate) async fn read(deps: &Deps, call: &Call, known: &[&str]) -> Result<Ask, HttpError> {
        let now = clock::now();
        let rights = authorize(deps, call).await?;
        let parameters = Parameters::read(&call.query, known)?;
        let last = parameters.number("last", 0..=MAX_LAST, "bad_last")?;
        let wait_seconds = parameters.number("wait", 0..=MAX_WAIT_SECONDS, "bad_wait")?;
        let data = parameters.get("data").map(str::parse).transpose();
        let ask = Ask {
            filter: rights.narrow(&parameters.filter()?)?,
            rights,
            after: parameters.cursor("after", &deps.feed)?,
            last: last.unwrap_or(0),
            limit: parameters.limit()?,
            wait_seconds: wait_seconds.unwrap_or(0),
            with_data: data
                .map_err(|_| bad("bad_data", "parameter `data` must be `true` or `false`"))?
                .unwrap_or(false),
        };
        refuse_ahead(deps, call, "after", ask.after, now).await?;
        if ask.after.is_some() && ask.last > 0 {
            return Err(bad(
                "bad_last",
                "parameters `last` and `after` exclude each other",
            ));
        }
        Ok(ask)
    }

    /// What a browser asks that comes back: it sends its old URL, and beside it how far it has come.
    ///
    /// # Errors
    /// 400 when it says that by no cursor of this feed.
    pub(crate) async fn come_back(mut self, deps: &Deps, call: &Call) -> Result<Ask, HttpError> {
        if let Some((name, id)) = last_event_id(call)? {
            let cursor = parameters::cursor(name, &id, &deps.feed)?;
            refuse_ahead(deps, call, name, Some(cursor), clock::now()).await?;
            self.after = Some(cursor);
            self.last = 0;
        }
        Ok(self)
    }
}

/// How far a client has come that connects again, and by which name it says so. The header comes from
/// the library itself each time; the parameter, which a page may have written into its URL once, is
/// older. An empty one means that there is none. (HTML standard, "Server-sent events".)
fn last_event_id(call: &Call) -> Result<Option<(&'static str, Cow<'_, str>)>, HttpError> {
    let header = call.headers.get("last-event-id");
    let header = header.map(|id| Cow::Borrowed(id.to_str().unwrap_or("?")));
    let header = header.map(|id| ("Last-Event-ID", id));
    let given: Vec<_> = LAST_EVENT_ID
        .iter()
        .filter_map(|name| Some((*name, parameters::first(&call.query, name)?)))
        .collect();
    if let [_, (name, _), ..] = given[..] {
        let message = format!("parameter `{name}` is given under two names");
        return Err(bad("repeated_parameter", message));
    }
    let mut ids = header.into_iter().chain(given);
    Ok(ids.find(|(_, id)| !id.is_empty()))
}

async fn refuse_ahead(
    deps: &Deps,
    call: &Call,
    name: &str,
    after: Option<Cursor>,
    now: Millis,
) -> Result<(), HttpError> {
    let Some(cursor) = after else {
        return Ok(());
    };
    let is_made_up = deps.late.is_made_up(cursor, now).await;
    match is_made_up.map_err(|error| HttpError::unavailable(&call.request_id, &error))? {
        true => Err(parameters::ahead(name)),
        false => Ok(()),
    }
}

/// What the reader may do, by the ticket in the URL or the token in the header.
async fn authorize(deps: &Deps, call: &Call) -> Result<Rights, HttpError> {
    let (id, now) = (&call.request_id, call.received_at);
    let holder = match parameters::first(&call.query, "ticket") {
        Some(ticket) => deps.tokens.ticket(&ticket, now, id).await?,
        None => deps.tokens.bearer(&call.headers, now, id).await?,
    };
    tokens::require(&holder, Scope::Read)?;
    Ok(holder.rights)
}
