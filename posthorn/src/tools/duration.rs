//! Times on the command line.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// The longest that is of use; no sum of it with a time overflows.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// 500ms, 90s, 15m, 1h, 30d; not nothing, and not more than ten years.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let explain = || "write 500ms, 90s, 15m, 1h or 30d".to_owned();
    let span: Span = text.parse().map_err(|_| explain())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let positive = duration
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok());
    positive
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_is_not_nothing() {
        let millis = |text| duration(text).map(|duration| duration.as_millis()).ok();
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("90s"), Some(90_000));
        assert_eq!(millis("15m"), Some(900_000));
        assert_eq!(millis("1h"), Some(3_600_000));
        assert_eq!(millis("30d"), Some(30 * 86_400_000));
        for wrong in [
            "",
            "1",
            "h",
            "-1h",
            "0s",
            "soon",
            "1mo",
            "4000d",
            "99999999h",
        ] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
