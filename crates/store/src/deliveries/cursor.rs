//! Places in lists of deliveries and attempts.

use std::fmt;
use std::str::FromStr;

use domain::delivery::Attempt;
use domain::{Delivery, DeliveryId, EndpointId, EventId, Millis};

use super::index::Entry;
use crate::keys::{self, DeliveryKey, Listed};

/// A place in a list of deliveries or attempts: by time, event, attempt (0 in a list of deliveries)
/// and endpoint. It stays where it is whatever changes around it. `Display` and `FromStr` are its
/// text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryCursor {
    pub(super) at: Millis,
    pub(super) event: EventId,
    pub(super) attempt: u16,
    pub(super) endpoint: EndpointId,
}

/// The text is no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct InvalidCursor;

impl DeliveryCursor {
    pub(super) fn of(entry: &Entry) -> DeliveryCursor {
        let (id, attempt) = match entry.key {
            DeliveryKey::Delivery(id) => (id, 0),
            DeliveryKey::Attempt(id, number) => (id, number),
        };
        DeliveryCursor {
            at: entry.at,
            event: id.event,
            attempt,
            endpoint: id.endpoint,
        }
    }

    /// Where a delivery stands in a list: at when it was settled or is due.
    #[must_use]
    pub fn of_delivery(delivery: &Delivery) -> DeliveryCursor {
        DeliveryCursor {
            at: delivery.settled_at.or(delivery.due_at).unwrap_or(Millis(0)),
            event: delivery.id.event,
            attempt: 0,
            endpoint: delivery.id.endpoint,
        }
    }

    /// Where an attempt stands in a list.
    #[must_use]
    pub fn of_attempt(attempt: &Attempt) -> DeliveryCursor {
        DeliveryCursor {
            at: attempt.exchange.at,
            event: attempt.delivery.event,
            attempt: attempt.number,
            endpoint: attempt.delivery.endpoint,
        }
    }

    /// The time of it.
    #[must_use]
    pub fn at(&self) -> Millis {
        self.at
    }

    /// The delivery, or that of the attempt, that stands there.
    #[must_use]
    pub fn delivery(&self) -> DeliveryId {
        DeliveryId::new(self.event, self.endpoint)
    }

    /// Its place in an endpoint's partition of the index.
    fn place(&self, listed: Listed) -> String {
        match listed {
            Listed::Deliveries(status) => keys::delivery_at(status, self.at, self.event),
            Listed::Attempts => keys::attempt_at(self.at, self.event, self.attempt),
        }
    }

    /// Up to where an endpoint's entries stand before it.
    pub(super) fn end_before(&self, listed: Listed, endpoint: EndpointId) -> String {
        let place = self.place(listed);
        if endpoint < self.endpoint {
            place
        } else {
            keys::just_before(&place)
        }
    }

    /// From where on an endpoint's entries stand behind it.
    pub(super) fn start_behind(&self, listed: Listed, endpoint: EndpointId) -> String {
        let place = self.place(listed);
        if endpoint > self.endpoint {
            place
        } else {
            keys::just_behind(&place)
        }
    }
}

impl fmt::Display for DeliveryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, endpoint) = (self.event.key(), self.endpoint.key());
        write!(f, "{}-{event}-{}-{endpoint}", self.at.0, self.attempt)
    }
}

impl FromStr for DeliveryCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<DeliveryCursor, InvalidCursor> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(InvalidCursor);
        let at: u64 = next()?.parse().map_err(|_| InvalidCursor)?;
        let event = EventId::from_key(next()?).map_err(|_| InvalidCursor)?;
        let attempt = next()?.parse().map_err(|_| InvalidCursor)?;
        let endpoint = EndpointId::from_key(next()?).map_err(|_| InvalidCursor)?;
        // Later than anything is: its key would have another length.
        if parts.next().is_some() || Millis(at) > Millis::MAX {
            return Err(InvalidCursor);
        }
        Ok(DeliveryCursor {
            at: Millis(at),
            event,
            attempt,
            endpoint,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::DeliveryStatus;
    use proptest::prelude::*;

    use super::*;

    fn any_cursor() -> impl Strategy<Value = DeliveryCursor> {
        (0..3u64, 0..3u8, 0..12u16, 0..3u8).prop_map(|(at, event, attempt, endpoint)| {
            DeliveryCursor {
                at: Millis(at),
                event: EventId::of_content(&[&[event]], 0, &[], 0),
                attempt,
                endpoint: EndpointId::new([endpoint; 16]),
            }
        })
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(cursor in any_cursor()) {
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn reading_any_text_as_a_cursor_never_panics(text in "[0-9a-z-]*|.*") {
            let _ = text.parse::<DeliveryCursor>();
        }

        #[test]
        fn a_cursor_parts_all_endpoints_in_the_same_place(a in any_cursor(), b in any_cursor()) {
            for listed in [Listed::Attempts, Listed::Deliveries(DeliveryStatus::Failed)] {
                let is_attempt = listed == Listed::Attempts;
                let (a, b) = match is_attempt {
                    true => (a, b),
                    false => (DeliveryCursor { attempt: 0, ..a }, DeliveryCursor { attempt: 0, ..b }),
                };
                let place = a.place(listed);
                prop_assert_eq!(place <= b.end_before(listed, a.endpoint), a < b);
                prop_assert_eq!(place >= b.start_behind(listed, a.endpoint), a > b);
            }
        }
    }
}
