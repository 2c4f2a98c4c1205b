//! What the calls of the API ask and answer, in AWS JSON 1.0. ("Amazon SQS API reference".)

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attributes::{self, Attribute, Attributes};
use super::message::Message;
use super::refusal::{self, Refusal, invalid, missing, out_of_range};

/// The largest message, and the largest batch of them, attributes included.
pub(super) const MESSAGE_BYTES: usize = 1024 * 1024;
const GROUP_CHARACTERS: usize = 128;
/// 15 minutes.
const DELAY_SECONDS: i64 = 900;
/// 12 hours.
const VISIBILITY_SECONDS: i64 = 43_200;
const WAIT_SECONDS: i64 = 20;
/// The most entries of a batch, and the most messages of a receive.
pub(super) const BATCH: usize = 10;
const TRACE_HEADER: &str = "AWSTraceHeader";

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(&error))
}

pub(super) fn write<T: Serialize>(answer: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(answer).map_err(|_| refusal::FAILED)
}

/// What every call but `GetQueueUrl` has.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OfQueue {
    pub(super) queue_url: Option<String>,
    pub(super) queue_name: Option<String>,
}

/// `SendMessage`, and with an `Id` an entry of `SendMessageBatch`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Send {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default, rename = "QueueUrl")]
    _queue_url: String,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    pub(super) message_attributes: Attributes,
    #[serde(default)]
    pub(super) message_system_attributes: Attributes,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

/// A message that may be sent.
pub(super) struct Sendable {
    pub(super) body: String,
    pub(super) group: String,
    pub(super) delay_ms: Option<u64>,
    pub(super) attributes: Attributes,
    pub(super) trace_header: Option<String>,
    pub(super) answer: Sent,
}

impl Send {
    /// The size that counts.
    pub(super) fn size(&self) -> usize {
        let body = self.message_body.as_ref().map_or(0, String::len);
        body + attributes::size(&self.message_attributes)
    }

    pub(super) fn check(self) -> Result<Sendable, Refusal> {
        let size = self.size();
        let body = self.message_body.filter(|body| !body.is_empty());
        let body = body.ok_or_else(|| missing("MessageBody"))?;
        if size > MESSAGE_BYTES {
            return Err(refusal::TOO_LONG);
        }
        if !body.chars().all(is_allowed) {
            return Err(refusal::INVALID_CONTENTS);
        }
        if self.message_deduplication_id.is_some() {
            return Err(invalid(
                "The request includes a parameter that is not valid for this queue type: MessageDeduplicationId",
            ));
        }
        if self
            .message_group_id
            .as_ref()
            .is_some_and(|id| !is_group(id))
        {
            return Err(invalid(
                "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.",
            ));
        }
        attributes::check(&self.message_attributes)?;
        let trace_header = trace_header(&self.message_system_attributes)?;
        Ok(Sendable {
            group: self.message_group_id.unwrap_or_default(),
            delay_ms: seconds(self.delay_seconds, "DelaySeconds", DELAY_SECONDS)?,
            answer: Sent {
                id: self.id,
                md5_of_message_body: attributes::body_digest(&body),
                md5_of_message_attributes: attributes::digest(&self.message_attributes),
                md5_of_message_system_attributes: attributes::digest(
                    &self.message_system_attributes,
                ),
                message_id: String::new(),
            },
            attributes: self.message_attributes,
            trace_header,
            body,
        })
    }
}

/// The characters that XML 1.0 has.
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

fn is_group(id: &str) -> bool {
    (1..=GROUP_CHARACTERS).contains(&id.len())
        && id.chars().all(|character| character.is_ascii_graphic())
}

/// The only system attribute that a sender may set.
fn trace_header(attributes: &Attributes) -> Result<Option<String>, Refusal> {
    if let Some(other) = attributes.keys().find(|name| *name != TRACE_HEADER) {
        return Err(invalid(format!(
            "Message system attribute name '{other}' is invalid."
        )));
    }
    let value = attributes.get(TRACE_HEADER);
    Ok(value.and_then(|value| value.string_value.clone()))
}

/// A number of seconds that may be left out, in milliseconds.
fn seconds(value: Option<i64>, parameter: &str, most: i64) -> Result<Option<u64>, Refusal> {
    match value {
        None => Ok(None),
        Some(value) => match u64::try_from(value) {
            Ok(seconds) if value <= most => Ok(Some(seconds * 1_000)),
            _ => Err(out_of_range(value, parameter, 0, most)),
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sent {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub(super) md5_of_message_body: String,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) md5_of_message_attributes: Option<String>,
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) md5_of_message_system_attributes: Option<String>,
    pub(super) message_id: String,
}

/// A call with entries.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Batch<E> {
    #[serde(rename = "QueueUrl")]
    _queue_url: String,
    #[serde(default = "Vec::new")]
    pub(super) entries: Vec<E>,
}

impl<E> Batch<E> {
    /// Refuses what no batch may be.
    pub(super) fn check(&self, id: impl Fn(&E) -> &str) -> Result<(), Refusal> {
        match self.entries.len() {
            0 => return Err(refusal::EMPTY_BATCH),
            1..=BATCH => {}
            _ => return Err(refusal::TOO_MANY_ENTRIES),
        }
        let mut ids: Vec<_> = self.entries.iter().map(id).collect();
        if !ids.iter().all(|id| is_entry_id(id)) {
            return Err(refusal::INVALID_ENTRY_ID);
        }
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refusal::IDS_NOT_DISTINCT);
        }
        Ok(())
    }
}

fn is_entry_id(id: &str) -> bool {
    (1..=80).contains(&id.len())
        && id
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

/// What became of the entries of a batch.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchAnswer<S> {
    pub(super) successful: Vec<S>,
    pub(super) failed: Vec<Failed>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failed {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

impl Failed {
    pub(super) fn new(id: &str, refusal: &Refusal) -> Failed {
        Failed {
            id: id.to_owned(),
            sender_fault: refusal.status < 500,
            code: refusal.code,
            message: refusal.message.to_string(),
        }
    }
}

/// An entry that was done.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Done {
    pub(super) id: String,
}

/// `DeleteMessage`, `ChangeMessageVisibility`, and with an `Id` an entry of their batches.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct OfMessage {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default, rename = "QueueUrl")]
    _queue_url: String,
    pub(super) receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl OfMessage {
    pub(super) fn visibility_ms(&self) -> Result<u64, Refusal> {
        let timeout = seconds(
            self.visibility_timeout,
            "VisibilityTimeout",
            VISIBILITY_SECONDS,
        )?;
        timeout.ok_or_else(|| missing("VisibilityTimeout"))
    }
}

/// `ReceiveMessage`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Receive {
    #[serde(rename = "QueueUrl")]
    _queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
}

const SYSTEM_ATTRIBUTES: [&str; 9] = [
    "All",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    TRACE_HEADER,
    "DeadLetterQueueSourceArn",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    // Of FIFO queues, and never there.
    "SequenceNumber",
];

impl Receive {
    pub(super) fn most(&self) -> Result<usize, Refusal> {
        let most = self.max_number_of_messages.unwrap_or(1);
        match usize::try_from(most) {
            Ok(count @ 1..=BATCH) => Ok(count),
            _ => Err(out_of_range(most, "MaxNumberOfMessages", 1, BATCH as i64)),
        }
    }

    pub(super) fn visibility_ms(&self) -> Result<Option<u64>, Refusal> {
        seconds(
            self.visibility_timeout,
            "VisibilityTimeout",
            VISIBILITY_SECONDS,
        )
    }

    /// How long to wait for a message, in milliseconds.
    pub(super) fn wait_ms(&self) -> Result<Option<u64>, Refusal> {
        seconds(self.wait_time_seconds, "WaitTimeSeconds", WAIT_SECONDS)
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        let known = |name: &&String| !SYSTEM_ATTRIBUTES.contains(&name.as_str());
        match self.system_names().find(known) {
            Some(_) => Err(refusal::INVALID_ATTRIBUTE),
            None => Ok(()),
        }
    }

    fn system_names(&self) -> impl Iterator<Item = &String> {
        let old = self.attribute_names.iter();
        old.chain(&self.message_system_attribute_names)
    }

    fn wants_system(&self, name: &str) -> bool {
        self.system_names()
            .any(|wanted| wanted == "All" || wanted == name)
    }

    /// `All`, `.*`, a name, or the beginning of one with `.*` behind it.
    fn wants(&self, name: &str) -> bool {
        self.message_attribute_names.iter().any(|wanted| {
            wanted == "All"
                || wanted == name
                || wanted
                    .strip_suffix(".*")
                    .is_some_and(|prefix| name.starts_with(prefix))
        })
    }

    /// A message with what was asked for.
    pub(super) fn show(&self, message: &Message) -> Shown {
        let mut system = system_attributes(message);
        system.retain(|name, _| self.wants_system(name));
        let mut attributes = message_attributes(message);
        attributes.retain(|name, _| self.wants(name));
        Shown {
            message_id: message.content.message_id.clone(),
            receipt_handle: message.receipt_handle.clone(),
            md5_of_body: attributes::body_digest(&message.content.body),
            body: message.content.body.clone(),
            attributes: system,
            md5_of_message_attributes: attributes::digest(&attributes),
            message_attributes: attributes,
        }
    }
}

/// What SQS itself says of a message.
pub(crate) fn system_attributes(message: &Message) -> BTreeMap<&'static str, String> {
    let first = message.first_received_at.unwrap_or_default();
    let mut attributes = BTreeMap::from([
        ("ApproximateFirstReceiveTimestamp", first.0.to_string()),
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("SenderId", message.content.sender.clone()),
        ("SentTimestamp", message.sent_at.0.to_string()),
    ]);
    let more = [
        (TRACE_HEADER, &message.content.trace_header),
        ("DeadLetterQueueSourceArn", &message.dead_letter_source),
        ("MessageGroupId", &message.group),
    ];
    attributes.extend(
        more.into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?))),
    );
    attributes
}

pub(super) fn message_attributes(message: &Message) -> Attributes {
    serde_json::from_str(&message.content.attributes).unwrap_or_default()
}

/// The element of `Records` that Lambda makes of a message.
pub(crate) fn record(message: &Message, queue_arn: &str, region: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Record<'m> {
        message_id: &'m str,
        receipt_handle: &'m str,
        body: &'m str,
        attributes: BTreeMap<&'static str, String>,
        message_attributes: BTreeMap<String, LambdaAttribute>,
        md5_of_body: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        md5_of_message_attributes: Option<String>,
        event_source: &'static str,
        #[serde(rename = "eventSourceARN")]
        event_source_arn: &'m str,
        aws_region: &'m str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct LambdaAttribute {
        #[serde(skip_serializing_if = "Option::is_none")]
        string_value: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary_value: Option<String>,
        string_list_values: [String; 0],
        binary_list_values: [String; 0],
        data_type: String,
    }
    let attributes = message_attributes(message);
    let shown = |(name, attribute): (String, Attribute)| {
        let attribute = LambdaAttribute {
            string_value: attribute.string_value,
            binary_value: attribute.binary_value,
            string_list_values: [],
            binary_list_values: [],
            data_type: attribute.data_type,
        };
        (name, attribute)
    };
    let record = Record {
        message_id: &message.content.message_id,
        receipt_handle: &message.receipt_handle,
        body: &message.content.body,
        attributes: system_attributes(message),
        md5_of_body: attributes::body_digest(&message.content.body),
        md5_of_message_attributes: attributes::digest(&attributes),
        message_attributes: attributes.into_iter().map(shown).collect(),
        event_source: "aws:sqs",
        event_source_arn: queue_arn,
        aws_region: region,
    };
    serde_json::to_string(&record).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    md5_of_message_attributes: Option<String>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    message_attributes: Attributes,
}

/// `GetQueueAttributes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetAttributes {
    #[serde(rename = "QueueUrl")]
    _queue_url: String,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
}
