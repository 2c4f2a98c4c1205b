//! Deliveries and attempts as they are shown.

use domain::delivery::{Attempt, ErrorClass, TlsFault};
use domain::{Delivery, DeliveryStatus};

use crate::schema::deliveries as schema;

pub(crate) fn delivery(delivery: &Delivery) -> schema::Delivery {
    schema::Delivery {
        id: delivery.id.to_string(),
        event_id: delivery.id.event.to_string(),
        endpoint_id: delivery.id.endpoint.to_string(),
        event_type: delivery.event_type.clone(),
        status: match delivery.status {
            DeliveryStatus::Pending => schema::DeliveryStatus::Pending,
            DeliveryStatus::Delivered => schema::DeliveryStatus::Delivered,
            DeliveryStatus::Failed => schema::DeliveryStatus::Failed,
            DeliveryStatus::Cancelled => schema::DeliveryStatus::Cancelled,
        },
        attempt_count: delivery.attempts,
        created_at: delivery.created_at.to_string(),
        due_at: delivery.due_at.map(|at| at.to_string()),
        settled_at: delivery.settled_at.map(|at| at.to_string()),
    }
}

pub(crate) fn attempt(attempt: &Attempt) -> schema::Attempt {
    let exchange = &attempt.exchange;
    let answer = exchange.outcome.as_ref().ok();
    let headers = answer.map(|answer| answer.headers.0.iter().cloned().collect());
    schema::Attempt {
        delivery_id: attempt.delivery.to_string(),
        event_id: attempt.delivery.event.to_string(),
        number: attempt.number,
        at: exchange.at.to_string(),
        duration_ms: exchange.duration_ms,
        status: answer.map(|answer| answer.status),
        error: exchange.error().map(ErrorClass::as_str),
        tls: exchange
            .error()
            .into_iter()
            .flat_map(|error| error.tls_faults().iter())
            .map(TlsFault::as_str)
            .collect(),
        headers: headers.unwrap_or_default(),
        // What is no UTF-8 is shown as well as it can be.
        body: answer.map(|answer| String::from_utf8_lossy(&answer.body.0).into_owned()),
        body_truncated: answer.is_some_and(|answer| answer.is_cut),
    }
}
