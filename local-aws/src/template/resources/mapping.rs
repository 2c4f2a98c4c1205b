//! Event source mappings from a table's stream to a function.

use serde_json::Value;

use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::filter::FilterPattern;
use crate::template::properties::Properties;

/// What Lambda reads of a stream, and how it hands that to a function.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamMapping {
    /// The function's logical id.
    pub function: String,
    /// The logical id of the table whose stream is read.
    pub table: String,
    /// The stream's ARN.
    pub stream_arn: String,
    /// Where a new mapping starts.
    pub starting_position: StartingPosition,
    /// Whether it reads at all.
    pub is_enabled: bool,
    /// The most records of an invocation.
    pub batch_size: usize,
    /// How long records are gathered for a batch.
    pub window_seconds: u32,
    /// A record is passed on when it matches any of these; all are when there is none.
    pub filters: Vec<FilterPattern>,
    /// How many batches of one shard run at once.
    pub parallelization_factor: u32,
    /// Whether a failed batch is tried again in halves.
    pub bisects_on_error: bool,
    /// How often a failed batch is tried again; `None` is until its records expire.
    pub max_retry_attempts: Option<u32>,
    /// The age at which records are given up; `None` is when they expire.
    pub max_record_age_seconds: Option<u32>,
    /// Whether the function answers with the records to retry (`ReportBatchItemFailures`).
    pub reports_batch_item_failures: bool,
    /// The ARN of the queue that is told of a batch given up, or of the bucket that keeps its
    /// records.
    pub on_failure_arn: Option<String>,
}

/// Where a new mapping starts in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// The oldest record that is kept.
    TrimHorizon,
    /// What is written from now on.
    Latest,
}

/// Lambda's limit on filters for one mapping.
const MAX_FILTERS: usize = 5;

impl StreamMapping {
    /// Whether a record, as the function would get it, passes the filters.
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(record))
    }

    pub(super) fn read(
        source: &Source<'_>,
        mut properties: Properties<'_>,
    ) -> Result<Self, TemplateError> {
        properties.ignore(&["KmsKeyArn", "MetricsConfig", "Tags"]);
        let stream_arn = properties.required_text("Stream")?;
        let Some(table) = source
            .scope
            .owner("AWS::DynamoDB::Table", "StreamArn", &stream_arn)
            .map(str::to_owned)
        else {
            return Err(properties.invalid(
                "Stream",
                format!("{stream_arn} is no stream of this template"),
            ));
        };
        let start = properties.word("StartingPosition", &["TRIM_HORIZON", "LATEST"])?;
        let start = properties.required("StartingPosition", start)?;
        let mapping = Self {
            function: source.id.to_owned(),
            table,
            stream_arn,
            starting_position: if start == "LATEST" {
                StartingPosition::Latest
            } else {
                StartingPosition::TrimHorizon
            },
            is_enabled: properties.flag("Enabled")?.unwrap_or(true),
            batch_size: properties.number("BatchSize", 1..=10_000)?.unwrap_or(100),
            window_seconds: properties
                .number("MaximumBatchingWindowInSeconds", 0..=300)?
                .unwrap_or(0),
            filters: filters(&mut properties)?,
            parallelization_factor: properties
                .number("ParallelizationFactor", 1..=10)?
                .unwrap_or(1),
            bisects_on_error: properties
                .flag("BisectBatchOnFunctionError")?
                .unwrap_or(false),
            max_retry_attempts: bounded(properties.number("MaximumRetryAttempts", -1..=10_000)?),
            max_record_age_seconds: record_age(&mut properties)?,
            reports_batch_item_failures: reports_batch_item_failures(&mut properties)?,
            on_failure_arn: on_failure(&mut properties)?,
        };
        properties.finish()?;
        Ok(mapping)
    }
}

pub(super) fn reports_batch_item_failures(
    properties: &mut Properties<'_>,
) -> Result<bool, TemplateError> {
    let responses = properties
        .texts("FunctionResponseTypes")?
        .unwrap_or_default();
    match responses
        .iter()
        .find(|response| *response != "ReportBatchItemFailures")
    {
        Some(other) => Err(properties.invalid(
            "FunctionResponseTypes",
            format!("{other} is no response type"),
        )),
        None => Ok(!responses.is_empty()),
    }
}

/// Lambda writes "without a bound" as -1, which is also its default.
fn bounded(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

fn record_age(properties: &mut Properties<'_>) -> Result<Option<u32>, TemplateError> {
    let age: Option<i64> = properties.number("MaximumRecordAgeInSeconds", -1..=604_800)?;
    if age.is_some_and(|age| (0..60).contains(&age)) {
        return Err(properties.invalid("MaximumRecordAgeInSeconds", "must be -1, or from 60"));
    }
    Ok(bounded(age))
}

fn filters(properties: &mut Properties<'_>) -> Result<Vec<FilterPattern>, TemplateError> {
    let Some(mut criteria) = properties.map("FilterCriteria")? else {
        return Ok(Vec::new());
    };
    let mut filters = Vec::new();
    for mut filter in criteria.maps("Filters")? {
        let text = filter.required_text("Pattern")?;
        let pattern = FilterPattern::parse(&text)
            .map_err(|error| filter.invalid("Pattern", error.to_string()))?;
        filters.push(pattern);
        filter.finish()?;
    }
    if filters.len() > MAX_FILTERS {
        return Err(criteria.invalid(
            "Filters",
            format!("Lambda takes {MAX_FILTERS} filters, not {}", filters.len()),
        ));
    }
    criteria.finish()?;
    Ok(filters)
}

fn on_failure(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut config) = properties.map("DestinationConfig")? else {
        return Ok(None);
    };
    let Some(mut on_failure) = config.map("OnFailure")? else {
        config.finish()?;
        return Ok(None);
    };
    // SAM grants the right to send only when it is told the type.
    let kind = on_failure.word("Type", &["S3", "SQS"])?;
    on_failure.required("Type", kind)?;
    let arn = on_failure.required_text("Destination")?;
    on_failure.finish()?;
    config.finish()?;
    Ok(Some(arn))
}
