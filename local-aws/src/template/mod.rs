//! Reads a SAM template as the program of the local stack: what AWS would make of it, as values.
//!
//! Whatever is not understood is refused with its place, so that nothing in the template is
//! silently without effect. This module makes nothing and calls nobody.

mod conditions;
mod error;
mod filter;
mod globals;
mod intrinsics;
mod lines;
mod names;
mod parameters;
mod properties;
mod references;
mod resources;
mod settings;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use error::{Place, TemplateError};
pub use filter::{FilterPattern, PatternError};
use intrinsics::Scope;
use names::Target;
use parameters::scalar_text;
pub use resources::{
    AttributeDefinition, Bucket, Effect, Expiration, Function, FunctionUrl, GeneratedSecret,
    HttpApi, HttpRoute, Index, KeyElement, PolicyCondition, Queue, QueueMapping, RedrivePolicy,
    RouteKey, Schedule, Scheduler, Secret, SecretContent, StartingPosition, Statement,
    StreamMapping, Table, WebSocketApi,
};
use resources::{Events, Source};
pub use settings::Settings;
use yaml::below;

/// A template, resolved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    /// The stack's name.
    pub stack_name: String,
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// Lambda functions.
    pub functions: Vec<Function>,
    /// The HTTP API, if there is one.
    pub http_api: Option<HttpApi>,
    /// Its routes.
    pub http_routes: Vec<HttpRoute>,
    /// The WebSocket API, if there is one.
    pub websocket: Option<WebSocketApi>,
    /// What reads the tables' streams.
    pub mappings: Vec<StreamMapping>,
    /// What receives from the queues.
    pub queue_mappings: Vec<QueueMapping>,
    /// What invokes functions from time to time.
    pub schedules: Vec<Schedule>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// S3 buckets.
    pub buckets: Vec<Bucket>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// The template's outputs, without those that name a thing which does not exist on a desk.
    pub outputs: BTreeMap<String, String>,
}

const SECTIONS: &[&str] = &[
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

const ATTRIBUTES: &[&str] = &[
    "Condition",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdateReplacePolicy",
];

impl Template {
    /// Reads the text of a template.
    pub fn parse(text: &str, settings: &Settings) -> Result<Self, TemplateError> {
        let document = yaml::read(text)?;
        Self::resolve(&document.value, settings).map_err(|error| error.located(&document.lines))
    }

    /// The table with this logical id.
    #[must_use]
    pub fn table(&self, logical_id: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.logical_id == logical_id)
    }

    /// The function with this logical id.
    #[must_use]
    pub fn function(&self, logical_id: &str) -> Option<&Function> {
        self.functions
            .iter()
            .find(|function| function.logical_id == logical_id)
    }

    /// The queue with this ARN.
    #[must_use]
    pub fn queue(&self, arn: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.arn == arn)
    }

    /// The bucket with this ARN.
    #[must_use]
    pub fn bucket(&self, arn: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.arn == arn)
    }

    fn resolve(document: &Value, settings: &Settings) -> Result<Self, TemplateError> {
        let sections = document
            .as_object()
            .ok_or_else(|| TemplateError::invalid("the template", "must be a map"))?;
        check_keys(sections, SECTIONS, "")?;
        if document["Transform"] != json!("AWS::Serverless-2016-10-31") {
            return Err(TemplateError::invalid(
                "Transform",
                "must be AWS::Serverless-2016-10-31",
            ));
        }
        let mut scope = Scope {
            parameters: parameters::read(
                &document["Parameters"],
                &settings.parameters,
                &settings.defaults,
            )?,
            pseudo: settings.pseudo_parameters(),
            mappings: document["Mappings"].clone(),
            ..Scope::default()
        };
        scope.conditions = conditions::read(&document["Conditions"], &scope)?;
        let resources = document["Resources"]
            .as_object()
            .ok_or_else(|| TemplateError::invalid("Resources", "must be a map of logical ids"))?;
        references::check(document, resources)?;
        let declared = declare(resources, &document["Globals"], &scope, settings)?;
        scope.targets = targets(&declared, settings)?;
        let mut template = Self {
            stack_name: settings.stack_name.clone(),
            ..Self::default()
        };
        for declared in declared.iter().filter(|declared| declared.is_live()) {
            let source = Source {
                id: declared.id,
                kind: declared.kind,
                name: declared.name.clone(),
                properties: &declared.properties,
                metadata: declared.metadata,
                scope: &scope,
            };
            template.add(&source)?;
        }
        template.check_links()?;
        template.outputs = outputs(&document["Outputs"], &scope)?;
        Ok(template)
    }

    /// Adds what a resource describes.
    fn add(&mut self, source: &Source<'_>) -> Result<(), TemplateError> {
        match source.kind {
            "AWS::DynamoDB::Table" => self.tables.push(Table::read(source)?),
            "AWS::S3::Bucket" => self.buckets.push(Bucket::read(source)?),
            "AWS::SQS::Queue" => self.queues.push(Queue::read(source)?),
            "AWS::SecretsManager::Secret" => self.secrets.push(Secret::read(source)?),
            "AWS::Serverless::Function" => {
                let (function, events) = Function::read(source)?;
                self.functions.push(function);
                self.add_events(events);
            }
            "AWS::Serverless::HttpApi" => {
                let api = HttpApi::read(source)?;
                if let Some(first) = self.http_api.replace(api) {
                    return Err(source.second(&first.logical_id));
                }
            }
            "AWS::Serverless::WebSocketApi" => {
                let api = WebSocketApi::read(source)?;
                if let Some(first) = self.websocket.replace(api) {
                    return Err(source.second(&first.logical_id));
                }
            }
            other => {
                return Err(TemplateError::unsupported(
                    &below(&source.path(), "Type"),
                    other,
                ));
            }
        }
        Ok(())
    }

    fn add_events(&mut self, events: Events) {
        self.http_routes.extend(events.http_routes);
        self.mappings.extend(events.mappings);
        self.queue_mappings.extend(events.queue_mappings);
        self.schedules.extend(events.schedules);
    }

    /// What only shows once every resource is read.
    fn check_links(&self) -> Result<(), TemplateError> {
        for mapping in &self.mappings {
            let path = format!("Resources.{}.Properties.Events", mapping.function);
            if self
                .table(&mapping.table)
                .is_none_or(|table| table.stream_arn.is_none())
            {
                return Err(TemplateError::reference(
                    &path,
                    &mapping.table,
                    "a table without StreamSpecification",
                ));
            }
            if let Some(arn) = mapping.on_failure_arn.as_deref()
                && self.bucket(arn).is_none()
            {
                self.check_queue(Some(arn), &path)?;
            }
        }
        for mapping in &self.queue_mappings {
            self.check_queue_mapping(mapping)?;
        }
        for queue in &self.queues {
            let path = format!("Resources.{}.Properties.RedrivePolicy", queue.logical_id);
            self.check_queue(
                queue
                    .redrive
                    .as_ref()
                    .map(|redrive| redrive.dead_letter_arn.as_str()),
                &path,
            )?;
            let dead_letters = queue.redrive.as_ref();
            let dead_letters =
                dead_letters.and_then(|redrive| self.queue(&redrive.dead_letter_arn));
            if dead_letters.is_some_and(|queue| queue.redrive.is_some()) {
                return Err(TemplateError::invalid(
                    &path,
                    "leads to a queue that has a dead-letter queue of its own, which does not run here",
                ));
            }
        }
        for (index, route) in self.http_routes.iter().enumerate() {
            if let Some(first) = self.http_routes[..index]
                .iter()
                .find(|first| first.key == route.key)
            {
                let path = format!("Resources.{}.Properties.Events", route.function);
                return Err(TemplateError::invalid(
                    &path,
                    format!("route {} belongs to {} already", route.key, first.function),
                ));
            }
        }
        Ok(())
    }

    /// Lambda makes no mapping of a queue that shows a message again while a function may still be
    /// at it. ("Creating and configuring an Amazon SQS event source mapping".)
    fn check_queue_mapping(&self, mapping: &QueueMapping) -> Result<(), TemplateError> {
        let path = format!("Resources.{}.Properties.Events", mapping.function);
        self.check_queue(Some(&mapping.queue_arn), &path)?;
        let queue = self.queue(&mapping.queue_arn);
        let function = self.function(&mapping.function);
        let visibility = queue.map_or(0, |queue| queue.visibility_timeout_seconds);
        let timeout = function.map_or(0, |function| function.timeout_seconds);
        if visibility < timeout {
            return Err(TemplateError::invalid(
                &path,
                format!(
                    "Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"
                ),
            ));
        }
        Ok(())
    }

    fn check_queue(&self, arn: Option<&str>, path: &str) -> Result<(), TemplateError> {
        match arn {
            Some(arn) if self.queue(arn).is_none() => Err(TemplateError::reference(
                path,
                arn,
                "which is no queue of this template",
            )),
            _ => Ok(()),
        }
    }
}

/// A resource with its globals and its name, before its properties are read.
struct Declared<'a> {
    id: &'a str,
    kind: &'a str,
    name: String,
    properties: Value,
    metadata: &'a Value,
    /// The condition that leaves it out.
    absent: Option<&'a str>,
}

impl Declared<'_> {
    fn is_live(&self) -> bool {
        self.absent.is_none() && !resources::is_skipped(self.kind)
    }
}

fn declare<'a>(
    resources: &'a Map<String, Value>,
    globals: &Value,
    scope: &Scope,
    settings: &Settings,
) -> Result<Vec<Declared<'a>>, TemplateError> {
    globals::check(globals)?;
    let mut all = Vec::with_capacity(resources.len());
    for (id, resource) in resources {
        let path = below("Resources", id);
        let attributes = resource
            .as_object()
            .ok_or_else(|| TemplateError::invalid(&path, "must be a map"))?;
        check_keys(attributes, ATTRIBUTES, &path)?;
        let kind = resource["Type"]
            .as_str()
            .ok_or_else(|| TemplateError::invalid(&path, "has no Type"))?;
        let absent = match &resource["Condition"] {
            Value::Null => None,
            Value::String(name) => match scope.conditions.get(name) {
                Some(is_made) => (!is_made).then_some(name.as_str()),
                None => {
                    return Err(TemplateError::reference(
                        &below(&path, "Condition"),
                        name,
                        "which is not in Conditions",
                    ));
                }
            },
            _ => {
                return Err(TemplateError::invalid(
                    &below(&path, "Condition"),
                    "must be a condition's name",
                ));
            }
        };
        let properties = globals::merged(kind, &resource["Properties"], globals);
        let name = match names::name_property(kind)
            .and_then(|property| Some((property, properties.get(property)?)))
        {
            Some((property, name)) => {
                scope.text(name, &below(&below(&path, "Properties"), property))?
            }
            None => names::generated_name(kind, id, settings),
        };
        all.push(Declared {
            id,
            kind,
            name,
            properties,
            metadata: &resource["Metadata"],
            absent,
        });
    }
    Ok(all)
}

fn targets(
    declared: &[Declared<'_>],
    settings: &Settings,
) -> Result<BTreeMap<String, Target>, TemplateError> {
    let mut targets = BTreeMap::new();
    for resource in declared {
        let target = match resource.absent {
            Some(condition) => Target::Absent(condition.to_owned()),
            None if resources::is_skipped(resource.kind) => {
                Target::Skipped(resource.kind.to_owned())
            }
            None => Target::of(resource.kind, resource.id, &resource.name, settings).ok_or_else(
                || {
                    TemplateError::unsupported(
                        &format!("Resources.{}.Type", resource.id),
                        resource.kind,
                    )
                },
            )?,
        };
        if let Some(url) = names::function_url(resource.kind, &resource.properties) {
            let url = match resource.absent {
                Some(condition) => Target::Absent(condition.to_owned()),
                None => url(&resource.name, settings),
            };
            targets.insert(format!("{}Url", resource.id), url);
        }
        targets.insert(resource.id.to_owned(), target);
    }
    Ok(targets)
}

fn outputs(section: &Value, scope: &Scope) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut outputs = BTreeMap::new();
    for (name, output) in section.as_object().into_iter().flatten() {
        let path = below("Outputs", name);
        let attributes = output
            .as_object()
            .ok_or_else(|| TemplateError::invalid(&path, "must be a map"))?;
        check_keys(
            attributes,
            &["Condition", "Description", "Export", "Value"],
            &path,
        )?;
        let is_made = match output["Condition"].as_str() {
            Some(condition) => scope.conditions.get(condition).copied().ok_or_else(|| {
                TemplateError::reference(
                    &below(&path, "Condition"),
                    condition,
                    "which is not in Conditions",
                )
            })?,
            None => true,
        };
        let value = &output["Value"];
        if !is_made
            || references::names(value)
                .any(|name| matches!(scope.targets.get(name), Some(Target::Skipped(_))))
        {
            continue;
        }
        let resolved = scope.resolve(value, &below(&path, "Value"))?;
        let text = resolved.as_ref().and_then(scalar_text);
        outputs.insert(
            name.clone(),
            text.ok_or_else(|| TemplateError::invalid(&path, "Value must be text"))?,
        );
    }
    Ok(outputs)
}

fn check_keys(map: &Map<String, Value>, known: &[&str], path: &str) -> Result<(), TemplateError> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(TemplateError::unsupported(&below(path, unknown), unknown)),
        None => Ok(()),
    }
}
