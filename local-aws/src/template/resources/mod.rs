//! The resources of a template as typed values, one file for each family.

mod api;
mod bucket;
mod function;
mod mapping;
mod policy;
mod queue_mapping;
mod schedule;
mod source;
mod storage;
mod table;

pub use api::{HttpApi, HttpRoute, RouteKey, WebSocketApi};
pub use bucket::{Bucket, Expiration};
pub(super) use function::Events;
pub use function::{Function, FunctionUrl};
pub use mapping::{StartingPosition, StreamMapping};
pub use policy::{Effect, PolicyCondition, Statement};
pub use queue_mapping::QueueMapping;
pub use schedule::{Schedule, Scheduler};
pub(super) use source::Source;
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
