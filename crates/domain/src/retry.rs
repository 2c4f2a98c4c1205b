//! When a failed attempt is repeated, and when not.

use std::time::UNIX_EPOCH;

use crate::delivery::ErrorClass;
use crate::time::{DAY_MS, Millis, TimeScale};

/// The most steps of a schedule.
pub const MAX_STEPS: usize = 20;
/// The shortest and the longest step, in seconds: 7 days.
pub const STEP_SECONDS: std::ops::RangeInclusive<u32> = 1..=7 * 24 * 60 * 60;
/// What is waited for at least after a timeout, or when an endpoint says that it gets too much.
const FLOOR_MS: u64 = 60_000;
/// How far jitter goes, either way.
const JITTER: f64 = 0.2;
/// After how long of nothing but failure an endpoint is disabled: 5 days.
pub(crate) const DISABLED_AFTER_MS: u64 = 5 * DAY_MS;

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
    #[error("at most {MAX_STEPS} steps are allowed")]
    TooLong,
    /// A step is not within [`STEP_SECONDS`].
    #[error("a step must be 1 second to 7 days")]
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
    /// twice as long, while its endpoint fails until it is disabled, and two days in which what
    /// has waited for one that is back gets its turn.
    #[must_use]
    pub fn keep_ms(&self, retention_ms: u64) -> u64 {
        let seconds: u64 = self.0.iter().copied().map(u64::from).sum();
        retention_ms.max(2 * seconds * 1_000 + DISABLED_AFTER_MS + 2 * DAY_MS)
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
/// read.
///
/// It is a number of seconds or a date (RFC 9110, section 10.2.3); fractions are sent as well. A
/// date is the server's, so it counts from `date`, the answer's own `Date`, if that can be read:
/// clocks differ.
#[must_use]
pub fn retry_after_ms(text: &str, date: Option<&str>, now: Millis) -> Option<u64> {
    let text = text.trim();
    if let Some(ms) = seconds_ms(text) {
        return Some(ms);
    }
    let at = date_ms(text)?;
    let sent_at = date.and_then(|date| date_ms(date.trim())).unwrap_or(now);
    Some(at.0.saturating_sub(sent_at.0))
}

/// A number of seconds, in milliseconds, rounded up. More digits than a number has is longer than
/// any wait.
fn seconds_ms(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let thousandths = fraction.bytes().chain(*b"000").take(3);
    let ms = thousandths.fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0'));
    let is_more = fraction.bytes().skip(3).any(|digit| digit != b'0');
    let whole = whole.parse().unwrap_or(u64::MAX);
    Some(
        whole
            .saturating_mul(1_000)
            .saturating_add(ms + u64::from(is_more)),
    )
}

/// A date in any of the three forms of RFC 9110, section 5.6.7, or as mail and JSON have it, which
/// is sent too.
fn date_ms(text: &str) -> Option<Millis> {
    if let Ok(time) = httpdate::parse_http_date(text) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        return Some(Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)));
    }
    let mail = jiff::fmt::rfc2822::parse(text).map(|date| date.timestamp());
    let time: jiff::Timestamp = mail.or_else(|_| text.parse()).ok()?;
    Some(Millis(u64::try_from(time.as_millisecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVEN: f64 = 0.5;

    fn failed(number: u16) -> FailedAttempt {
        FailedAttempt {
            number,
            class: ErrorClass::Status,
            status: Some(500),
            retry_after_ms: None,
            once: false,
        }
    }

    fn wait(schedule: &RetrySchedule, attempt: &FailedAttempt, random: f64) -> Option<u64> {
        match next(schedule, attempt, Jitter::of(random), TimeScale::default()) {
            Next::Retry { wait_ms } => Some(wait_ms),
            Next::Delivered | Next::Failed(_) => None,
        }
    }

    fn default_wait(attempt: &FailedAttempt) -> Option<u64> {
        wait(&RetrySchedule::default(), attempt, EVEN)
    }

    #[test]
    fn the_steps_are_waited_for_one_after_the_other_and_then_it_is_given_up() {
        let waits: Vec<_> = (1..=6)
            .map(|number| default_wait(&failed(number)))
            .collect();
        let seconds = [10, 30, 60, 300, 900].map(|seconds| Some(seconds * 1_000));
        assert_eq!(waits, [&seconds[..], &[None]].concat());
        let given_up = next(
            &RetrySchedule::default(),
            &failed(6),
            Jitter::of(EVEN),
            TimeScale::default(),
        );
        assert_eq!(given_up, Next::Failed(GivenUp::Exhausted));
        let standard = RetrySchedule::named("standard").unwrap();
        let hours = |number| wait(&standard, &failed(number), EVEN).map(|ms| ms / 3_600_000);
        assert_eq!((hours(4), hours(9), hours(10)), (Some(2), Some(24), None));
        let none = RetrySchedule::new(Vec::new()).unwrap();
        assert_eq!(wait(&none, &failed(1), EVEN), None);
    }

    #[test]
    fn an_attempt_that_is_to_be_the_only_one_is_not_repeated() {
        let once = FailedAttempt {
            once: true,
            ..failed(2)
        };
        assert_eq!(default_wait(&once), None);
    }

    #[test]
    fn what_would_fail_again_is_not_repeated() {
        let becomes = |class, status| {
            let attempt = FailedAttempt {
                class,
                status,
                ..failed(1)
            };
            let schedule = RetrySchedule::default();
            next(&schedule, &attempt, Jitter::of(EVEN), TimeScale::default())
        };
        for (class, status, why) in [
            (ErrorClass::Status, Some(410), GivenUp::Gone),
            (ErrorClass::Blocked, None, GivenUp::Blocked),
            (ErrorClass::Missing, None, GivenUp::Missing),
        ] {
            assert_eq!(becomes(class, status), Next::Failed(why));
        }
        for status in [301, 308, 400, 404, 500] {
            let becomes = becomes(ErrorClass::Status, Some(status));
            assert_eq!(becomes, Next::Retry { wait_ms: 10_000 }, "{status}");
        }
    }

    #[test]
    fn who_gets_too_much_is_left_alone_for_a_minute() {
        let too_many = FailedAttempt {
            status: Some(429),
            ..failed(1)
        };
        let timeout = FailedAttempt {
            class: ErrorClass::Timeout,
            status: None,
            ..failed(1)
        };
        for attempt in [too_many, timeout] {
            assert_eq!(default_wait(&attempt), Some(60_000));
            let asked = FailedAttempt {
                retry_after_ms: Some(5_000),
                ..attempt
            };
            assert_eq!(default_wait(&asked), Some(60_000));
            let late = FailedAttempt {
                number: 4,
                ..attempt
            };
            assert_eq!(default_wait(&late), Some(300_000));
        }
    }

    #[test]
    fn retry_after_is_honoured_from_once_to_twice_the_step() {
        for (asked, waited) in [
            (0, 30_000),
            (40_000, 40_000),
            (61_000, 60_000),
            (u64::MAX, 60_000),
        ] {
            let attempt = FailedAttempt {
                retry_after_ms: Some(asked),
                ..failed(2)
            };
            assert_eq!(default_wait(&attempt), Some(waited), "{asked}");
        }
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = Millis(784_111_777_000 - 90_000);
        for (text, ms) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("\t007", Some(7_000)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("99999999999999999999999.5", Some(u64::MAX)),
            ("1.5", Some(1_500)),
            ("0.25 ", Some(250)),
            ("30.0", Some(30_000)),
            ("30.", Some(30_000)),
            ("1.0004", Some(1_001)),
            ("2.123456789", Some(2_124)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90_000)),
            ("  Sun, 06 Nov 1994 08:49:37 GMT ", Some(90_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90_000)),
            ("Sun Nov  6 08:49:37 1994", Some(90_000)),
            ("Sun, 06 Nov 1994 09:49:37 +0100", Some(90_000)),
            ("1994-11-06T08:49:37Z", Some(90_000)),
            ("1994-11-06T08:49:37.5+00:00", Some(90_500)),
            ("Sun, 06 Nov 1993 08:49:37 GMT", None),
            ("Sat, 06 Nov 1993 08:49:37 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(252_618_189_112_000)),
            ("", None),
            ("-1", None),
            ("-1.5", None),
            ("+1", None),
            (".5", None),
            ("1.5.1", None),
            ("1e3", None),
            ("0x10", None),
            ("120 seconds", None),
            ("٣", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after_ms(text, None, now), ms, "{text}");
        }
    }

    #[test]
    fn a_date_in_retry_after_counts_from_the_answers_own_date() {
        let now = Millis(784_111_777_000);
        let wait = |date| retry_after_ms("Sun, 06 Nov 1994 08:51:07 GMT", date, now);
        assert_eq!(wait(None), Some(90_000));
        // A server whose clock is an hour slow or fast means the same wait.
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:49:37 GMT")), Some(90_000));
        assert_eq!(wait(Some("Sun Nov  6 08:51:07 1994")), Some(0));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 09:51:07 GMT")), Some(0));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 07:51:07 GMT")), Some(3_600_000));
        assert_eq!(wait(Some("today")), Some(90_000));
        assert_eq!(retry_after_ms("5", Some("today"), now), Some(5_000));
    }

    #[test]
    fn a_schedule_has_bounds() {
        assert!(RetrySchedule::new(vec![1; 20]).is_ok());
        assert_eq!(RetrySchedule::new(vec![1; 21]), Err(ScheduleError::TooLong));
        for step in [0, 604_801, u32::MAX] {
            assert_eq!(RetrySchedule::new(vec![step]), Err(ScheduleError::Step));
        }
        assert_eq!(
            RetrySchedule::named("default"),
            Some(RetrySchedule::default())
        );
        assert_eq!(RetrySchedule::named("other"), None);
    }

    #[test]
    fn time_may_pass_faster() {
        let at_speed = |factor| {
            let schedule = RetrySchedule::default();
            next(
                &schedule,
                &failed(3),
                Jitter::of(EVEN),
                TimeScale::new(factor),
            )
        };
        assert_eq!(at_speed(60), Next::Retry { wait_ms: 1_000 });
        assert_eq!(at_speed(0), at_speed(1));
        assert_eq!(TimeScale::new(60).shorten(1), 1);
        assert_eq!(TimeScale::new(60).shorten(0), 0);
    }

    fn any_schedule() -> impl Strategy<Value = RetrySchedule> {
        proptest::collection::vec(STEP_SECONDS, 0..=MAX_STEPS)
            .prop_map(|steps| RetrySchedule::new(steps).unwrap())
    }

    fn any_failure() -> impl Strategy<Value = FailedAttempt> {
        let class = prop_oneof![
            Just((ErrorClass::Timeout, None)),
            Just((ErrorClass::Dns, None)),
            Just((ErrorClass::Status, Some(429))),
            Just((ErrorClass::Status, Some(503))),
        ];
        (1..30u16, class, any::<Option<u64>>()).prop_map(
            |(number, (class, status), retry_after_ms)| FailedAttempt {
                number,
                class,
                status,
                retry_after_ms,
                once: false,
            },
        )
    }

    proptest! {
        #[test]
        fn a_wait_is_near_its_step(
            schedule in any_schedule(),
            attempt in any_failure(),
            random in 0.0..=1.0f64,
        ) {
            let step = schedule.steps().get(usize::from(attempt.number) - 1);
            let waited = wait(&schedule, &attempt, random);
            prop_assert_eq!(waited.is_some(), step.is_some());
            if let (Some(waited), Some(step)) = (waited, step) {
                let step = u64::from(*step) * 1_000;
                let needs_rest = attempt.class == ErrorClass::Timeout || attempt.status == Some(429);
                // A millisecond for rounding.
                let least = if attempt.retry_after_ms.is_some() { step } else { step * 8 / 10 - 1 };
                let most = if attempt.retry_after_ms.is_some() { 2 * step } else { step * 12 / 10 };
                let rest = if needs_rest { FLOOR_MS } else { 0 };
                prop_assert!(waited >= least.max(rest), "{waited} {least} {rest}");
                prop_assert!(waited <= most.max(rest * 12 / 10), "{waited} {most} {rest}");
            }
        }

        #[test]
        fn what_is_asked_for_is_not_undercut_within_bounds(
            asked in 30_000..=60_000u64,
            random in 0.0..=1.0f64,
        ) {
            let attempt = FailedAttempt { retry_after_ms: Some(asked), ..failed(2) };
            let waited = wait(&RetrySchedule::default(), &attempt, random).unwrap();
            prop_assert!(waited >= asked && waited <= 60_000);
        }

        #[test]
        fn a_row_is_kept_for_longer_than_its_schedule_takes(
            schedule in any_schedule(),
            asked in any::<Option<u64>>(),
            retention_ms in 0..1_000_000_000u64,
        ) {
            let attempts = 1..=schedule.steps().len();
            let longest: u64 = attempts.map(|number| {
                let number = u16::try_from(number).unwrap();
                let attempt = FailedAttempt { retry_after_ms: asked, class: ErrorClass::Timeout, ..failed(number) };
                wait(&schedule, &attempt, 1.0).unwrap()
            }).sum();
            let kept = schedule.keep_ms(retention_ms);
            prop_assert!(kept > longest && kept >= retention_ms);
        }

        #[test]
        fn reading_any_text_as_retry_after_never_panics(
            text in "(.*|[0-9.]{0,30})",
            date in proptest::option::of(".*"),
            now in any::<u64>(),
        ) {
            let _ = retry_after_ms(&text, date.as_deref(), Millis(now));
        }
    }
}
