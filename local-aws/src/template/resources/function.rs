//! `AWS::Serverless::Function` with its events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    HttpRoute, QueueMapping, Schedule, Scheduler, Statement, StreamMapping, policy, source::Source,
};
use crate::template::error::TemplateError;
use crate::template::names;
use crate::template::properties::Properties;

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its key in the template.
    pub logical_id: String,
    /// Its physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The Cargo package, and so the binary, that it runs.
    pub binary: String,
    /// Its variables, resolved.
    pub environment: BTreeMap<String, String>,
    /// When an invocation is ended.
    pub timeout_seconds: u32,
    /// Its memory.
    pub memory_mb: u32,
    /// What it may call. What SAM adds for logs and event source mappings is not among it.
    pub policies: Vec<Statement>,
    /// How many invocations may run at once, if that is limited.
    pub reserved_concurrency: Option<u32>,
    /// Whether X-Ray gets traces of it.
    pub is_traced: bool,
    /// How its own URL answers, if it has one.
    pub url: Option<FunctionUrl>,
    /// The least level it logs, where the template says one (`AWS_LAMBDA_LOG_LEVEL` in Lambda).
    pub log_level: Option<String>,
    /// How often Lambda repeats an asynchronous invocation that failed.
    pub async_retries: u32,
    /// For how long Lambda keeps an asynchronous invocation that it cannot make, in seconds.
    pub async_age_seconds: u32,
    /// Whether Lambda lets it be part of a recursive loop.
    pub allows_recursion: bool,
}

/// A function's own URL, which anybody may call. ("Lambda function URLs".)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUrl {
    /// The first part of its host's name; it is the `apiId` of its invocation payloads.
    pub id: String,
}

impl FunctionUrl {
    fn read(
        source: &Source<'_>,
        mut properties: Properties<'_>,
    ) -> Result<FunctionUrl, TemplateError> {
        // Whoever would have to sign, or be let in by Lambda's own CORS, is not known on a desk. An
        // answer that is not streamed has other limits, and nothing here needs one.
        let auth = properties.word("AuthType", &["NONE"])?;
        properties.required("AuthType", auth)?;
        let mode = properties.word("InvokeMode", &["RESPONSE_STREAM"])?;
        properties.required("InvokeMode", mode)?;
        properties.finish()?;
        Ok(FunctionUrl {
            id: names::url_id(&source.name),
        })
    }
}

/// Variables that Lambda sets itself and refuses to be given (developer guide, "Defined runtime
/// environment variables").
const RESERVED_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
];

/// What Lambda takes for names and values together.
const ENVIRONMENT_BYTES: usize = 4 * 1024;

/// What invokes a function.
#[derive(Debug, Default)]
pub(in crate::template) struct Events {
    pub(in crate::template) http_routes: Vec<HttpRoute>,
    pub(in crate::template) mappings: Vec<StreamMapping>,
    pub(in crate::template) queue_mappings: Vec<QueueMapping>,
    pub(in crate::template) schedules: Vec<Schedule>,
}

impl Function {
    /// Reads a function, and what invokes it.
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<(Self, Events), TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "Architectures",
            "Description",
            "FunctionName",
            "Handler",
            "KmsKeyArn",
            "PermissionsBoundary",
            "PropagateTags",
            "RolePath",
            "RuntimeManagementConfig",
            "Tags",
        ]);
        let runtime = properties.word("Runtime", &["provided.al2023"])?;
        properties.required("Runtime", runtime)?;
        properties.word("PackageType", &["Zip"])?;
        let (async_retries, async_age_seconds) = async_config(&mut properties)?;
        let recursive_loop = properties.word("RecursiveLoop", &["Allow", "Terminate"])?;
        let function = Self {
            logical_id: source.id.to_owned(),
            name: source.reference()?,
            arn: source.attribute("Arn")?,
            binary: binary(source, &mut properties)?,
            environment: environment(&mut properties)?,
            timeout_seconds: properties.number("Timeout", 1..=900)?.unwrap_or(3),
            memory_mb: properties
                .number("MemorySize", 128..=10_240)?
                .unwrap_or(128),
            policies: policy::statements(&mut properties)?,
            reserved_concurrency: properties
                .number("ReservedConcurrentExecutions", 0..=1_000_000)?,
            is_traced: properties
                .word("Tracing", &["Active", "PassThrough"])?
                .as_deref()
                == Some("Active"),
            url: properties
                .map("FunctionUrlConfig")?
                .map(|url| FunctionUrl::read(source, url))
                .transpose()?,
            log_level: log_level(&mut properties)?,
            async_retries,
            async_age_seconds,
            allows_recursion: recursive_loop.as_deref() == Some("Allow"),
        };
        let events = events(source, &mut properties)?;
        properties.finish()?;
        Ok((function, events))
    }
}

/// The binary named under `Metadata.BuildProperties`, else the last directory of `CodeUri`.
fn binary(source: &Source<'_>, properties: &mut Properties<'_>) -> Result<String, TemplateError> {
    let code_uri = properties.text("CodeUri")?;
    let named = source
        .metadata
        .pointer("/BuildProperties/Binary")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let directory = || {
        code_uri?
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .map(str::to_owned)
    };
    let binary = named
        .or_else(directory)
        .filter(|binary| !matches!(binary.as_str(), "" | "." | ".."));
    binary.ok_or_else(|| {
        properties.invalid(
            "CodeUri",
            "names no binary, nor does Metadata.BuildProperties.Binary",
        )
    })
}

fn environment(properties: &mut Properties<'_>) -> Result<BTreeMap<String, String>, TemplateError> {
    let Some(mut environment) = properties.map("Environment")? else {
        return Ok(BTreeMap::new());
    };
    let mut variables = BTreeMap::new();
    if let Some(mut given) = environment.map("Variables")? {
        for name in given.names() {
            if RESERVED_VARIABLES.contains(&name.as_str()) {
                return Err(given.invalid(&name, "is set by Lambda and refused as a variable"));
            }
            if let Some(value) = given.text(&name)? {
                variables.insert(name, value);
            }
        }
    }
    let bytes: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > ENVIRONMENT_BYTES {
        return Err(environment.invalid(
            "Variables",
            format!("take {bytes} bytes, and Lambda has {ENVIRONMENT_BYTES}"),
        ));
    }
    environment.finish()?;
    Ok(variables)
}

fn log_level(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut logging) = properties.map("LoggingConfig")? else {
        return Ok(None);
    };
    logging.ignore(&["LogGroup", "SystemLogLevel"]);
    logging.word("LogFormat", &["JSON", "Text"])?;
    let level = logging.word(
        "ApplicationLogLevel",
        &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"],
    )?;
    logging.finish()?;
    Ok(level)
}

/// How often Lambda repeats an asynchronous invocation, and for how many seconds it keeps one: twice
/// and six hours, unless it is told. ("Configuring error handling for asynchronous invocation".)
fn async_config(properties: &mut Properties<'_>) -> Result<(u32, u32), TemplateError> {
    const MOST_SECONDS: u32 = 6 * 60 * 60;
    let Some(mut config) = properties.map("EventInvokeConfig")? else {
        return Ok((2, MOST_SECONDS));
    };
    let retries = config.number("MaximumRetryAttempts", 0..=2)?;
    let age_seconds = config.number("MaximumEventAgeInSeconds", 60..=i64::from(MOST_SECONDS))?;
    config.finish()?;
    Ok((retries.unwrap_or(2), age_seconds.unwrap_or(MOST_SECONDS)))
}

fn events(source: &Source<'_>, properties: &mut Properties<'_>) -> Result<Events, TemplateError> {
    let mut read = Events::default();
    let Some(mut events) = properties.map("Events")? else {
        return Ok(read);
    };
    for name in events.names() {
        let event = events.map(&name)?;
        let mut event = events.required(&name, event)?;
        let kind = event.required_text("Type")?;
        let inner = event.map("Properties")?;
        let inner = event.required("Properties", inner)?;
        match kind.as_str() {
            "HttpApi" => read.http_routes.push(HttpRoute::read(source, inner)?),
            "DynamoDB" => read.mappings.push(StreamMapping::read(source, inner)?),
            "SQS" => read.queue_mappings.push(QueueMapping::read(source, inner)?),
            "Schedule" => {
                read.schedules
                    .push(Schedule::read(source, &name, Scheduler::Rule, inner)?)
            }
            "ScheduleV2" => {
                read.schedules
                    .push(Schedule::read(source, &name, Scheduler::Scheduler, inner)?)
            }
            other => {
                return Err(TemplateError::unsupported(
                    &event.path("Type"),
                    format!("an event of type {other}"),
                ));
            }
        }
        event.finish()?;
    }
    Ok(read)
}
