//! When a failed attempt is repeated, and when not.

use std::num::NonZeroU32;

use crate::delivery::ErrorClass;
use crate::time::Millis;

/// The most steps of a schedule.
pub const MAX_STEPS: usize = 20;
/// The shortest and the longest step, in seconds: 7 days.
pub const STEP_SECONDS: std::ops::RangeInclusive<u32> = 1..=7 * 24 * 60 * 60;
/// What is waited for at least after a timeout, or when an endpoint says that it gets too much.
const FLOOR_MS: u64 = 60_000;
/// How far jitter goes, either way.
const JITTER: f64 = 0.2;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

const DEFAULT: [u32; 5] = [10, 30, 60, 5 * 60, 15 * 60];
/// The example schedule of Standard Webhooks.
const STANDARD: [u32; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * 60 * 60,
    5 * 60 * 60,
    10 * 60 * 60,
    14 * 60 * 60,
    20 * 60 * 60,
    24 * 60 * 60,
];

/// How long to wait after each failed attempt, in seconds. One more attempt than steps is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Vec<u32>);

/// Why a schedule is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It has more than [`MAX_STEPS`].
    #[error("a retry schedule has {MAX_STEPS} steps at most")]
    TooLong,
    /// A step is not within [`STEP_SECONDS`].
    #[error("a step of a retry schedule has 1 second to 7 days")]
    Step,
}

impl Default for RetrySchedule {
    fn default() -> RetrySchedule {
        RetrySchedule(DEFAULT.to_vec())
    }
}

impl RetrySchedule {
    /// These steps, in seconds. None means a single attempt.
    ///
    /// # Errors
    /// When there are too many, or one is too short or too long.
    pub fn new(steps: Vec<u32>) -> Result<RetrySchedule, ScheduleError> {
        if steps.len() > MAX_STEPS {
            return Err(ScheduleError::TooLong);
        }
        if !steps.iter().all(|step| STEP_SECONDS.contains(step)) {
            return Err(ScheduleError::Step);
        }
        Ok(RetrySchedule(steps))
    }

    /// The schedule of this name: `default` or `standard`.
    #[must_use]
    pub fn named(name: &str) -> Option<RetrySchedule> {
        match name {
            "default" => Some(RetrySchedule::default()),
            "standard" => Some(RetrySchedule(STANDARD.to_vec())),
            _ => None,
        }
    }

    /// The steps, in seconds.
    #[must_use]
    pub fn steps(&self) -> &[u32] {
        &self.0
    }

    /// How long a delivery's row is kept from its last change on, in milliseconds: as long as its
    /// attempts are (`retention_ms`), and as long as it may take by the schedule, with each step
    /// twice as long and a day to spare.
    #[must_use]
    pub fn keep_ms(&self, retention_ms: u64) -> u64 {
        let seconds: u64 = self.0.iter().copied().map(u64::from).sum();
        retention_ms.max(2 * seconds * 1_000 + DAY_MS)
    }
}

/// How much faster than usual time passes, to try schedules out: everything that is waited for is
/// that much shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeScale(NonZeroU32);

impl Default for TimeScale {
    fn default() -> TimeScale {
        TimeScale(NonZeroU32::MIN)
    }
}

impl TimeScale {
    /// So many times as fast; 0 is as good as 1.
    #[must_use]
    pub fn new(factor: u32) -> TimeScale {
        TimeScale(NonZeroU32::new(factor).unwrap_or(NonZeroU32::MIN))
    }

    /// What is left of a wait of `ms`: never nothing.
    #[must_use]
    pub fn shorten(self, ms: u64) -> u64 {
        ms.div_ceil(u64::from(self.0.get()))
    }
}

/// By how much a wait is made longer or shorter, so that what failed together does not come back
/// together: 0.8 to 1.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// From a random number from 0 to 1.
    #[must_use]
    pub fn of(random: f64) -> Jitter {
        Jitter(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "waits are days at most, and a millisecond more or less does not matter"
    )]
    fn stretch(self, ms: u64) -> u64 {
        (ms as f64 * self.0) as u64
    }

    fn longer_only(self) -> Jitter {
        Jitter(self.0.max(1.0))
    }
}

/// What is known of an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Its number, from 1.
    pub number: u16,
    /// How it failed.
    pub class: ErrorClass,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    /// What the answer asked to wait for, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether it was to be the only one, whatever the schedule says.
    pub once: bool,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing more: it was taken.
    Delivered,
    /// Another attempt, that much later.
    Retry {
        /// In milliseconds.
        wait_ms: u64,
    },
    /// No more attempts.
    Failed(GivenUp),
}

/// Why no more attempts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// The schedule is at its end.
    Exhausted,
    /// The address is forbidden, and will be so again.
    Blocked,
    /// The endpoint wants nothing any more (410).
    Gone,
    /// The event is not kept any more.
    Missing,
}

/// What becomes of a delivery after a failed attempt.
///
/// The step that follows the attempt is waited for, with jitter; after a timeout or a 429, a minute
/// at least. What the endpoint asks for with `Retry-After` is waited for when it lies between the
/// step and twice the step, else whichever of these is nearer.
#[must_use]
pub fn next(
    schedule: &RetrySchedule,
    attempt: &FailedAttempt,
    jitter: Jitter,
    scale: TimeScale,
) -> Next {
    match (attempt.status, attempt.class) {
        (Some(410), _) => return Next::Failed(GivenUp::Gone),
        (_, ErrorClass::Blocked) => return Next::Failed(GivenUp::Blocked),
        (_, ErrorClass::Missing) => return Next::Failed(GivenUp::Missing),
        _ => {}
    }
    let at = usize::from(attempt.number.saturating_sub(1));
    let step = match schedule.steps().get(at) {
        Some(seconds) if !attempt.once => u64::from(*seconds) * 1_000,
        _ => return Next::Failed(GivenUp::Exhausted),
    };
    let wait_ms = match attempt.retry_after_ms {
        // Not sooner than it asks for, so jitter only makes it later.
        Some(asked) => jitter.longer_only().stretch(asked).clamp(step, 2 * step),
        None => jitter.stretch(step),
    };
    let needs_rest = attempt.status == Some(429) || attempt.class == ErrorClass::Timeout;
    let floor = if needs_rest {
        jitter.longer_only().stretch(FLOOR_MS)
    } else {
        0
    };
    Next::Retry {
        wait_ms: scale.shorten(wait_ms.max(floor)),
    }
}

/// How long a `Retry-After` asks to wait from `now` on, in milliseconds; none when it cannot be
/// read. It is a number of seconds or a date (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_after_ms(text: &str, now: Millis) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has is longer than any wait.
        return Some(
            text.parse()
                .map_or(u64::MAX, |secs: u64| secs.saturating_mul(1_000)),
        );
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let at = u64::try_from(date.timestamp().as_millisecond()).unwrap_or(0);
    Some(at.saturating_sub(now.0))
}
