//! Deliveries and attempts as items of the deliveries table.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::delivery::{Answer, Attempt, ErrorClass, Exchange, TlsFaults};
use domain::{Delivery, DeliveryId, DeliveryStatus, Millis, Redacted, Source};

use crate::attributes::{flag, get_flag, get_number, get_text, get_time, key, number, text, time};
use crate::compression::{Compressor, decompress};
use crate::error::StoreError;
use crate::item::Item;
use crate::keys::{self, DeliveryKey};

/// The version of the attributes and of what is in `answer`.
const VERSION: u64 = 1;
/// Between an answer's headers and its body. The headers are JSON without line breaks, in which no
/// control character stands.
const SEPARATOR: u8 = 0;

/// Attributes of the deliveries table.
pub(super) mod attribute {
    pub(in crate::deliveries) const V: &str = "v";
    pub(in crate::deliveries) const STATUS: &str = "status";
    pub(in crate::deliveries) const ATTEMPTS: &str = "attempts";
    pub(in crate::deliveries) const RECORDED: &str = "recorded";
    pub(in crate::deliveries) const CLAIMED_UNTIL: &str = "claimed_until";
    /// Which claim it was, so that who asks twice knows its own.
    pub(in crate::deliveries) const CLAIM: &str = "claim";
    pub(in crate::deliveries) const ONCE: &str = "once";
    pub(in crate::deliveries) const DUE_AT: &str = "due_at";
    /// How often it was taken to be sent since something has happened to it.
    pub(in crate::deliveries) const TAKEN: &str = "taken";
    pub(in crate::deliveries) const CREATED_AT: &str = "created_at";
    pub(in crate::deliveries) const SETTLED_AT: &str = "settled_at";
    pub(in crate::deliveries) const TYPE: &str = "type";
    pub(in crate::deliveries) const SOURCE: &str = "source";
    pub(in crate::deliveries) const ENDPOINT_SHARD: &str = "endpoint_shard";
    pub(in crate::deliveries) const STATE_AT: &str = "state_at";
    pub(in crate::deliveries) const EXPIRES_AT: &str = "expires_at";
    /// Of an attempt.
    pub(in crate::deliveries) const AT: &str = "at";
    pub(in crate::deliveries) const DURATION: &str = "duration_ms";
    pub(in crate::deliveries) const HTTP_STATUS: &str = "http_status";
    pub(in crate::deliveries) const ERROR: &str = "error";
    pub(in crate::deliveries) const TLS: &str = "tls";
    pub(in crate::deliveries) const ANSWER: &str = "answer";
    pub(in crate::deliveries) const IS_CUT: &str = "is_cut";
    /// Of a parked record.
    pub(in crate::deliveries) const REASON: &str = "reason";
}

/// The key of a delivery's row.
pub(super) fn delivery_key(id: DeliveryId) -> Item {
    key(keys::deliveries(id.event), keys::delivery(id.endpoint))
}

/// What an item is, by its key.
pub(super) fn key_of(item: &Item) -> Option<DeliveryKey> {
    keys::parse_delivery(get_text(item, "pk")?, get_text(item, "sk")?)
}

/// A pending delivery's place in the index.
pub(super) fn pending_at(id: DeliveryId, due_at: Millis) -> AttributeValue {
    text(keys::delivery_at(DeliveryStatus::Pending, due_at, id.event))
}

/// The row of a delivery.
pub(super) fn of_delivery(delivery: &Delivery) -> Item {
    let id = delivery.id;
    let mut item = delivery_key(id);
    let mut set = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    let listed_at = delivery.due_at.or(delivery.settled_at);
    let listed_at = listed_at.unwrap_or(delivery.created_at);
    let state_at = keys::delivery_at(delivery.status, listed_at, id.event);
    set(attribute::V, number(VERSION));
    set(attribute::STATUS, text(delivery.status.as_str()));
    set(attribute::ATTEMPTS, number(delivery.attempts));
    set(attribute::RECORDED, number(delivery.recorded));
    set(attribute::CREATED_AT, time(delivery.created_at));
    set(attribute::TYPE, text(&delivery.event_type));
    set(attribute::SOURCE, text(delivery.source.as_str()));
    set(attribute::ENDPOINT_SHARD, text(keys::endpoint_shard(id)));
    set(attribute::STATE_AT, text(state_at));
    set(attribute::EXPIRES_AT, number(delivery.expires_at.as_secs()));
    if delivery.claimed_until > Millis(0) {
        set(attribute::CLAIMED_UNTIL, time(delivery.claimed_until));
    }
    if delivery.once {
        set(attribute::ONCE, flag(true));
    }
    if let Some(at) = delivery.due_at {
        set(attribute::DUE_AT, time(at));
    }
    if let Some(at) = delivery.settled_at {
        set(attribute::SETTLED_AT, time(at));
    }
    item
}

/// Reads what [`of_delivery`] wrote.
pub(super) fn to_delivery(item: &Item) -> Result<Delivery, StoreError> {
    read_delivery(item).ok_or(StoreError::Corrupt("a delivery"))
}

fn read_delivery(item: &Item) -> Option<Delivery> {
    let Some(DeliveryKey::Delivery(id)) = key_of(item) else {
        return None;
    };
    let expires_at: u64 = get_number(item, attribute::EXPIRES_AT)?;
    Some(Delivery {
        id,
        status: DeliveryStatus::from_word(get_text(item, attribute::STATUS)?)?,
        attempts: get_number(item, attribute::ATTEMPTS)?,
        recorded: get_number(item, attribute::RECORDED)?,
        claimed_until: get_time(item, attribute::CLAIMED_UNTIL).unwrap_or_default(),
        once: get_flag(item, attribute::ONCE).unwrap_or(false),
        due_at: get_time(item, attribute::DUE_AT),
        created_at: get_time(item, attribute::CREATED_AT)?,
        settled_at: get_time(item, attribute::SETTLED_AT),
        event_type: get_text(item, attribute::TYPE)?.to_owned(),
        source: Source::from_word(get_text(item, attribute::SOURCE)?)?,
        expires_at: Millis(expires_at.saturating_mul(1_000)),
    })
}

/// Whether an item has expired; DynamoDB may take days to remove it.
pub(super) fn is_expired(item: &Item, now: Millis) -> bool {
    get_number::<u64>(item, attribute::EXPIRES_AT).is_some_and(|at| at < now.as_secs())
}

/// The item of an attempt, which is kept for `retention_ms`.
pub(super) fn of_attempt(
    attempt: &Attempt,
    retention_ms: u64,
    compressor: &mut Compressor,
) -> Result<Item, StoreError> {
    let (id, exchange) = (attempt.delivery, &attempt.exchange);
    let state_at = keys::attempt_at(exchange.at, id.event, attempt.number);
    let expires_at = exchange.at.plus(retention_ms).as_secs();
    let mut item = key(
        keys::deliveries(id.event),
        keys::attempt(id.endpoint, attempt.number),
    );
    let mut set = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    set(attribute::V, number(VERSION));
    set(attribute::AT, time(exchange.at));
    set(attribute::DURATION, number(exchange.duration_ms));
    set(attribute::ENDPOINT_SHARD, text(keys::endpoint_shard(id)));
    set(attribute::STATE_AT, text(state_at));
    set(attribute::EXPIRES_AT, number(expires_at));
    match &exchange.outcome {
        Err(class) => {
            set(attribute::ERROR, text(class.as_str()));
            let faults = class.tls_faults();
            if !faults.is_empty() {
                set(attribute::TLS, text(faults.to_text()));
            }
        }
        Ok(answer) => {
            set(attribute::HTTP_STATUS, number(answer.status));
            if !answer.headers.is_empty() || !answer.body.is_empty() {
                let compressed = compressor.compress(&answer_text(answer)?)?;
                set(attribute::ANSWER, AttributeValue::B(Blob::new(compressed)));
            }
            if answer.is_cut {
                set(attribute::IS_CUT, flag(true));
            }
        }
    }
    Ok(item)
}

fn answer_text(answer: &Answer) -> Result<Vec<u8>, StoreError> {
    let headers = serde_json::to_vec(&answer.headers.0);
    let mut text = headers.map_err(|_| StoreError::Corrupt("headers are not JSON"))?;
    text.push(SEPARATOR);
    text.extend_from_slice(&answer.body);
    Ok(text)
}

/// Reads what [`of_attempt`] wrote.
pub(super) fn to_attempt(item: &Item) -> Result<Attempt, StoreError> {
    read_attempt(item).ok_or(StoreError::Corrupt("an attempt"))
}

fn read_attempt(item: &Item) -> Option<Attempt> {
    let Some(DeliveryKey::Attempt(delivery, number)) = key_of(item) else {
        return None;
    };
    let outcome = match get_number(item, attribute::HTTP_STATUS) {
        Some(status) => Ok(read_answer(item, status)?),
        None => {
            let faults = get_text(item, attribute::TLS).unwrap_or_default();
            let class = get_text(item, attribute::ERROR)?;
            Err(ErrorClass::stored(class, TlsFaults::from_text(faults)))
        }
    };
    Some(Attempt {
        delivery,
        number,
        exchange: Exchange {
            at: get_time(item, attribute::AT)?,
            duration_ms: get_number(item, attribute::DURATION)?,
            outcome,
        },
    })
}

fn read_answer(item: &Item, status: u16) -> Option<Answer> {
    let mut answer = Answer::of_status(status);
    answer.is_cut = get_flag(item, attribute::IS_CUT).unwrap_or(false);
    if let Some(AttributeValue::B(compressed)) = item.get(attribute::ANSWER) {
        let text = decompress(compressed.as_ref()).ok()?;
        let end = text.iter().position(|byte| *byte == SEPARATOR)?;
        answer.headers = Redacted(serde_json::from_slice(&text[..end]).ok()?);
        answer.body = Redacted(text[end + 1..].to_vec());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use domain::{EndpointId, EventId};

    use super::*;

    fn id() -> DeliveryId {
        DeliveryId::new(EventId::ZERO, EndpointId::new([7; 16]))
    }

    fn delivery(status: DeliveryStatus, due: Option<u64>, settled: Option<u64>) -> Delivery {
        Delivery {
            id: id(),
            status,
            attempts: 3,
            recorded: 2,
            claimed_until: Millis(60_000),
            once: true,
            due_at: due.map(Millis),
            created_at: Millis(5),
            settled_at: settled.map(Millis),
            event_type: "order.created".to_owned(),
            source: Source::Ingest,
            expires_at: Millis(90_000),
        }
    }

    fn stored(attempt: &Attempt) -> Item {
        of_attempt(attempt, 1_000, &mut Compressor::new().unwrap()).unwrap()
    }

    fn attempt(outcome: Result<Answer, ErrorClass>) -> Attempt {
        Attempt {
            delivery: id(),
            number: 3,
            exchange: Exchange {
                at: Millis(1_795_300_005_123),
                duration_ms: 12,
                outcome,
            },
        }
    }

    #[test]
    fn a_delivery_is_read_as_it_was_stored() {
        for delivery in [
            delivery(DeliveryStatus::Pending, Some(70_000), None),
            delivery(DeliveryStatus::Failed, None, Some(60_000)),
        ] {
            assert_eq!(to_delivery(&of_delivery(&delivery)).unwrap(), delivery);
        }
    }

    #[test]
    fn a_delivery_is_listed_by_when_it_is_due_or_was_settled() {
        let place = |delivery: &Delivery| {
            let item = of_delivery(delivery);
            get_text(&item, attribute::STATE_AT).unwrap().to_owned()
        };
        let pending = place(&delivery(DeliveryStatus::Pending, Some(70_000), None));
        assert!(pending.starts_with("p#0000000070000#evt_"), "{pending}");
        let failed = place(&delivery(DeliveryStatus::Failed, None, Some(60_000)));
        assert!(failed.starts_with("f#0000000060000#evt_"), "{failed}");
    }

    #[test]
    fn an_attempt_is_read_as_it_was_stored() {
        let answer = Answer {
            headers: Redacted(vec![("server".to_owned(), "a\nb\0".to_owned())]),
            body: Redacted(b"\0\xff{}\0".to_vec()),
            is_cut: true,
            ..Answer::of_status(503)
        };
        let answers = [
            Ok(answer),
            Ok(Answer::of_status(204)),
            Err(ErrorClass::Tls(TlsFaults::NONE)),
            Err(ErrorClass::Tls(TlsFaults::from_text("expired wrong_host"))),
            Err(ErrorClass::NotHttp),
        ];
        for outcome in answers {
            let attempt = attempt(outcome);
            assert_eq!(to_attempt(&stored(&attempt)).unwrap(), attempt);
        }
    }

    #[test]
    fn what_was_stored_under_this_version_stays_readable() {
        let item = |attributes: &[(&str, AttributeValue)]| {
            let mut item = Item::new();
            for (name, value) in attributes {
                item.insert((*name).to_owned(), value.clone());
            }
            item
        };
        let event = "evt_000000000000000000000000000000000000000";
        let endpoint = format!("ep_{}", id().endpoint.key());
        let row = item(&[
            ("pk", text(event)),
            ("sk", text(format!("d#{endpoint}"))),
            ("v", number(1u64)),
            ("status", text("pending")),
            ("attempts", number(3u64)),
            ("recorded", number(2u64)),
            ("claimed_until", number(60_000u64)),
            ("once", flag(true)),
            ("due_at", number(70_000u64)),
            ("created_at", number(5u64)),
            ("type", text("order.created")),
            ("source", text("ingest")),
            ("endpoint_shard", text(format!("{endpoint}#0"))),
            ("state_at", text(format!("p#0000000070000#{event}"))),
            ("expires_at", number(90u64)),
        ]);
        let expected = delivery(DeliveryStatus::Pending, Some(70_000), None);
        assert_eq!(of_delivery(&expected), row);
        assert_eq!(to_delivery(&row).unwrap(), expected);
        let row = item(&[
            ("pk", text(event)),
            ("sk", text(format!("a#{endpoint}#00003"))),
            ("v", number(1u64)),
            ("at", number(1_795_300_005_123u64)),
            ("duration_ms", number(12u64)),
            ("error", text("refused")),
            ("endpoint_shard", text(format!("{endpoint}#0"))),
            ("state_at", text(format!("a#1795300005123#{event}#00003"))),
            ("expires_at", number(1_795_300_006u64)),
        ]);
        let expected = attempt(Err(ErrorClass::Refused));
        assert_eq!(stored(&expected), row);
        assert_eq!(to_attempt(&row).unwrap(), expected);
    }

    #[test]
    fn items_are_within_a_write_unit() {
        let bytes = |item: &Item| -> usize {
            let value = |value: &AttributeValue| match value {
                AttributeValue::S(text) => text.len(),
                AttributeValue::B(bytes) => bytes.as_ref().len(),
                _ => 8,
            };
            item.iter().map(|(name, v)| name.len() + value(v)).sum()
        };
        let row = of_delivery(&delivery(DeliveryStatus::Pending, Some(70_000), None));
        assert!(bytes(&row) < 512, "{}", bytes(&row));
        let page = "<p>Internal Server Error</p>\n".repeat(100);
        let answer = Answer {
            headers: Redacted(vec![("content-type".to_owned(), "text/html".to_owned())]),
            body: Redacted(page.into_bytes()),
            ..Answer::of_status(500)
        };
        let item = stored(&attempt(Ok(answer)));
        assert!(bytes(&item) < 512, "{}", bytes(&item));
    }
}
