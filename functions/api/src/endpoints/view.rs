//! Endpoints as they are shown: without secrets and without the values of headers.

use domain::endpoint::{Endpoint, EndpointStatus};
use domain::{Health, Millis};
use store::KnownEndpoint;

use super::settings::MASKED;
use crate::schema::endpoints as schema;

/// An endpoint as anybody with the scope may see it, again and again.
pub(super) fn view(known: &KnownEndpoint, now: Millis) -> schema::Endpoint {
    shown(&known.endpoint, &known.health, now)
}

/// One that was just made.
pub(super) fn of_new(endpoint: &Endpoint, now: Millis) -> schema::Endpoint {
    shown(endpoint, &Health::default(), now)
}

fn shown(endpoint: &Endpoint, health: &Health, now: Millis) -> schema::Endpoint {
    let settings = &endpoint.settings;
    let (status, disabled_reason) = match &endpoint.status {
        EndpointStatus::Enabled => (schema::EndpointStatus::Enabled, None),
        EndpointStatus::Disabled { reason, .. } => (
            schema::EndpointStatus::Disabled,
            Some(reason.as_str().to_owned()),
        ),
    };
    let headers = settings.headers.iter();
    let secrets = endpoint.secrets.dated(now).map(|secret| schema::Secret {
        created_at: secret.created_at.to_string(),
        expires_at: secret.expires_at.map(|at| at.to_string()),
    });
    schema::Endpoint {
        id: endpoint.id.to_string(),
        url: settings.url.as_str().to_owned(),
        description: settings.description.clone(),
        filter: settings.subscription.filter().to_string(),
        event_types: settings.subscription.event_types().to_vec(),
        headers: headers.map(|(name, _)| (name.to_owned(), MASKED)).collect(),
        retry_schedule: settings.schedule.steps().to_vec(),
        rate_limit: settings.rate_limit.map(Into::into),
        status,
        disabled_reason,
        created_at: endpoint.created_at.to_string(),
        updated_at: endpoint.updated_at.to_string(),
        secrets: secrets.collect(),
        health: fares(health, now),
    }
}

fn fares(health: &Health, now: Millis) -> schema::EndpointHealth {
    schema::EndpointHealth {
        state: health.state(now).as_str(),
        consecutive_failures: health.consecutive_failures(),
        failing_since: health.failing_since().map(|at| at.to_string()),
    }
}
