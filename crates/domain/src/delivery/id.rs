//! What names a delivery.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::endpoint::EndpointId;
use crate::id::EventId;

const PREFIX: &str = "dlv_";

/// The name of a delivery: one event that is owed to one endpoint. `Display` shows `dlv_`, what
/// stands behind the event's prefix, `_`, and what stands behind the endpoint's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// What is owed.
    pub event: EventId,
    /// To whom.
    pub endpoint: EndpointId,
}

/// The text is not a delivery's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a delivery id")]
pub struct InvalidDeliveryId;

impl DeliveryId {
    /// The delivery of this event to this endpoint.
    #[must_use]
    pub fn new(event: EventId, endpoint: EndpointId) -> DeliveryId {
        DeliveryId { event, endpoint }
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidDeliveryId;

    fn from_str(text: &str) -> Result<DeliveryId, InvalidDeliveryId> {
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidDeliveryId)?;
        let (event, endpoint) = rest.split_once('_').ok_or(InvalidDeliveryId)?;
        Ok(DeliveryId {
            event: EventId::from_key(event).map_err(|_| InvalidDeliveryId)?,
            endpoint: EndpointId::from_key(endpoint).map_err(|_| InvalidDeliveryId)?,
        })
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_{}", self.event.key(), self.endpoint.key())
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for DeliveryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_parses_back_to_its_event_and_endpoint(event in any::<[u8; 24]>(), endpoint in any::<[u8; 16]>()) {
            let id = DeliveryId::new(EventId::from_bytes(event), EndpointId::new(endpoint));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().len(), 4 + 39 + 1 + 26);
        }

        #[test]
        fn reading_any_text_as_an_id_never_panics(text in "(dlv_)?.*") {
            let _ = text.parse::<DeliveryId>();
        }
    }
}
