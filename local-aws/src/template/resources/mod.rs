//! The resources of a template as typed values, one file for each family.

mod api;
mod bucket;
mod function;
mod mapping;
mod policy;
mod queue_mapping;
mod schedule;
mod storage;
mod table;

use serde_json::Value;

use super::Template;
use super::error::TemplateError;
use super::intrinsics::Scope;
use super::properties::Properties;
use super::yaml::below;

pub use api::{HttpApi, HttpRoute, RouteKey, WebSocketApi};
pub use bucket::{Bucket, Expiration};
pub use function::{Function, FunctionUrl};
pub use mapping::{StartingPosition, StreamMapping};
pub use policy::{Effect, PolicyCondition, Statement};
pub use queue_mapping::QueueMapping;
pub use schedule::{Schedule, Scheduler};
pub use storage::{GeneratedSecret, Queue, RedrivePolicy, Secret, SecretContent};
pub use table::{AttributeDefinition, Index, KeyElement, Table};

/// Types that change nothing of what the functions see: they are skipped, but their references
/// are checked.
const SKIPPED: &[&str] = &[
    "AWS::ApiGateway::Account",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::Budgets::Budget",
    "AWS::CertificateManager::Certificate",
    "AWS::CloudFront::CachePolicy",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::Function",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudFront::ResponseHeadersPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::AnomalyDetector",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::QueryDefinition",
    "AWS::Logs::ResourcePolicy",
    "AWS::Route53::RecordSet",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
];

pub(super) fn is_skipped(kind: &str) -> bool {
    SKIPPED.contains(&kind)
}

/// One resource of the template, before it is read.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) id: &'a str,
    pub(super) kind: &'a str,
    /// Its physical name, where its type has one.
    pub(super) name: String,
    pub(super) properties: &'a Value,
    pub(super) metadata: &'a Value,
    pub(super) scope: &'a Scope,
}

impl<'a> Source<'a> {
    /// Adds what this resource describes to the template.
    pub(super) fn read(&self, template: &mut Template) -> Result<(), TemplateError> {
        match self.kind {
            "AWS::DynamoDB::Table" => template.tables.push(Table::read(self)?),
            "AWS::S3::Bucket" => template.buckets.push(Bucket::read(self)?),
            "AWS::SQS::Queue" => template.queues.push(Queue::read(self)?),
            "AWS::SecretsManager::Secret" => template.secrets.push(Secret::read(self)?),
            "AWS::Serverless::Function" => function::read(self, template)?,
            "AWS::Serverless::HttpApi" => {
                let api = HttpApi::read(self)?;
                if let Some(first) = template.http_api.replace(api) {
                    return Err(self.second(&first.logical_id));
                }
            }
            "AWS::Serverless::WebSocketApi" => {
                let api = WebSocketApi::read(self)?;
                if let Some(first) = template.websocket.replace(api) {
                    return Err(self.second(&first.logical_id));
                }
            }
            other => {
                return Err(TemplateError::unsupported(
                    &below(&self.path(), "Type"),
                    other,
                ));
            }
        }
        Ok(())
    }

    fn path(&self) -> String {
        format!("Resources.{}", self.id)
    }

    fn properties(&self) -> Result<Properties<'a>, TemplateError> {
        Properties::new(
            self.properties,
            &below(&self.path(), "Properties"),
            self.scope,
        )
    }

    /// What `Ref` gives for this resource.
    fn reference(&self) -> Result<String, TemplateError> {
        self.scope
            .text(&serde_json::json!({ "Ref": self.id }), &self.path())
    }

    /// What `Fn::GetAtt` gives for this resource.
    fn attribute(&self, name: &str) -> Result<String, TemplateError> {
        self.scope.text(
            &serde_json::json!({ "Fn::GetAtt": [self.id, name] }),
            &self.path(),
        )
    }

    fn second(&self, first: &str) -> TemplateError {
        TemplateError::invalid(
            &self.path(),
            format!(
                "is a second {} beside {first}; the local stack has one",
                self.kind
            ),
        )
    }
}
