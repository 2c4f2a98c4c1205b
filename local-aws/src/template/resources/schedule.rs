//! What invokes a function from time to time.

use serde_json::Value;

use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::properties::Properties;

/// A schedule of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The function's logical id.
    pub function: String,
    /// The schedule's physical name.
    pub name: String,
    /// Which service keeps it.
    pub service: Scheduler,
    /// The time from one invocation to the next.
    pub period_seconds: u64,
    /// The payload, if the template says it.
    pub input: Option<String>,
    /// Whether it runs at all.
    pub is_enabled: bool,
}

/// The two services that have schedules; their payloads differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// A rule of EventBridge (`Schedule`).
    Rule,
    /// EventBridge Scheduler (`ScheduleV2`).
    Scheduler,
}

impl Schedule {
    pub(super) fn read(
        source: &Source<'_>,
        event: &str,
        service: Scheduler,
        mut properties: Properties<'_>,
    ) -> Result<Self, TemplateError> {
        let expression = match service {
            Scheduler::Rule => "Schedule",
            Scheduler::Scheduler => "ScheduleExpression",
        };
        properties.ignore(&["Description"]);
        let text = properties.required_text(expression)?;
        let Some(period_seconds) = period_seconds(&text) else {
            let problem = format!("{text} is not rate(number unit), which is all that runs here");
            return Err(properties.invalid(expression, problem));
        };
        retry_policy(&mut properties)?;
        if let Some(mut window) = properties.map("FlexibleTimeWindow")? {
            window.word("Mode", &["OFF"])?;
            window.finish()?;
        }
        let schedule = Self {
            function: source.id.to_owned(),
            name: name(source, event, service, &mut properties)?,
            service,
            period_seconds,
            input: input(&mut properties)?,
            is_enabled: is_enabled(&mut properties)?,
        };
        properties.finish()?;
        Ok(schedule)
    }
}

/// The name of a schedule of EventBridge Scheduler is what SAM makes of the template alone, so that a
/// second stack cannot have it; with `OmitName`, CloudFormation gives it one of the stack's.
fn name(
    source: &Source<'_>,
    event: &str,
    service: Scheduler,
    properties: &mut Properties<'_>,
) -> Result<String, TemplateError> {
    let id = format!("{}{event}", source.id);
    let is_omitted = match service {
        Scheduler::Scheduler => properties.flag("OmitName")?.unwrap_or(false),
        Scheduler::Rule => false,
    };
    match properties.text("Name")? {
        Some(_) if is_omitted => Err(properties.invalid("Name", "cannot be set with OmitName")),
        Some(name) => Ok(name),
        None if is_omitted => Ok(source.name.replacen(source.id, &id, 1)),
        None => Ok(id),
    }
}

/// `rate(5 minutes)`; the unit's number is that of the value. ("Schedule types in EventBridge
/// Scheduler".)
fn period_seconds(expression: &str) -> Option<u64> {
    let inside = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = inside.split_once(' ')?;
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let seconds = match (unit, number) {
        ("minute", 1) | ("minutes", 2..) => 60,
        ("hour", 1) | ("hours", 2..) => 60 * 60,
        ("day", 1) | ("days", 2..) => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds)
}

/// How often EventBridge calls Lambda again when Lambda does not take the invocation. Here it
/// always does; what the function itself fails at is Lambda's to repeat.
fn retry_policy(properties: &mut Properties<'_>) -> Result<(), TemplateError> {
    if let Some(mut policy) = properties.map("RetryPolicy")? {
        policy.number::<u32>("MaximumRetryAttempts", 0..=185)?;
        policy.number::<u32>("MaximumEventAgeInSeconds", 60..=86_400)?;
        policy.finish()?;
    }
    Ok(())
}

fn input(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let input = properties.text("Input")?;
    match &input {
        Some(text) if serde_json::from_str::<Value>(text).is_err() => {
            Err(properties.invalid("Input", "must be JSON"))
        }
        _ => Ok(input),
    }
}

fn is_enabled(properties: &mut Properties<'_>) -> Result<bool, TemplateError> {
    let state = properties.word("State", &["ENABLED", "DISABLED"])?;
    let enabled = properties.flag("Enabled")?;
    Ok(state.map_or(enabled.unwrap_or(true), |state| state == "ENABLED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_the_unit_that_its_number_asks_for() {
        assert_eq!(period_seconds("rate(1 minute)"), Some(60));
        assert_eq!(period_seconds("rate(2 hours)"), Some(7_200));
        assert_eq!(period_seconds("rate(7 days)"), Some(604_800));
        for wrong in [
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(0 minutes)",
            "rate(1 second)",
            "rate(1minute)",
            "cron(0 12 * * ? *)",
        ] {
            assert_eq!(period_seconds(wrong), None, "{wrong}");
        }
    }
}
