//! Message attributes and their digest. ("Amazon SQS message metadata".)

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::refusal::{Refusal, invalid};

/// The most attributes of a message.
const MOST: usize = 10;
const NAME_CHARACTERS: usize = 256;

/// In the order of their names, which is that of the digest.
pub(super) type Attributes = BTreeMap<String, Attribute>;

/// The value of an attribute. SQS knows lists by name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Attribute {
    pub(super) data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) string_value: Option<String>,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) binary_value: Option<String>,
}

impl Attribute {
    fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.string_value, &self.binary_value) {
            (Some(text), None) => Some(text.as_bytes().to_vec()),
            (None, Some(text)) => STANDARD.decode(text).ok(),
            _ => None,
        }
    }

    fn is_valid(&self) -> bool {
        let kind = self.data_type.split('.').next().unwrap_or_default();
        let fits = match kind {
            "String" => self.string_value.is_some(),
            "Number" => self
                .string_value
                .as_ref()
                .is_some_and(|text| text.parse::<f64>().is_ok()),
            "Binary" => self.binary_value.is_some(),
            _ => false,
        };
        fits && self.data_type.len() <= NAME_CHARACTERS
            && self.bytes().is_some_and(|bytes| !bytes.is_empty())
    }
}

/// Refuses attributes that SQS does not take.
pub(super) fn check(attributes: &Attributes) -> Result<(), Refusal> {
    if attributes.len() > MOST {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MOST}].",
            attributes.len()
        )));
    }
    for (name, attribute) in attributes {
        if !is_name(name) {
            return Err(invalid(format!(
                "The message attribute name '{name}' is invalid."
            )));
        }
        if !attribute.is_valid() {
            return Err(invalid(format!(
                "The message attribute '{name}' has an invalid type or value."
            )));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=NAME_CHARACTERS).contains(&name.len())
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "_-.".contains(character))
}

/// What they add to the size of a message.
pub(super) fn size(attributes: &Attributes) -> usize {
    let size = |(name, attribute): (&String, &Attribute)| {
        name.len() + attribute.data_type.len() + attribute.bytes().map_or(0, |bytes| bytes.len())
    };
    attributes.iter().map(size).sum()
}

/// The digest of attributes; none when there are none. ("Calculating the MD5 message digest for
/// message attributes".)
pub(super) fn digest(attributes: &Attributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut md5 = Md5::new();
    for (name, attribute) in attributes {
        add(&mut md5, name.as_bytes());
        add(&mut md5, attribute.data_type.as_bytes());
        md5.update([if attribute.binary_value.is_some() {
            2
        } else {
            1
        }]);
        add(&mut md5, &attribute.bytes().unwrap_or_default());
    }
    Some(HEXLOWER.encode(&md5.finalize()))
}

fn add(md5: &mut Md5, bytes: &[u8]) {
    md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    md5.update(bytes);
}

/// The digest of a body.
pub(super) fn body_digest(body: &str) -> String {
    HEXLOWER.encode(&Md5::digest(body.as_bytes()))
}
