//! A message, and the handle by which its receiver names it.

use data_encoding::BASE64URL_NOPAD;

use super::line::Id;
use crate::clock::Millis;

/// What a sender says.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Content {
    /// A UUID.
    pub message_id: String,
    /// At most 1 MiB, the attributes included.
    pub body: String,
    /// Its message attributes as the JSON of the API; empty when it has none.
    pub attributes: String,
    /// `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// `SenderId`: the caller's.
    pub sender: String,
}

/// A message as it is in a queue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Message {
    /// What its sender said.
    #[serde(flatten)]
    pub content: Content,
    /// `MessageGroupId`.
    pub group: Option<String>,
    /// `SentTimestamp`.
    pub sent_at: Millis,
    /// `ApproximateFirstReceiveTimestamp`.
    pub first_received_at: Option<Millis>,
    /// `ApproximateReceiveCount`.
    pub receives: u32,
    /// When it can be received, or could.
    pub visible_at: Millis,
    /// The ARN of the queue that it could not be delivered from.
    pub dead_letter_source: Option<String>,
    /// What deletes it; empty for who only looks.
    #[serde(skip)]
    pub receipt_handle: String,
}

/// Which receipt of which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) id: Id,
    /// An older receipt's handle does nothing.
    pub(super) receives: u32,
    pub(super) received_at: Millis,
}

impl Handle {
    /// The handle as text, bound to a queue by its ARN.
    pub(super) fn text(&self, queue_arn: &str) -> String {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.receives.to_be_bytes());
        bytes.extend(self.received_at.0.to_be_bytes());
        bytes.extend(check(&bytes, queue_arn).to_be_bytes());
        BASE64URL_NOPAD.encode(&bytes)
    }

    pub(super) fn parse(text: &str, queue_arn: &str) -> Option<Handle> {
        let bytes: [u8; 28] = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()?
            .try_into()
            .ok()?;
        let (fields, found) = bytes.split_at(20);
        if found != check(fields, queue_arn).to_be_bytes() {
            return None;
        }
        Some(Handle {
            id: Id::from_be_bytes(fields[..8].try_into().ok()?),
            receives: u32::from_be_bytes(fields[8..12].try_into().ok()?),
            received_at: Millis(u64::from_be_bytes(fields[12..].try_into().ok()?)),
        })
    }
}

/// FNV-1a: tells a handle of another queue, or what is none, from ours.
fn check(fields: &[u8], queue_arn: &str) -> u64 {
    let bytes = fields.iter().copied().chain(queue_arn.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_for_its_own_queue() {
        let handle = Handle {
            id: 7,
            receives: 2,
            received_at: Millis(1_795_000_000_000),
        };
        let text = handle.text("arn:one");
        assert_eq!(Handle::parse(&text, "arn:one"), Some(handle));
        assert_eq!(Handle::parse(&text, "arn:two"), None);
        assert_eq!(Handle::parse("nonsense", "arn:one"), None);
    }
}
