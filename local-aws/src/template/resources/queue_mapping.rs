//! Event source mappings from a queue to a function.

use super::mapping;
use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::properties::Properties;

/// What Lambda receives from a queue, and how it hands that to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMapping {
    /// The function's logical id.
    pub function: String,
    /// The queue's ARN.
    pub queue_arn: String,
    /// Whether it receives at all.
    pub is_enabled: bool,
    /// The most messages of an invocation.
    pub batch_size: usize,
    /// How long messages are gathered for a batch.
    pub window_seconds: u32,
    /// How many batches run at once, if that is limited.
    pub max_concurrency: Option<usize>,
    /// Whether the function answers with the messages to retry (`ReportBatchItemFailures`).
    pub reports_batch_item_failures: bool,
}

/// The most messages of a batch that is not gathered. ("`CreateEventSourceMapping`": `BatchSize`.)
const UNGATHERED: usize = 10;

impl QueueMapping {
    pub(super) fn read(
        source: &Source<'_>,
        mut properties: Properties<'_>,
    ) -> Result<Self, TemplateError> {
        properties.ignore(&["KmsKeyArn", "MetricsConfig", "Tags"]);
        let queue_arn = properties.required_text("Queue")?;
        let mapping = Self {
            function: source.id.to_owned(),
            is_enabled: properties.flag("Enabled")?.unwrap_or(true),
            batch_size: properties.number("BatchSize", 1..=10_000)?.unwrap_or(10),
            window_seconds: properties
                .number("MaximumBatchingWindowInSeconds", 0..=300)?
                .unwrap_or(0),
            max_concurrency: max_concurrency(&mut properties)?,
            reports_batch_item_failures: mapping::reports_batch_item_failures(&mut properties)?,
            queue_arn,
        };
        if mapping.batch_size > UNGATHERED && mapping.window_seconds == 0 {
            return Err(properties.invalid(
                "MaximumBatchingWindowInSeconds",
                format!("must be at least 1 when BatchSize is over {UNGATHERED}"),
            ));
        }
        properties.finish()?;
        Ok(mapping)
    }
}

fn max_concurrency(properties: &mut Properties<'_>) -> Result<Option<usize>, TemplateError> {
    let Some(mut scaling) = properties.map("ScalingConfig")? else {
        return Ok(None);
    };
    let most = scaling.number("MaximumConcurrency", 2..=1000)?;
    scaling.finish()?;
    Ok(most)
}
