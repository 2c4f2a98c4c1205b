//! Points in time, as whole milliseconds.

use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

/// An hour in milliseconds.
pub const HOUR_MS: u64 = 60 * 60 * 1_000;
/// A day in milliseconds.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Milliseconds since 1970-01-01T00:00:00Z. `Display` and JSON show RFC 3339 in UTC with exactly
/// as many fractional digits as are needed (none or three).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The largest point in time that can be shown: 9999-12-30T22:00:00.999Z (jiff's bound).
    pub const MAX: Millis = Millis(253_402_207_200_999);

    /// From whole seconds since 1970.
    #[must_use]
    pub fn from_secs(secs: u32) -> Millis {
        Millis(u64::from(secs) * 1_000)
    }

    /// Reads an RFC 3339 time, such as `2026-11-22T01:02:03.5+01:00`; none when it is not one. What
    /// is before 1970 or after [`Millis::MAX`] is taken for those, and digits after the third of a
    /// fraction are dropped.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Millis> {
        // jiff takes more forms than RFC 3339 has: a space for the `T`, seconds in an offset, …
        let (time, rest) = text.split_at_checked(19)?;
        let has_form = time.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte.eq_ignore_ascii_case(&b'T'),
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
        let offset = match rest.strip_prefix('.') {
            Some(fraction) => {
                let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
                // Nine digits are what jiff reads.
                let digits = fraction.len() - offset.len();
                (1..=9).contains(&digits).then_some(offset)?
            }
            None => rest,
        };
        let is_offset = match offset.as_bytes() {
            [b'Z' | b'z'] => true,
            [b'+' | b'-', h1, h2, b':', m1, m2] => {
                [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit())
            }
            _ => false,
        };
        if !has_form || !is_offset {
            return None;
        }
        let Ok(timestamp) = text.parse::<jiff::Timestamp>() else {
            // The last days that RFC 3339 can name lie behind jiff's bound.
            let is_far =
                text.starts_with("9999-12-3") && time.parse::<jiff::civil::DateTime>().is_ok();
            return is_far.then_some(Self::MAX);
        };
        let ms = timestamp.as_millisecond();
        Some(Millis(u64::try_from(ms).unwrap_or(0)).min(Self::MAX))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// This point in time, `ms` earlier, but not before 1970.
    #[must_use]
    pub fn minus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_sub(ms))
    }

    /// This point in time, `ms` later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// Days since 1970-01-01: the UTC day that this point lies in.
    #[must_use]
    pub fn day(self) -> Day {
        Day(self.0 / DAY_MS)
    }

    fn timestamp(self) -> jiff::Timestamp {
        let ms = i64::try_from(self.0.min(Self::MAX.0)).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX)
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

/// A moment by both clocks of a process, by which the age of a copy is told.
///
/// Neither clock does alone: the wall clock may be set at any time, and the monotonic clock may
/// stand still while Lambda freezes the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    wall: Millis,
    monotonic: Instant,
}

impl Moment {
    /// What both clocks say.
    #[must_use]
    pub fn new(wall: Millis, monotonic: Instant) -> Moment {
        Moment { wall, monotonic }
    }

    /// Whether less than `age` has passed since `earlier`, by both clocks. A wall clock that went
    /// backwards says nothing of the time that passed, so then it is not.
    #[must_use]
    pub fn is_within(self, age: Duration, earlier: Moment) -> bool {
        let wall = self.wall.0.checked_sub(earlier.wall.0);
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        wall.is_some_and(|ms| Duration::from_millis(ms) < age) && monotonic < age
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = self.timestamp();
        if self.0.is_multiple_of(1_000) {
            write!(f, "{timestamp}")
        } else {
            write!(f, "{timestamp:.3}")
        }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A UTC day, counted from 1970-01-01. `Display` shows `2026-11-22`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u64);

impl Day {
    /// The first millisecond of the day.
    #[must_use]
    pub fn start(self) -> Millis {
        Millis(self.0.saturating_mul(DAY_MS))
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Day {
        Day(self.0 + 1)
    }

    /// The day before, none before 1970.
    #[must_use]
    pub fn previous(self) -> Option<Day> {
        self.0.checked_sub(1).map(Day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.start().timestamp().to_string();
        f.write_str(text.get(..10).unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_old_when_either_clock_says_so_or_the_wall_clock_went_backwards() {
        let second = Duration::from_secs(1);
        let (wall, monotonic) = (Millis(1_795_300_000_000), Instant::now());
        let read = Moment::new(wall, monotonic);
        let is_fresh = |wall, after| Moment::new(wall, monotonic + after).is_within(second, read);
        assert!(is_fresh(wall, Duration::ZERO));
        assert!(is_fresh(wall.plus(999), Duration::from_millis(999)));
        for (wall, after) in [
            // Both.
            (wall.plus(1_000), second),
            // A process that was frozen.
            (wall.plus(3_600_000), Duration::ZERO),
            // A wall clock that was set, forwards and backwards.
            (wall.plus(1_000), Duration::from_millis(1)),
            (wall.minus(1), Duration::from_millis(1)),
            (wall.minus(3_600_000), Duration::from_millis(1)),
            (wall.minus(3_600_000), second * 3_600),
            // One that stands still.
            (wall, second),
        ] {
            assert!(!is_fresh(wall, after), "{wall} {after:?}");
        }
    }

    #[test]
    fn times_are_shown_as_rfc_3339_in_utc() {
        assert_eq!(
            Millis(1_795_300_002_000).to_string(),
            "2026-11-21T22:26:42Z"
        );
        assert_eq!(
            Millis(1_795_300_002_120).to_string(),
            "2026-11-21T22:26:42.120Z"
        );
        assert_eq!(Millis(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Millis(u64::MAX).to_string(), "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn an_rfc_3339_time_is_read_and_nothing_else() {
        let read = Millis::from_rfc3339;
        let at = Millis(1_795_300_002_120);
        for text in [
            "2026-11-21T22:26:42.12Z",
            "2026-11-21t22:26:42.120999999z",
            "2026-11-21T23:26:42.120+01:00",
            "2026-11-21T17:56:42.12-04:30",
        ] {
            assert_eq!(read(text), Some(at), "{text}");
        }
        assert_eq!(read(&at.to_string()), Some(at));
        assert_eq!(read("1969-12-31T23:59:59Z"), Some(Millis(0)));
        assert_eq!(read("0001-01-01T00:00:00Z"), Some(Millis(0)));
        assert_eq!(read("9999-12-31T23:59:59Z"), Some(Millis::MAX));
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T22:26:42",
            "2026-11-21 22:26:42Z",
            "2026-11-21T22:26Z",
            "2026-11-21T22:26:42.Z",
            "2026-11-21T22:26:42+01",
            "2026-11-21T22:26:42+0100",
            "2026-11-21T22:26:42Z[UTC]",
            "2026-13-21T22:26:42Z",
            "2026-11-21T22:26:42Zü",
            "１２３４５６７８９",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_is_named_by_its_utc_date() {
        assert_eq!(Millis(1_795_300_002_120).day().to_string(), "2026-11-21");
        let day = Millis(1_795_300_002_120).day();
        assert_eq!(day.next().to_string(), "2026-11-22");
        assert_eq!(
            day.previous().map(|d| d.to_string()).as_deref(),
            Some("2026-11-20")
        );
        assert!(day.start() <= Millis(1_795_300_002_120));
        assert!(day.next().start() > Millis(1_795_300_002_120));
    }
}
