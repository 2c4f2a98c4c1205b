//! The message in the queue that asks for an attempt.

use serde::{Deserialize, Serialize};

use super::DeliveryId;
use crate::time::Millis;

/// Asks for one attempt of a delivery. It may come more than once: the number decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryMessage {
    /// Which delivery.
    pub id: DeliveryId,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// The time that it has under its endpoint's rate limit, once it has one.
    pub slot: Option<Millis>,
    /// How many times it was sent again because its endpoint is degraded or AWS did not answer: it
    /// waits longer each time.
    pub waits: u16,
}

/// The text is not such a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a delivery's message")]
pub struct InvalidMessage;

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    event: &'a str,
    endpoint: &'a str,
    attempt: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    waits: u16,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl DeliveryMessage {
    /// Asks for this attempt, at once.
    #[must_use]
    pub fn new(id: DeliveryId, attempt: u16) -> DeliveryMessage {
        DeliveryMessage {
            id,
            attempt,
            slot: None,
            waits: 0,
        }
    }

    /// The message's group, which is its endpoint: a fair queue lets none of them hold up others.
    #[must_use]
    pub fn group(&self) -> String {
        self.id.endpoint.to_string()
    }

    /// Its body.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (event, endpoint) = (self.id.event.to_string(), self.id.endpoint.to_string());
        let body = Body {
            event: &event,
            endpoint: &endpoint,
            attempt: self.attempt,
            slot: self.slot.map(|slot| slot.0),
            waits: self.waits,
        };
        // Texts and numbers: nothing in it can fail to serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn from_json(text: &str) -> Result<DeliveryMessage, InvalidMessage> {
        let body: Body<'_> = serde_json::from_str(text).map_err(|_| InvalidMessage)?;
        if body.attempt == 0 {
            return Err(InvalidMessage);
        }
        let event = body.event.parse().map_err(|_| InvalidMessage)?;
        let endpoint = body.endpoint.parse().map_err(|_| InvalidMessage)?;
        Ok(DeliveryMessage {
            id: DeliveryId { event, endpoint },
            attempt: body.attempt,
            slot: body.slot.map(Millis),
            waits: body.waits,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::EndpointId;
    use crate::id::EventId;

    #[test]
    fn a_message_names_its_event_its_endpoint_and_its_attempt() {
        let id = DeliveryId::new(EventId::ZERO, EndpointId::new([0; 16]));
        let text = DeliveryMessage::new(id, 3).to_json();
        let zeros = |n| "0".repeat(n);
        let expected = format!(
            r#"{{"event":"evt_{}","endpoint":"ep_{}","attempt":3}}"#,
            zeros(39),
            zeros(26)
        );
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(
            (event, endpoint) in any::<([u8; 24], [u8; 16])>(),
            attempt in 1..u16::MAX,
            slot in any::<Option<u64>>(),
            waits in any::<u16>(),
        ) {
            let id = DeliveryId::new(EventId::from_bytes(event), EndpointId::new(endpoint));
            let message = DeliveryMessage { id, attempt, slot: slot.map(Millis), waits };
            prop_assert_eq!(DeliveryMessage::from_json(&message.to_json()), Ok(message));
        }

        #[test]
        fn reading_any_text_as_a_message_never_panics(text in ".*") {
            let _ = DeliveryMessage::from_json(&text);
        }
    }
}
