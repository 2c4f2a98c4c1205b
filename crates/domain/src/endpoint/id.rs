//! What names an endpoint.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::id::BASE32;

const PREFIX: &str = "ep_";
const BYTES: usize = 16;

/// The name of an endpoint: 128 random bits. `Display` shows `ep_` and 26 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId([u8; BYTES]);

/// The text is not an endpoint's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an endpoint id")]
pub struct InvalidEndpointId;

impl EndpointId {
    /// The name made of random bits.
    #[must_use]
    pub fn new(random: [u8; BYTES]) -> EndpointId {
        EndpointId(random)
    }

    /// The id without its prefix.
    #[must_use]
    pub fn key(&self) -> String {
        BASE32.encode(&self.0)
    }

    /// Reads what [`EndpointId::key`] wrote.
    ///
    /// # Errors
    /// When the text is not such a key.
    pub fn from_key(key: &str) -> Result<EndpointId, InvalidEndpointId> {
        let bytes = BASE32.decode(key.as_bytes());
        let bytes = bytes.map_err(|_| InvalidEndpointId)?;
        bytes
            .try_into()
            .map(EndpointId)
            .map_err(|_| InvalidEndpointId)
    }

    pub(crate) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl FromStr for EndpointId {
    type Err = InvalidEndpointId;

    fn from_str(text: &str) -> Result<EndpointId, InvalidEndpointId> {
        EndpointId::from_key(text.strip_prefix(PREFIX).ok_or(InvalidEndpointId)?)
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.key())
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for EndpointId {
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
        fn an_id_round_trips_through_its_text(random in any::<[u8; BYTES]>()) {
            let id = EndpointId::new(random);
            // 128 bits in base32.
            prop_assert_eq!(id.key().len(), 26);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn keys_sort_as_ids_do(a in any::<[u8; BYTES]>(), b in any::<[u8; BYTES]>()) {
            let (a, b) = (EndpointId::new(a), EndpointId::new(b));
            prop_assert_eq!(a.key().cmp(&b.key()), a.cmp(&b));
        }

        #[test]
        fn reading_any_text_as_an_id_never_panics(text in ".*") {
            let _ = text.parse::<EndpointId>();
            let _ = EndpointId::from_key(&text);
        }
    }
}
