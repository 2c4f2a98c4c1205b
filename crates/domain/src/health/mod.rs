//! How an endpoint fares: whether to send there now, how much at once, and what to tell of it.
//!
//! A pure state machine. The store keeps one state per endpoint and replaces it only by one that
//! was made from it, so that any number of functions share it.

mod event;
mod notice;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use notice::{Notice, NoticeKind};

use crate::cursor::CLOCK_SKEW_MS;
use crate::endpoint::DisabledReason;
use crate::retry::DISABLED_AFTER_MS;
use crate::time::{DAY_MS, Millis, TimeScale};

use notice::Told;

/// After how many failures in a row the breaker opens.
pub const OPENS_AFTER: u32 = 10;
/// For how long it opens first; each time that a probe fails, for twice as long.
const OPEN_MS: u64 = 30_000;
const MAX_OPEN_MS: u64 = 5 * 60 * 1_000;
/// After how long without an attempt a failure begins such a time anew: one failure a week does not
/// say that it fails all the time. Longer than any weekend, and than twice the longest step of the
/// schedule `standard`, which `Retry-After` can ask for.
const FORGOTTEN_AFTER_MS: u64 = 4 * DAY_MS;
/// The least of it where time passes faster: on AWS `requeue` comes once a minute all the same.
const LEAST_FORGOTTEN_AFTER_MS: u64 = 10 * 60 * 1_000;
/// How long an endpoint that was seen to be slow is held to a few attempts at once.
const STRAINED_MS: u64 = 60_000;
/// How many attempts at once a strained endpoint gets, over all environments.
pub const STRAINED_ATTEMPTS: usize = 4;
/// How long a permit holds that nobody gives back: twice as long as an attempt takes at most.
pub const PERMIT_MS: u64 = 30_000;

/// What is known of how an endpoint fares. The default is that of a new one.
///
/// Its JSON is what is stored: a field that is added later must have a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Failures since the last success.
    failures: u32,
    /// The first of them behind the last long pause.
    failing_since: Option<u64>,
    /// The last of them.
    failed_at: Option<u64>,
    /// Until when the breaker is open; half-open from then on. None when it is closed.
    open_until: Option<u64>,
    /// How often it has opened in a row.
    opened: u32,
    /// Until when the endpoint is taken to be slow.
    strained_until: Option<u64>,
    permits: Vec<Permit>,
    /// The number of the last permit.
    last_permit: u64,
    told: Vec<Told>,
}

/// One attempt that may be under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Permit {
    number: u64,
    until: u64,
}

/// In one word, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// The last attempt succeeded, or there was none.
    Ok,
    /// The last attempt failed.
    Failing,
    /// Nothing is sent until then.
    Open {
        /// When a probe is sent.
        until: Millis,
    },
    /// One attempt at a time is made, to see whether it succeeds again.
    HalfOpen,
    /// It is slow, and gets a few attempts at once.
    Strained,
}

impl HealthState {
    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HealthState::Ok => "ok",
            HealthState::Failing => "failing",
            HealthState::Open { .. } => "open",
            HealthState::HalfOpen => "half_open",
            HealthState::Strained => "strained",
        }
    }
}

/// Which of the attempts that are wanted may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// All of them.
    All,
    /// As many as there are permits, each of which is given back with the attempt's outcome.
    Some {
        /// May be none.
        permits: Vec<u64>,
        /// What the other attempts do.
        others: Wait,
    },
}

/// What an attempt does that may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It is put off until then, by its row.
    Until(Millis),
    /// It asks again soon, by another message.
    Soon,
}

/// What came of an attempt, as far as the endpoint's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How it went.
    pub outcome: Outcome,
    /// Whether it was of an event of ours (source `posthorn`), whose failures are not told: telling
    /// of them could go on for ever.
    pub is_own: bool,
    /// The permit under which it was made.
    pub permit: Option<u64>,
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint took it.
    Success,
    /// It did not.
    Failure {
        /// Whether it was the last attempt of its delivery.
        is_last: bool,
    },
    /// It wants nothing any more (410).
    Gone,
    /// It was not made after all; its permit is given back.
    NotMade,
}

/// A state and what follows from how it was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The new state.
    pub health: Health,
    /// What is to be told.
    pub notices: Vec<Notice>,
    /// Whether the endpoint is to be disabled, and why.
    pub disable: Option<DisabledReason>,
    /// Whether everybody has to know at once.
    pub is_urgent: bool,
}

impl Health {
    /// That of an endpoint whose past is forgotten at `now`: as good as new, but its permits have
    /// other numbers than those that may be given back still.
    #[must_use]
    pub fn forgotten(now: Millis) -> Health {
        Health {
            last_permit: now.0,
            ..Health::default()
        }
    }

    /// In one word.
    #[must_use]
    pub fn state(&self, now: Millis) -> HealthState {
        match self.open_until {
            Some(until) if is_ahead(until, MAX_OPEN_MS, now) => HealthState::Open {
                until: Millis(until),
            },
            Some(_) => HealthState::HalfOpen,
            None if self.failures > 0 => HealthState::Failing,
            None if self.is_strained(now) => HealthState::Strained,
            None => HealthState::Ok,
        }
    }

    /// Failures since the last success.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.failures
    }

    /// The first of them, behind the last pause of four days in which nothing was tried.
    #[must_use]
    pub fn failing_since(&self) -> Option<Millis> {
        self.failing_since.map(Millis)
    }

    /// The last of them.
    #[must_use]
    pub fn failed_at(&self) -> Option<Millis> {
        self.failed_at.map(Millis)
    }

    /// Whether a success changes nothing, so that nobody has to note it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures == 0 && self.open_until.is_none()
    }

    /// Whether this permit was given and not given back, expired or not.
    #[must_use]
    pub fn has_permit(&self, number: u64) -> bool {
        self.permits.iter().any(|permit| permit.number == number)
    }

    fn is_strained(&self, now: Millis) -> bool {
        self.strained_until
            .is_some_and(|until| is_ahead(until, STRAINED_MS, now))
    }

    /// How many attempts may be made at once now; none when there is no bound. For `requeue`, which
    /// need not send more than a few times as many.
    #[must_use]
    pub fn capacity(&self, now: Millis) -> Option<usize> {
        match self.open_until {
            Some(until) if is_ahead(until, MAX_OPEN_MS, now) => Some(0),
            Some(_) => Some(1),
            None => self.is_strained(now).then_some(STRAINED_ATTEMPTS),
        }
    }

    /// Lets as many of the attempts that are `wanted` begin as may. The state is changed only if
    /// there is a new one.
    #[must_use]
    pub fn admit(
        &self,
        wanted: usize,
        now: Millis,
        scale: TimeScale,
    ) -> (Option<Health>, Admission) {
        let Some(capacity) = self.capacity(now) else {
            return (None, Admission::All);
        };
        let others = match self.open_until {
            Some(until) if is_ahead(until, MAX_OPEN_MS, now) => Wait::Until(Millis(until)),
            Some(_) => Wait::Until(now.plus(scale.shorten(OPEN_MS))),
            None => Wait::Soon,
        };
        let mut health = self.clone();
        health
            .permits
            .retain(|permit| is_ahead(permit.until, PERMIT_MS, now));
        let free = capacity.saturating_sub(health.permits.len());
        let mut permits = Vec::new();
        for _ in 0..free.min(wanted) {
            health.last_permit += 1;
            health.permits.push(Permit {
                number: health.last_permit,
                until: now.plus(PERMIT_MS).0,
            });
            permits.push(health.last_permit);
        }
        let is_changed = !permits.is_empty();
        (
            is_changed.then_some(health),
            Admission::Some { permits, others },
        )
    }

    /// An attempt has been under way for long: for a while only a few are made at once. The state
    /// is changed only if there is a new one; then everybody has to know if it was not so before.
    #[must_use]
    pub fn strain(&self, now: Millis) -> Option<Transition> {
        let is_known = self.is_strained(now.plus(STRAINED_MS / 2));
        (!is_known).then(|| Transition {
            health: Health {
                strained_until: Some(now.plus(STRAINED_MS).0),
                ..self.clone()
            },
            notices: Vec::new(),
            disable: None,
            is_urgent: !self.is_strained(now),
        })
    }

    /// What follows from attempts that ended, in their order. The state is changed only if there is
    /// a new one.
    #[must_use]
    pub fn after(&self, reports: &[Report], now: Millis, scale: TimeScale) -> Option<Transition> {
        let mut turn = Transition {
            health: self.clone(),
            notices: Vec::new(),
            disable: None,
            is_urgent: false,
        };
        for report in reports {
            turn.report(report, now, scale);
        }
        (turn.health != *self || turn.disable.is_some()).then_some(turn)
    }
}

/// Whether a time is still to come that is set `longest_ms` ahead at most. One that lies further ahead
/// was set by a clock that was ahead, or before ours was set back, and holds no more.
fn is_ahead(until: u64, longest_ms: u64, now: Millis) -> bool {
    now.0 < until && until <= now.plus(longest_ms + CLOCK_SKEW_MS).0
}

impl Transition {
    /// The same, if nothing of it could be told: that follows from the next attempts, and nothing is
    /// disabled before it is told.
    #[must_use]
    pub fn untold(mut self, before: &Health) -> Transition {
        self.disable = None;
        for notice in std::mem::take(&mut self.notices) {
            let told = &mut self.health.told;
            match notice.kind {
                NoticeKind::Failing | NoticeKind::Exhausted => {
                    Told::put_back(told, notice.kind, notice.count);
                }
                // It stays half-open: the next success closes it, and is told.
                NoticeKind::Recovered => {
                    Told::put_back(told, notice.kind, notice.count - 1);
                    self.health.open_until = before.open_until;
                    self.health.opened = before.opened;
                }
                // The next failure disables it, and is told.
                NoticeKind::Disabled => {}
            }
        }
        self
    }

    fn report(&mut self, report: &Report, now: Millis, scale: TimeScale) {
        let number = report.permit;
        self.health
            .permits
            .retain(|permit| Some(permit.number) != number);
        match report.outcome {
            Outcome::NotMade => {}
            Outcome::Success => self.success(now),
            Outcome::Failure { is_last } => {
                self.failure(report.is_own, now, scale);
                if is_last && !report.is_own {
                    self.tell(NoticeKind::Exhausted, now);
                }
            }
            Outcome::Gone => {
                self.count_failure(now, scale);
                self.disable(DisabledReason::Gone, now);
            }
        }
    }

    fn success(&mut self, now: Millis) {
        if self.health.open_until.is_some() {
            self.is_urgent = true;
            self.tell(NoticeKind::Recovered, now);
        }
        let health = &mut self.health;
        health.failures = 0;
        health.failing_since = None;
        health.failed_at = None;
        health.open_until = None;
        health.opened = 0;
    }

    fn count_failure(&mut self, now: Millis, scale: TimeScale) {
        let health = &mut self.health;
        let forgotten_after = scale
            .shorten(FORGOTTEN_AFTER_MS)
            .max(LEAST_FORGOTTEN_AFTER_MS);
        let is_forgotten = |at: u64| now.0.saturating_sub(at) > forgotten_after;
        if health.failed_at.is_some_and(is_forgotten) {
            health.failing_since = None;
        }
        health.failures = health.failures.saturating_add(1);
        health.failing_since.get_or_insert(now.0);
        health.failed_at = health.failed_at.max(Some(now.0));
    }

    fn failure(&mut self, is_own: bool, now: Millis, scale: TimeScale) {
        self.count_failure(now, scale);
        let opens = match self.health.open_until {
            // Of an attempt that began before it opened.
            Some(until) if is_ahead(until, MAX_OPEN_MS, now) => false,
            Some(_) => true,
            None => self.health.failures >= OPENS_AFTER,
        };
        if opens {
            let health = &mut self.health;
            let longer = OPEN_MS << health.opened.min(10);
            let open_ms = scale.shorten(longer.min(MAX_OPEN_MS));
            health.open_until = Some(now.plus(open_ms).0);
            health.opened = health.opened.saturating_add(1);
            self.is_urgent = true;
            if !is_own {
                self.tell(NoticeKind::Failing, now);
            }
        }
        let since = self.health.failing_since.unwrap_or(now.0);
        if now.0.saturating_sub(since) >= scale.shorten(DISABLED_AFTER_MS) {
            self.disable(DisabledReason::Failing, now);
        }
    }

    fn disable(&mut self, reason: DisabledReason, now: Millis) {
        if self.disable.is_none() {
            self.tell(NoticeKind::Disabled, now);
            self.disable = Some(reason);
        }
    }

    /// Tells it, unless it was told within this hour: then it is counted. That an endpoint was
    /// disabled is told each time.
    fn tell(&mut self, kind: NoticeKind, now: Millis) {
        let count = match kind {
            NoticeKind::Disabled => Some(1),
            _ => Told::count(&mut self.health.told, kind, now),
        };
        self.notices.extend(count.map(|count| Notice {
            kind,
            count,
            at: now,
        }));
    }
}
