//! A page of events: what its holder asked for and may see, up to its limits.

use std::time::Duration;

use domain::{Event, Feed, Position, Rights, View};
use platform::http::PAGE_BYTES;
use store::{FeedScan, StoreError};
use tokio::time::Instant;

use crate::listing::Listing;

/// How many events are read at once.
pub(crate) const CHUNK: usize = 100;
/// How many events a page looks at, however few of them its filter lets pass. Reading them costs
/// about 5,000 read units.
pub(crate) const SCAN_EVENTS: usize = 10_000;
/// How long it looks. API Gateway waits 30 s at most.
pub(crate) const SCAN_TIME: Duration = Duration::from_secs(10);

/// A page that is being written.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    feed: &'a Feed,
    rights: &'a Rights,
    filter: View,
    limit: usize,
    listing: Listing,
}

/// How far a walk through the feed came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walked {
    /// What was looked at last, none when there was nothing.
    pub(crate) last: Option<Position>,
    /// Whether there is, or may be, more behind it.
    pub(crate) more: bool,
}

impl<'a> Page<'a> {
    /// An empty page for at most `limit` events that pass `filter`, which says already what the
    /// rights let be seen.
    pub(crate) fn new(feed: &'a Feed, rights: &'a Rights, filter: View, limit: usize) -> Self {
        Page {
            feed,
            rights,
            filter,
            limit,
            listing: Listing::of("events"),
        }
    }

    /// How many events fit by their number.
    pub(crate) fn room(&self) -> usize {
        self.limit - self.listing.count()
    }

    /// How many events to read at once: no more than fit, unless some of them will not pass.
    pub(crate) fn chunk(&self) -> usize {
        match self.filter.is_empty() {
            true => CHUNK.min(self.room()),
            false => CHUNK,
        }
    }

    /// Takes an event if it passes; answers whether there was room for it.
    pub(crate) fn add(&mut self, event: &Event<'_>) -> bool {
        if self.room() == 0 {
            return false;
        }
        if !self.filter.matches(&event.content) {
            return true;
        }
        let json = self
            .rights
            .show(event)
            .to_json_within(self.feed, true, PAGE_BYTES);
        self.listing.add_json(&json)
    }

    /// Takes what a walk through the feed finds, until the page or the walk ends, or enough was
    /// looked at.
    pub(crate) async fn fill(&mut self, scan: &mut FeedScan<'_>) -> Result<Walked, StoreError> {
        let deadline = Instant::now() + SCAN_TIME;
        let mut looked_at = 0;
        let mut last = None;
        loop {
            let chunk = self.chunk();
            let Some((events, end)) = scan.next(chunk).await? else {
                return Ok(Walked { last, more: false });
            };
            for event in events {
                if !self.add(&event) {
                    return Ok(Walked { last, more: true });
                }
                last = Some(event.position());
                if Instant::now() >= deadline {
                    return Ok(Walked { last, more: true });
                }
            }
            // Events that are gone are not in the page, but behind it all the same.
            last = Some(end);
            looked_at += chunk;
            if self.room() == 0 {
                let more = scan.next(1).await?.is_some();
                return Ok(Walked { last, more });
            }
            if looked_at >= SCAN_EVENTS || Instant::now() >= deadline {
                return Ok(Walked { last, more: true });
            }
        }
    }

    /// The text of the page. `recovered` is said of pages that go on from a cursor: whether
    /// everything after it is still kept.
    pub(crate) fn finish(self, next: Option<&str>, more: bool, recovered: Option<bool>) -> String {
        let mut body = self.listing.end(next);
        let word = |is_so| if is_so { "true" } else { "false" };
        body.extend([r#","more":"#, word(more)]);
        if let Some(recovered) = recovered {
            body.extend([r#","recovered":"#, word(recovered)]);
        }
        body.push('}');
        body
    }
}
