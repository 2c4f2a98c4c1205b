//! What is told of an endpoint, as an event: once an hour at most, with how often it happened; that it
//! was disabled, each time.

use serde::{Deserialize, Serialize};

use crate::time::{HOUR_MS, Millis};

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The breaker has opened.
    Failing,
    /// The breaker has closed again.
    Recovered,
    /// The endpoint was disabled.
    Disabled,
    /// A delivery was given up.
    Exhausted,
}

impl NoticeKind {
    /// Every kind that there is.
    pub const ALL: [NoticeKind; 4] = [
        NoticeKind::Failing,
        NoticeKind::Recovered,
        NoticeKind::Disabled,
        NoticeKind::Exhausted,
    ];

    /// The type of the event that tells it.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            NoticeKind::Failing => "endpoint.failing",
            NoticeKind::Recovered => "endpoint.recovered",
            NoticeKind::Disabled => "endpoint.disabled",
            NoticeKind::Exhausted => "delivery.exhausted",
        }
    }

    /// What that event means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            NoticeKind::Failing => "An endpoint keeps failing; its circuit breaker is open.",
            NoticeKind::Recovered => "A failing endpoint has recovered.",
            NoticeKind::Disabled => {
                "An endpoint was disabled: it answered 410, or failed for five days."
            }
            NoticeKind::Exhausted => "The last attempt of a delivery failed.",
        }
    }
}

/// Something that is to be told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// How often it happened since it was told last, this time included.
    pub count: u32,
    /// When.
    pub at: Millis,
}

/// When something was told last, and how often it has happened since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    kind: NoticeKind,
    hour: u64,
    held: u32,
}

impl Told {
    /// Counts that it happened; how often, if that is to be told now.
    pub(super) fn count(all: &mut Vec<Told>, kind: NoticeKind, now: Millis) -> Option<u32> {
        let hour = now.0 / HOUR_MS;
        let Some(told) = all.iter_mut().find(|told| told.kind == kind) else {
            all.push(Told {
                kind,
                hour,
                held: 0,
            });
            return Some(1);
        };
        told.held = told.held.saturating_add(1);
        if hour <= told.hour {
            return None;
        }
        told.hour = hour;
        Some(std::mem::take(&mut told.held))
    }

    /// Something was not told after all: the next time tells it, with how often it happened until
    /// then.
    pub(super) fn put_back(all: &mut [Told], kind: NoticeKind, count: u32) {
        if let Some(told) = all.iter_mut().find(|told| told.kind == kind) {
            told.hour = 0;
            told.held = told.held.saturating_add(count);
        }
    }
}
