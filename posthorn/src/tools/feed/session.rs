//! What the client knows and decides, without a socket and without a clock.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::item::{FeedError, FeedItem};
use super::options::{FeedOptions, LOOKS};

/// The most that may be asked for without a cursor.
const MAX_LAST: u32 = 1_000;

/// The state of a feed over all its connections.
#[derive(Debug)]
pub(super) struct Session {
    filter: Option<String>,
    data: bool,
    last: u32,
    cursor: Option<String>,
    phase: Phase,
    /// How many resumes are still to come before live events can be relied on.
    looks_left: usize,
    /// A cursor was refused, or a replay whose beginning is not kept any more was not heard to its end: events are
    /// missing although a later resume succeeds.
    has_lost_its_place: bool,
    /// The filter of the subscription whose answer has not come yet.
    subscribing: Option<Option<String>>,
    /// A subscription is in force, and a resume has to follow.
    has_to_resume: bool,
    /// The filter was changed, and no resume has gone by it yet.
    is_filter_new: bool,
    /// A gap that was reported while a replay ran; it is filled afterwards, or on the next connection.
    gap: Option<String>,
    /// All looks begin anew, and the caller was not told yet.
    has_restarted: bool,
    /// The connection began without the filter, and live events may still be any. The next look brings what is left out.
    is_muted: bool,
    has_progressed: bool,
    /// Where the feed begins when it was asked for the last few events: a later resume reads further back.
    beginning: Beginning,
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A subscription has to be in force before the first resume.
    Opening,
    /// A resume is running: only replay messages advance the cursor.
    Replaying,
    /// A resume has ended, and another one will look for what it could not find yet: only that advances the cursor.
    Looking,
    /// Live messages advance the cursor.
    Live,
}

/// How a connection was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    /// With the filter, if there is one.
    Complete,
    /// The filter was too long for it.
    WithoutFilter,
}

/// What follows from a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Tell(FeedItem),
    Send(String),
    Reconnect(String),
    Fail(FeedError),
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, borrow)]
    events: Vec<&'a RawValue>,
    cursor: Option<String>,
    #[serde(default)]
    replay: bool,
    recovered: Option<bool>,
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct EventKey {
    id: String,
    #[serde(default)]
    cursor: Option<String>,
}

impl Session {
    pub(super) fn new(options: &FeedOptions) -> Self {
        Self {
            filter: options.filter.clone(),
            data: options.data,
            last: options.last.min(MAX_LAST),
            cursor: options.cursor.clone(),
            phase: Phase::Opening,
            looks_left: LOOKS,
            has_lost_its_place: false,
            subscribing: None,
            has_to_resume: false,
            is_filter_new: false,
            gap: None,
            has_restarted: false,
            is_muted: false,
            has_progressed: false,
            beginning: Beginning::new(options),
            seen: Seen::new(options.remembered_ids),
        }
    }

    /// What to do on a new connection, which has the filter in its address, if there is one and it fits.
    pub(super) fn open(&mut self, address: Address) -> Vec<Step> {
        self.cursor = self.place().map(str::to_owned);
        self.gap = None;
        self.phase = Phase::Opening;
        self.looks_left = LOOKS;
        (self.subscribing, self.has_to_resume) = (None, false);
        self.is_muted = address == Address::WithoutFilter;
        if self.data || self.is_muted {
            return vec![self.subscribe()];
        }
        let mut steps = self.announce_filter();
        steps.push(self.resume());
        steps
    }

    pub(super) fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Replaces the filter. Messages are served side by side, so there is never more than one subscription under way.
    pub(super) fn set_filter(&mut self, filter: &str) -> Vec<Step> {
        self.filter = Some(filter.to_owned());
        self.is_filter_new = true;
        match self.subscribing {
            None => vec![self.subscribe()],
            Some(_) => vec![],
        }
    }

    fn subscribe(&mut self) -> Step {
        self.subscribing = Some(self.filter.clone());
        let filter = self.filter.as_deref().unwrap_or_default();
        Step::Send(json!({"action": "subscribe", "filter": filter, "data": self.data}).to_string())
    }

    /// A resume that was sent together with the subscription might overtake it, and one that runs already does not know
    /// of it.
    fn subscribed(&mut self) -> Vec<Step> {
        let Some(asked) = self.subscribing.take() else {
            return vec![];
        };
        if asked != self.filter {
            return vec![self.subscribe()];
        }
        self.has_to_resume = true;
        match self.phase {
            Phase::Replaying => vec![],
            Phase::Opening | Phase::Looking | Phase::Live => self.start_again(),
        }
    }

    /// Resumes with all its looks: after something was missed, or by another filter.
    fn start_again(&mut self) -> Vec<Step> {
        self.cursor = self.place().map(str::to_owned);
        self.gap = None;
        self.looks_left = LOOKS;
        self.has_restarted = true;
        let mut steps = vec![];
        if std::mem::take(&mut self.has_to_resume) {
            steps.extend(self.announce_filter());
        }
        steps.push(self.resume());
        steps
    }

    fn announce_filter(&mut self) -> Vec<Step> {
        if !std::mem::take(&mut self.is_filter_new) {
            return vec![];
        }
        vec![Step::Tell(FeedItem::Filtered {
            filter: self.filter.clone().unwrap_or_default(),
            from: self.cursor.clone(),
        })]
    }

    /// Asks for everything after the cursor.
    fn resume(&mut self) -> Step {
        self.phase = Phase::Replaying;
        let resume = match &self.cursor {
            Some(cursor) => json!({"action": "resume", "cursor": cursor}),
            // At least one is asked for: the answer's cursor is what a later resume starts from.
            None => json!({"action": "resume", "last": self.last.max(1)}),
        };
        Step::Send(resume.to_string())
    }

    /// Looks once more for what the resume before could not find yet, or brought too early.
    pub(super) fn look(&mut self) -> Step {
        self.is_muted = false;
        self.looks_left = self.looks_left.saturating_sub(1);
        self.resume()
    }

    pub(super) fn ping() -> Step {
        Step::Send(json!({"action": "ping"}).to_string())
    }

    /// Whether all looks have to be done anew since this was last asked.
    pub(super) fn take_restart(&mut self) -> bool {
        std::mem::take(&mut self.has_restarted)
    }

    /// Whether no resume is running.
    pub(super) fn may_look(&self) -> bool {
        matches!(self.phase, Phase::Looking | Phase::Live)
    }

    /// Whether an answer other than to a ping is awaited.
    pub(super) fn is_waiting(&self) -> bool {
        !self.may_look() || self.subscribing.is_some()
    }

    /// Whether the last message was one that we wait for: a replay may stop while live messages come.
    pub(super) fn has_progressed(&self) -> bool {
        !self.is_waiting() || self.has_progressed
    }

    /// Where a later feed may go on without missing anything.
    pub(super) fn place(&self) -> Option<&str> {
        let gap = self.gap.as_deref();
        match self.cursor.as_deref() {
            // Something before it is missing.
            Some(cursor) => Some(gap.map_or(cursor, |gap| gap.min(cursor))),
            None => gap,
        }
    }

    /// Takes a text message of the server.
    pub(super) fn receive(&mut self, text: &str) -> Vec<Step> {
        let Ok(message) = serde_json::from_str::<Message<'_>>(text) else {
            return self.receive_foreign(text);
        };
        self.has_progressed = match message.kind.as_str() {
            "events" => message.replay,
            "pong" => false,
            _ => true,
        };
        match message.kind.as_str() {
            "events" => self.events(&message),
            "live" => self.live(&message),
            "continue" => self.go_on(message.cursor),
            "gap" => self.gap(message.cursor),
            "subscribed" => self.subscribed(),
            "error" => self.error(message),
            // `pong`, `unsubscribed`, and what a newer server may say.
            _ => vec![],
        }
    }

    fn receive_foreign(&self, text: &str) -> Vec<Step> {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        // API Gateway's own messages have no `type`; they say that the request was not handled.
        match value.get("message").and_then(Value::as_str) {
            Some(message) => vec![Step::Reconnect(message.to_owned())],
            None => vec![Step::Reconnect(
                "the server sent something that is not a message".to_owned(),
            )],
        }
    }

    fn events(&mut self, message: &Message<'_>) -> Vec<Step> {
        if self.is_muted && !message.replay {
            return vec![];
        }
        let mut steps = Vec::with_capacity(message.events.len());
        for event in &message.events {
            let Ok(key) = serde_json::from_str::<EventKey>(event.get()) else {
                continue;
            };
            let is_new = self.seen.insert(&key.id);
            let cursor = key
                .cursor
                .or_else(|| message.cursor.clone())
                .unwrap_or_default();
            let is_before = message.replay && self.beginning.is_after(&cursor);
            if is_new && !is_before {
                let text = event.get().to_owned();
                steps.push(Step::Tell(FeedItem::Event {
                    id: key.id,
                    cursor,
                    replay: message.replay,
                    text,
                }));
            }
        }
        self.has_lost_its_place |= message.replay && message.recovered == Some(false);
        // A live message may be ahead of what is still to be replayed, or to be found.
        if message.replay || self.phase == Phase::Live {
            self.advance(message.cursor.as_deref());
        }
        steps
    }

    fn live(&mut self, message: &Message<'_>) -> Vec<Step> {
        self.advance(message.cursor.as_deref());
        self.phase = match self.looks_left {
            0 => Phase::Live,
            _ => Phase::Looking,
        };
        self.beginning.fix();
        let recovered =
            message.recovered.unwrap_or(true) && !std::mem::take(&mut self.has_lost_its_place);
        let mut steps = vec![Step::Tell(FeedItem::Live { recovered })];
        if self.gap.is_some() || self.has_to_resume {
            steps.extend(self.start_again());
        }
        steps
    }

    /// The place where a long replay goes on is given back as it came. It is not kept: it may lie before our cursor,
    /// and it is only good for going on now.
    fn go_on(&mut self, cursor: Option<String>) -> Vec<Step> {
        self.phase = Phase::Replaying;
        vec![match cursor {
            Some(cursor) => Step::Send(json!({"action": "resume", "cursor": cursor}).to_string()),
            None => self.resume(),
        }]
    }

    /// Something was not sent to us: the place to resume from may lie before our cursor, also for a later connection.
    fn gap(&mut self, from: Option<String>) -> Vec<Step> {
        self.gap = [self.gap.take(), from].into_iter().flatten().min();
        match self.phase {
            Phase::Looking | Phase::Live => self.start_again(),
            // The end of the running replay would take the cursor forward again.
            Phase::Opening | Phase::Replaying => vec![],
        }
    }

    fn error(&mut self, message: Message<'_>) -> Vec<Step> {
        let code = message.code.unwrap_or_default();
        let text = message.message.unwrap_or_default();
        match code.as_str() {
            "bad_cursor" if self.cursor.is_some() => {
                // The cursor of another stack: what it stood for cannot be found, so begin anew.
                self.cursor = None;
                self.has_lost_its_place = true;
                vec![self.resume()]
            }
            "bad_filter" => vec![Step::Fail(FeedError::Filter { message: text })],
            "internal" => vec![Step::Reconnect(format!("the server failed: {text}"))],
            _ => vec![Step::Fail(FeedError::Rejected {
                code,
                message: text,
            })],
        }
    }

    /// Cursors sort in the order of the feed.
    fn advance(&mut self, cursor: Option<&str>) {
        if let Some(cursor) = cursor
            && self.cursor.as_deref().is_none_or(|own| own < cursor)
        {
            self.cursor = Some(cursor.to_owned());
        }
    }
}

/// Where a feed begins that was asked for the last few events. A later resume reads further back than its cursor,
/// and finds events that were not asked for.
#[derive(Debug)]
enum Beginning {
    /// Wherever the replay begins: fewer events than were asked for were there, or it began with a cursor.
    Open,
    /// No stored events were asked for, and the first replay is running, whose last event is the newest before all
    /// that is to come.
    Newest(Option<String>),
    /// Behind this cursor.
    After(String),
    /// The first replay is running.
    Counting {
        wanted: u32,
        told: u32,
        earliest: Option<String>,
    },
    /// At this cursor.
    At(String),
}

impl Beginning {
    fn new(options: &FeedOptions) -> Self {
        if options.cursor.is_some() {
            return Self::Open;
        }
        if options.last == 0 {
            return Self::Newest(None);
        }
        Self::Counting {
            wanted: options.last.min(MAX_LAST),
            told: 0,
            earliest: None,
        }
    }

    /// Takes note of a replayed event, and says whether it lies before the beginning.
    fn is_after(&mut self, cursor: &str) -> bool {
        match self {
            Self::Open => false,
            Self::Newest(newest) => {
                if newest.as_deref().is_none_or(|newest| newest < cursor) {
                    *newest = Some(cursor.to_owned());
                }
                true
            }
            Self::After(beginning) => cursor <= beginning.as_str(),
            Self::At(beginning) => cursor < beginning.as_str(),
            Self::Counting { told, earliest, .. } => {
                *told += 1;
                if earliest.as_deref().is_none_or(|earliest| cursor < earliest) {
                    *earliest = Some(cursor.to_owned());
                }
                false
            }
        }
    }

    /// The first replay is over.
    fn fix(&mut self) {
        *self = match self {
            Self::Counting {
                wanted,
                told,
                earliest,
            } => match earliest.take() {
                Some(earliest) if told >= wanted => Self::At(earliest),
                _ => Self::Open,
            },
            Self::Newest(newest) => newest.take().map_or(Self::Open, Self::After),
            Self::Open | Self::At(_) | Self::After(_) => return,
        };
    }
}

/// The ids told last.
#[derive(Debug)]
struct Seen {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    capacity: usize,
}

impl Seen {
    fn new(capacity: usize) -> Self {
        Self {
            ids: HashSet::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// Whether the id is new.
    fn insert(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return false;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.ids.insert(id)
    }
}

#[cfg(test)]
mod tests;
