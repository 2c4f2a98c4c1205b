//! What `Ref` and `Fn::GetAtt` give for each type of resource: the names CloudFormation would make.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::TemplateError;
use super::settings::Settings;
use crate::account::ACCOUNT_ID;

/// What a reference to one resource leads to.
#[derive(Debug)]
pub(super) enum Target {
    /// A resource that the local stack runs.
    Live {
        kind: String,
        reference: String,
        attributes: BTreeMap<&'static str, String>,
    },
    /// A type that has no meaning on a desk, by name.
    Skipped(String),
    /// A resource whose condition is false, with that condition's name.
    Absent(String),
}

impl Target {
    pub(super) fn live<const N: usize>(
        kind: &str,
        reference: String,
        attributes: [(&'static str, String); N],
    ) -> Self {
        Self::Live {
            kind: kind.to_owned(),
            reference,
            attributes: attributes.into(),
        }
    }

    /// The names of a resource of a supported type.
    pub(super) fn of(kind: &str, id: &str, name: &str, settings: &Settings) -> Option<Self> {
        let region = &settings.region;
        let arn = |service: &str, resource: String| {
            format!("arn:aws:{service}:{region}:{ACCOUNT_ID}:{resource}")
        };
        Some(match kind {
            "AWS::DynamoDB::Table" => {
                let table = arn("dynamodb", format!("table/{name}"));
                let stream = format!("{table}/stream/{STREAM_LABEL}");
                Self::live(
                    kind,
                    name.to_owned(),
                    [("Arn", table), ("StreamArn", stream)],
                )
            }
            "AWS::Serverless::Function" => Self::live(
                kind,
                name.to_owned(),
                [("Arn", arn("lambda", format!("function:{name}")))],
            ),
            "AWS::S3::Bucket" => Self::live(
                kind,
                name.to_owned(),
                [
                    ("Arn", format!("arn:aws:s3:::{name}")),
                    (
                        "RegionalDomainName",
                        format!("{name}.s3.{region}.amazonaws.com"),
                    ),
                ],
            ),
            "AWS::SQS::Queue" => {
                let url = format!("{}/{ACCOUNT_ID}/{name}", settings.http_url);
                Self::live(
                    kind,
                    url.clone(),
                    [
                        ("Arn", arn("sqs", name.to_owned())),
                        ("QueueName", name.to_owned()),
                        ("QueueUrl", url),
                    ],
                )
            }
            "AWS::SecretsManager::Secret" => {
                let secret = arn(
                    "secretsmanager",
                    format!("secret:{name}-{}", stable_id(id, &settings.suffix, 6)),
                );
                Self::live(kind, secret.clone(), [("Id", secret)])
            }
            "AWS::Serverless::HttpApi" => {
                let api_id = stable_id(id, &settings.suffix, 10);
                Self::live(
                    kind,
                    api_id.clone(),
                    [
                        ("ApiEndpoint", settings.http_url.clone()),
                        ("ApiId", api_id),
                    ],
                )
            }
            "AWS::Serverless::WebSocketApi" => {
                let api_id = stable_id(id, &settings.suffix, 10);
                Self::live(
                    kind,
                    api_id.clone(),
                    [
                        ("ApiEndpoint", settings.websocket_url.clone()),
                        ("ApiId", api_id),
                    ],
                )
            }
            _ => return None,
        })
    }

    pub(super) fn reference(&self, name: &str, path: &str) -> Result<String, TemplateError> {
        match self {
            Self::Live { reference, .. } => Ok(reference.clone()),
            missing => Err(missing.error(name, path)),
        }
    }

    pub(super) fn attribute(
        &self,
        name: &str,
        attribute: &str,
        path: &str,
    ) -> Result<String, TemplateError> {
        let target = format!("{name}.{attribute}");
        match self {
            Self::Live { attributes, .. } => attributes.get(attribute).cloned().ok_or_else(|| {
                let known: Vec<&str> = attributes.keys().copied().collect();
                TemplateError::reference(
                    path,
                    &target,
                    format!("an attribute it does not have; it has {}", known.join(", ")),
                )
            }),
            missing => Err(missing.error(&target, path)),
        }
    }

    fn error(&self, target: &str, path: &str) -> TemplateError {
        let problem = match self {
            Self::Skipped(kind) => format!("an {kind}, which does not exist on a desk"),
            Self::Absent(condition) => {
                format!("which is not made, as condition {condition} is false")
            }
            Self::Live { .. } => "which cannot be had".to_owned(),
        };
        TemplateError::reference(path, target, problem)
    }
}

/// The first part of the host's name of a function's own URL.
pub(super) fn url_id(function_name: &str) -> String {
    stable_id(function_name, "", 32)
}

/// What SAM's resource for a function's own URL is called by, if the function has one. On AWS it is
/// a host of its own; on a desk it is the one that there is.
pub(super) fn function_url(
    kind: &str,
    properties: &Value,
) -> Option<fn(&str, &Settings) -> Target> {
    let has_url =
        kind == "AWS::Serverless::Function" && properties.get("FunctionUrlConfig").is_some();
    has_url.then_some(|name, settings| {
        let region = &settings.region;
        let arn = format!("arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}");
        Target::live(
            "AWS::Lambda::Url",
            arn.clone(),
            [
                ("FunctionArn", arn),
                ("FunctionUrl", format!("{}/", settings.http_url)),
            ],
        )
    })
}

/// The time at which AWS would have switched the stream on. One that does not change keeps the
/// positions of event source mappings valid over restarts.
const STREAM_LABEL: &str = "2026-01-01T00:00:00.000";

/// The property that names a resource of this type, if it may be named.
pub(super) fn name_property(kind: &str) -> Option<&'static str> {
    match kind {
        "AWS::DynamoDB::Table" => Some("TableName"),
        "AWS::Serverless::Function" => Some("FunctionName"),
        "AWS::S3::Bucket" => Some("BucketName"),
        "AWS::SQS::Queue" => Some("QueueName"),
        "AWS::SecretsManager::Secret" => Some("Name"),
        _ => None,
    }
}

/// The name of a resource that its properties do not name.
pub(super) fn generated_name(kind: &str, id: &str, settings: &Settings) -> String {
    let (stack_name, suffix) = (&settings.stack_name, &settings.suffix);
    match kind {
        // Secrets Manager's names come without the stack's.
        "AWS::SecretsManager::Secret" => format!("{id}-{suffix}"),
        // Bucket names are host names.
        "AWS::S3::Bucket" => format!("{stack_name}-{id}-{suffix}").to_ascii_lowercase(),
        _ => format!("{stack_name}-{id}-{suffix}"),
    }
}

/// Lower-case letters and digits that stay the same for the same resource and data directory.
fn stable_id(id: &str, suffix: &str, length: usize) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // FNV-1a with 64 bits: the standard library's hashers may change between releases.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in id.bytes().chain([0]).chain(suffix.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut characters = String::with_capacity(length);
    for _ in 0..length {
        let digit = usize::try_from(hash % 36).unwrap_or_default();
        characters.push(char::from(ALPHABET[digit]));
        hash /= 36;
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str) -> Target {
        let settings = Settings {
            suffix: "1ABCDEF".into(),
            ..Settings::default()
        };
        Target::of(
            kind,
            "Thing",
            &generated_name(kind, "Thing", &settings),
            &settings,
        )
        .unwrap()
    }

    fn reference(kind: &str) -> String {
        target(kind).reference("Thing", "").unwrap()
    }

    #[test]
    fn references_have_the_shape_that_aws_gives_them() {
        assert_eq!(reference("AWS::DynamoDB::Table"), "local-Thing-1ABCDEF");
        assert_eq!(
            reference("AWS::Serverless::Function"),
            "local-Thing-1ABCDEF"
        );
        assert_eq!(
            reference("AWS::SQS::Queue"),
            "http://localhost:8080/000000000000/local-Thing-1ABCDEF"
        );
        assert_eq!(reference("AWS::S3::Bucket"), "local-thing-1abcdef");
        let secret = reference("AWS::SecretsManager::Secret");
        let tail = secret
            .strip_prefix("arn:aws:secretsmanager:us-east-1:000000000000:secret:Thing-1ABCDEF-")
            .unwrap();
        assert_eq!(tail.len(), 6);
        assert_eq!(reference("AWS::Serverless::HttpApi").len(), 10);
    }

    #[test]
    fn attributes_are_arns_and_addresses() {
        let attribute = |kind, name| target(kind).attribute("Thing", name, "").unwrap();
        assert_eq!(
            attribute("AWS::DynamoDB::Table", "Arn"),
            "arn:aws:dynamodb:us-east-1:000000000000:table/local-Thing-1ABCDEF"
        );
        assert!(attribute("AWS::DynamoDB::Table", "StreamArn").contains("-1ABCDEF/stream/2"));
        assert_eq!(
            attribute("AWS::S3::Bucket", "Arn"),
            "arn:aws:s3:::local-thing-1abcdef"
        );
        assert_eq!(
            attribute("AWS::SQS::Queue", "Arn"),
            "arn:aws:sqs:us-east-1:000000000000:local-Thing-1ABCDEF"
        );
        assert_eq!(
            attribute("AWS::Serverless::WebSocketApi", "ApiEndpoint"),
            "ws://localhost:8080"
        );
    }

    #[test]
    fn ids_differ_by_resource_and_by_data_directory_and_stay() {
        assert_eq!(stable_id("HttpApi", "A", 10), stable_id("HttpApi", "A", 10));
        assert_ne!(
            stable_id("HttpApi", "A", 10),
            stable_id("WebSocketApi", "A", 10)
        );
        assert_ne!(stable_id("HttpApi", "A", 10), stable_id("HttpApi", "B", 10));
    }

    #[test]
    fn what_is_not_made_says_why() {
        let absent = Target::Absent("WithQueue".into())
            .reference("Queue", "Here")
            .unwrap_err();
        assert_eq!(
            absent.to_string(),
            "Here: refers to Queue, which is not made, as condition WithQueue is false"
        );
        let skipped = Target::Skipped("AWS::SNS::Topic".into())
            .attribute("Alarms", "Arn", "Here")
            .unwrap_err();
        assert_eq!(
            skipped.to_string(),
            "Here: refers to Alarms.Arn, an AWS::SNS::Topic, which does not exist on a desk"
        );
    }
}
