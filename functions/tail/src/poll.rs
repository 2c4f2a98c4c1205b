//! A page of what is new, or of nothing when nothing came in time.

use std::fmt::Write;
use std::time::Duration;

use domain::Event;
use http::Response;
use http::StatusCode;
use platform::clock;
use platform::http::{HttpError, PAGE_BYTES, json};
use store::{Look, StoreError};
use tokio::time::Instant;

use crate::ask::Ask;
use crate::body::{Body, whole};
use crate::call::{Call, instant, time_left};
use crate::deps::Deps;
use crate::pace::Pace;

/// Answers as soon as there is an event, or when the reader has waited long enough.
pub(crate) async fn answer(
    deps: &Deps,
    call: &Call,
    ask: Ask,
) -> Result<Response<Body>, HttpError> {
    let left = time_left(call.ends_at);
    let page = tokio::time::timeout(left, page(deps, &ask, call.ends_at))
        .await
        .map_err(|late| HttpError::unavailable(&call.request_id, &late))?
        .map_err(|error| HttpError::unavailable(&call.request_id, &error))?;
    tracing::info!(
        request.id = call.request_id,
        http.status = 200,
        body_bytes = page.len(),
        "A reader was answered."
    );
    Ok(whole(json(StatusCode::OK, page)))
}

async fn page(deps: &Deps, ask: &Ask, ends_at: Instant) -> Result<String, StoreError> {
    let began = clock::now();
    let until = Instant::now() + Duration::from_secs(ask.wait_seconds);
    let until = until.min(ends_at).min(instant(ask.rights.until));
    let recovered = deps.keeps_all_after(ask.after, began);
    let mut follow = deps.follow(ask.after, began).await?;
    let mut page = Page::new();
    let mut pace = Pace::new();
    let more = loop {
        let now = clock::now();
        let more = follow
            .read(now, |event| page.look(deps, ask, event))
            .await?;
        if page.count > 0 || Instant::now() >= until {
            break more;
        }
        // With a filter that little passes, there may be much to look through.
        if !more {
            tokio::time::sleep(pace.pause(until)).await;
        }
    };
    let next = deps.feed.encode(follow.cursor());
    let mut body = page.body;
    // Writing to a text cannot fail.
    let _ = write!(
        body,
        r#"],"next":"{next}","more":{more},"recovered":{recovered}}}"#
    );
    Ok(body)
}

/// A page being written.
struct Page {
    body: String,
    count: usize,
}

impl Page {
    fn new() -> Page {
        Page {
            body: String::from(r#"{"events":["#),
            count: 0,
        }
    }

    fn look(&mut self, deps: &Deps, ask: &Ask, event: &Event<'_>) -> Look {
        if !ask.filter.matches(&event.content) {
            return Look::Next;
        }
        if self.count == ask.limit {
            return Look::Stop;
        }
        let text = ask
            .rights
            .show(event)
            .to_json_within(&deps.feed, true, PAGE_BYTES);
        if self.count > 0 {
            if self.body.len() + text.len() > PAGE_BYTES {
                return Look::Stop;
            }
            self.body.push(',');
        }
        self.body.push_str(&text);
        self.count += 1;
        Look::Next
    }
}
