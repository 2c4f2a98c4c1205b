//! `AWS::SQS::Queue` and `AWS::SecretsManager::Secret`.

use serde_json::Value;

use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::properties::Properties;

/// A standard SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its key in the template.
    pub logical_id: String,
    /// Its physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its address, which `Ref` gives.
    pub url: String,
    /// How long a received message stays hidden.
    pub visibility_timeout_seconds: u32,
    /// How long a message is kept.
    pub retention_seconds: u32,
    /// How long a new message stays hidden.
    pub delay_seconds: u32,
    /// How long a receive waits for a message by default.
    pub receive_wait_seconds: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<RedrivePolicy>,
}

/// The dead-letter queue of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue's ARN.
    pub dead_letter_arn: String,
    /// How often a message may be received before it moves there.
    pub max_receive_count: u32,
}

impl Queue {
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "KmsDataKeyReusePeriodSeconds",
            "KmsMasterKeyId",
            "QueueName",
            "RedriveAllowPolicy",
            "SqsManagedSseEnabled",
            "Tags",
        ]);
        // The defaults are those of the SQS API reference, CreateQueue.
        let queue = Self {
            logical_id: source.id.to_owned(),
            name: source.attribute("QueueName")?,
            arn: source.attribute("Arn")?,
            url: source.reference()?,
            visibility_timeout_seconds: properties
                .number("VisibilityTimeout", 0..=43_200)?
                .unwrap_or(30),
            retention_seconds: properties
                .number("MessageRetentionPeriod", 60..=1_209_600)?
                .unwrap_or(4 * 24 * 3600),
            delay_seconds: properties.number("DelaySeconds", 0..=900)?.unwrap_or(0),
            receive_wait_seconds: properties
                .number("ReceiveMessageWaitTimeSeconds", 0..=20)?
                .unwrap_or(0),
            redrive: redrive(&mut properties)?,
        };
        properties.finish()?;
        Ok(queue)
    }
}

fn redrive(properties: &mut Properties<'_>) -> Result<Option<RedrivePolicy>, TemplateError> {
    let Some(mut policy) = properties.map("RedrivePolicy")? else {
        return Ok(None);
    };
    let max_receive_count = policy.number("maxReceiveCount", 1..=1000)?;
    let redrive = RedrivePolicy {
        dead_letter_arn: policy.required_text("deadLetterTargetArn")?,
        max_receive_count: policy.required("maxReceiveCount", max_receive_count)?,
    };
    policy.finish()?;
    Ok(Some(redrive))
}

/// A Secrets Manager secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its key in the template.
    pub logical_id: String,
    /// Its physical name.
    pub name: String,
    /// Its ARN, which `Ref` gives.
    pub arn: String,
    /// What it holds at first.
    pub content: SecretContent,
}

/// What a new secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretContent {
    /// No version at all: reading it fails until somebody writes it.
    Empty,
    /// The template's own text.
    Literal(String),
    /// A generated password, alone or inside a JSON object.
    Generated(GeneratedSecret),
}

/// How a secret's first value is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedSecret {
    /// The JSON object that gets the password, and the key it gets it under.
    pub into: Option<(serde_json::Map<String, Value>, String)>,
    /// The password's length in characters.
    pub length: usize,
    /// The characters to choose from, each as likely as the others.
    pub alphabet: Vec<char>,
}

impl GeneratedSecret {
    /// The secret's text, given a password of `length` characters of `alphabet`.
    #[must_use]
    pub fn text(&self, password: &str) -> String {
        match &self.into {
            Some((template, key)) => {
                let mut object = template.clone();
                object.insert(key.clone(), password.into());
                Value::Object(object).to_string()
            }
            None => password.to_owned(),
        }
    }
}

impl Secret {
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "Description",
            "KmsKeyId",
            "Name",
            "ReplicaRegions",
            "Tags",
            "Type",
        ]);
        let content = match (
            properties.map("GenerateSecretString")?,
            properties.text("SecretString")?,
        ) {
            (Some(_), Some(_)) => {
                return Err(properties.invalid(
                    "SecretString",
                    "stands beside GenerateSecretString; keep one of them",
                ));
            }
            (Some(generate), None) => SecretContent::Generated(generated(generate)?),
            (None, Some(text)) => SecretContent::Literal(text),
            (None, None) => SecretContent::Empty,
        };
        properties.finish()?;
        Ok(Self {
            logical_id: source.id.to_owned(),
            name: source.name.clone(),
            arn: source.reference()?,
            content,
        })
    }
}

fn generated(mut properties: Properties<'_>) -> Result<GeneratedSecret, TemplateError> {
    // With an alphabet of several kinds and more than a few characters, each kind is there anyway.
    properties.ignore(&["RequireEachIncludedType"]);
    let template = properties.text("SecretStringTemplate")?;
    let into = match (template, properties.text("GenerateStringKey")?) {
        (Some(template), Some(key)) => {
            let object = serde_json::from_str(&template).map_err(|error| {
                properties.invalid(
                    "SecretStringTemplate",
                    format!("must be a JSON object: {error}"),
                )
            })?;
            Some((object, key))
        }
        (None, None) => None,
        _ => {
            return Err(properties.invalid(
                "GenerateStringKey",
                "and SecretStringTemplate need each other",
            ));
        }
    };
    // AWS's default length and characters, from the Secrets Manager API reference, GetRandomPassword.
    let length = properties.number("PasswordLength", 1..=4096)?.unwrap_or(32);
    let excluded = properties.text("ExcludeCharacters")?.unwrap_or_default();
    let mut alphabet = String::new();
    for (property, characters) in [
        ("ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"),
        ("ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("ExcludeNumbers", "0123456789"),
        ("ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    ] {
        if !properties.flag(property)?.unwrap_or(false) {
            alphabet.push_str(characters);
        }
    }
    if properties.flag("IncludeSpace")?.unwrap_or(false) {
        alphabet.push(' ');
    }
    let alphabet: Vec<char> = alphabet
        .chars()
        .filter(|character| !excluded.contains(*character))
        .collect();
    if alphabet.is_empty() {
        return Err(properties.invalid("ExcludeCharacters", "leaves no character to choose"));
    }
    properties.finish()?;
    Ok(GeneratedSecret {
        into,
        length,
        alphabet,
    })
}
