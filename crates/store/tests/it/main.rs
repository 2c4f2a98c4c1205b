//! The store against the embedded DynamoDB, in the tables that the template has.
#![cfg(test)]

mod database;
mod deliveries;
mod endpoints;
mod health;
mod lists;
mod slots;

use std::num::NonZeroU32;

use domain::delivery::{Answer, Exchange, Owed, Pending, Settled, Terms};
use domain::endpoint::{
    CustomHeaders, EndpointStatus, PrivateAddresses, Secrets, Settings, Subscription, TargetUrl,
};
use domain::retry::Jitter;
use domain::signing::SigningSecret;
use domain::{
    DeliveryId, Endpoint, EndpointId, EventId, Millis, Redacted, RetrySchedule, Source, TimeScale,
};

/// When the tests take place.
const NOW: Millis = Millis(1_795_300_000_000);
const HOUR: u64 = 3_600_000;
const RETENTION_HOURS: u32 = 72;

fn endpoint_id(n: u8) -> EndpointId {
    EndpointId::new([n; 16])
}

fn endpoint(n: u8) -> Endpoint {
    let url = TargetUrl::parse("https://hooks.example.com/", PrivateAddresses::Refused);
    Endpoint {
        id: endpoint_id(n),
        settings: Settings {
            url: url.unwrap(),
            description: String::new(),
            subscription: Subscription::default(),
            headers: CustomHeaders::default(),
            schedule: RetrySchedule::default(),
            rate_limit: NonZeroU32::new(10),
        },
        status: EndpointStatus::Enabled,
        secrets: Secrets::new(SigningSecret::generate([n; 32]), NOW),
        ingest_secret: Redacted(String::new()),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    }
}

fn event_id(n: u32) -> EventId {
    EventId::of_content(&[&n.to_be_bytes()], n, &[b"event"], 0)
}

fn delivery_id(event: u32, endpoint: u8) -> DeliveryId {
    DeliveryId::new(event_id(event), endpoint_id(endpoint))
}

fn owed(event: u32, endpoint: u8) -> Owed {
    Owed {
        id: delivery_id(event, endpoint),
        event_type: "order.created".to_owned(),
        source: Source::Api,
        keep_ms: 24 * HOUR,
        due_at: None,
    }
}

/// An attempt that was answered with this status.
fn answered(pending: Pending, status: u16, at: Millis) -> Settled {
    let exchange = Exchange {
        at,
        duration_ms: 5,
        outcome: Ok(Answer::of_status(status)),
    };
    settled(pending, exchange, &RetrySchedule::default(), at)
}

fn settled(pending: Pending, exchange: Exchange, schedule: &RetrySchedule, at: Millis) -> Settled {
    let terms = Terms {
        schedule,
        jitter: Jitter::of(0.5),
        scale: TimeScale::default(),
        retention_ms: u64::from(RETENTION_HOURS) * HOUR,
    };
    pending.complete(exchange).settle(&terms, at)
}
