//! Configuration by name, from wherever the caller looks it up: the process's environment in
//! Lambda, the template's variables in the local stack, a map in a test.

use std::fmt::Display;
use std::str::FromStr;

/// Finds the value of a variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable that is missing or cannot be used. The text never shows its value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the variable {0} is not set")]
    Missing(String),
    /// Set to something that cannot be used.
    #[error("the variable {name} cannot be used: {reason}")]
    Invalid {
        /// The variable.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Looks up a variable of this process.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable that may be absent; an empty one counts as absent.
#[must_use]
pub fn optional(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).filter(|value| !value.is_empty())
}

/// A variable that has to be set.
///
/// # Errors
/// When it is absent or empty.
pub fn required(lookup: Lookup<'_>, name: &str) -> Result<String, ConfigError> {
    optional(lookup, name).ok_or_else(|| ConfigError::Missing(name.to_owned()))
}

/// A variable that has to be set to something that parses.
///
/// # Errors
/// When it is absent, empty, or does not parse.
pub fn required_parsed<T>(lookup: Lookup<'_>, name: &str) -> Result<T, ConfigError>
where
    T: FromStr<Err: Display>,
{
    required(lookup, name)?
        .parse()
        .map_err(|reason: T::Err| ConfigError::Invalid {
            name: name.to_owned(),
            reason: reason.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "NUMBER" => Some("8".into()),
            "WORD" => Some("eight".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn a_failure_names_the_variable_and_not_its_value() {
        assert_eq!(required_parsed::<u32>(&lookup, "NUMBER").unwrap(), 8);
        let invalid = required_parsed::<u32>(&lookup, "WORD")
            .unwrap_err()
            .to_string();
        assert!(
            invalid.contains("WORD") && !invalid.contains("eight"),
            "{invalid}"
        );
        for name in ["EMPTY", "ABSENT"] {
            assert_eq!(
                required(&lookup, name).unwrap_err().to_string(),
                format!("the variable {name} is not set")
            );
        }
    }
}
