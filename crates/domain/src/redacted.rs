//! A wrapper for what must never reach a log.

use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

/// Personal data or a secret: usable like the value itself, but `Debug` prints a placeholder.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> Deref for Redacted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        let shown = format!("{:?}", Some(Redacted("canary.recipient@example.com")));
        assert_eq!(shown, "Some([redacted])");
    }
}
