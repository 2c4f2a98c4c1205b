//! Metrics in CloudWatch's embedded metric format: a log line that CloudWatch counts by itself, so
//! that counting needs no call and no right. `docs/LOGGING.md` lists them.
//! ("Specification: Embedded metric format", Amazon CloudWatch.)

use domain::Millis;
use serde_json::{Map, Value, json};

use crate::config::{self, ConfigError, Lookup};

/// What the metrics stand under in CloudWatch.
pub const NAMESPACE: &str = "Posthorn";
/// The tracing target of a finished line, which `telemetry` writes as it is.
pub(crate) const TARGET: &str = "emf";
/// The dimension that all metrics have: the name of the stack, as several may share an account.
const STACK: &str = "stack";

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit in CloudWatch's words.
    pub unit: &'static str,
    /// A dimension by which it is recorded once more, with the stack's.
    pub by: Option<&'static str>,
}

impl Metric {
    const fn count(name: &'static str) -> Metric {
        Metric {
            name,
            unit: "Count",
            by: None,
        }
    }

    const fn count_by(name: &'static str, by: &'static str) -> Metric {
        Metric {
            by: Some(by),
            ..Metric::count(name)
        }
    }
}

/// Batches that `webhook` stored.
pub const BATCHES: Metric = Metric::count("Batches");
/// Events in these batches.
pub const EVENTS_RECEIVED: Metric = Metric::count_by("EventsReceived", "type");
/// Those that had not been stored before.
pub const EVENTS_STORED: Metric = Metric::count("EventsStored");
/// Those that had been.
pub const EVENTS_DUPLICATE: Metric = Metric::count("EventsDuplicate");
/// Those that do not say what they are.
pub const EVENTS_UNKNOWN: Metric = Metric::count("EventsUnknown");
/// Those that fit no item of the table and are kept whole beside it.
pub const EVENTS_OVERSIZED: Metric = Metric::count("EventsOversized");
/// Those that DynamoDB refused as they were.
pub const EVENTS_REFUSED: Metric = Metric::count("EventsRefused");
/// Requests that `webhook` did not take.
pub const REQUESTS_REFUSED: Metric = Metric::count_by("RequestsRefused", "code");
/// Messages that the gateway took from `push`.
pub const MESSAGES_PUSHED: Metric = Metric::count("MessagesPushed");
/// Connections that turned out to be gone.
pub const CONNECTIONS_GONE: Metric = Metric::count("ConnectionsGone");
/// Messages that a connection could not be sent in time; it learns that it missed something.
pub const MESSAGES_GIVEN_UP: Metric = Metric::count("MessagesGivenUp");
/// From when a batch's oldest event was received to when its last message was taken.
pub const PUSH_LATENCY: Metric = Metric {
    name: "PushLatency",
    unit: "Milliseconds",
    by: None,
};
/// Records that came so late that a note on it was written.
pub const LATE_RECORDS: Metric = Metric::count("LateRecords");
/// Records of events that are old news.
pub const STALE_RECORDS: Metric = Metric::count("StaleRecords");
/// Records that hold no event that can be read.
pub const DISCARDED_RECORDS: Metric = Metric::count("DiscardedRecords");
/// Connections that `connect` let in.
pub const CONNECTIONS_ACCEPTED: Metric = Metric::count("ConnectionsAccepted");
/// Connections that it did not let in.
pub const CONNECTIONS_REFUSED: Metric = Metric::count("ConnectionsRefused");
/// Resumes that `message` served; a long one is several.
pub const RESUMES: Metric = Metric::count("Resumes");
/// Events that it sent for them.
pub const EVENTS_REPLAYED: Metric = Metric::count("EventsReplayed");
/// Resumes that ended without some of what was missed, as it is not kept any more.
pub const RESUMES_NOT_RECOVERED: Metric = Metric::count("ResumesNotRecovered");
/// Deliveries that `dispatch` queued.
pub const DELIVERIES_QUEUED: Metric = Metric::count("DeliveriesQueued");
/// Records that it cannot dispatch, and has parked.
pub const RECORDS_PARKED: Metric = Metric::count("RecordsParked");
/// Attempts that `deliver` made.
pub const ATTEMPTS: Metric = Metric::count("Attempts");
/// Those that failed.
pub const ATTEMPTS_FAILED: Metric = Metric::count_by("AttemptsFailed", "class");
/// Messages that asked for an attempt that was made already, or of a delivery that is not there.
pub const ATTEMPTS_DROPPED: Metric = Metric::count("AttemptsDropped");
/// Deliveries that were taken by their endpoint.
pub const DELIVERIES_DELIVERED: Metric = Metric::count("DeliveriesDelivered");
/// Deliveries that were given up.
pub const DELIVERIES_FAILED: Metric = Metric::count("DeliveriesFailed");
/// Deliveries whose endpoint was gone or disabled.
pub const DELIVERIES_CANCELLED: Metric = Metric::count("DeliveriesCancelled");
/// Attempts that were put off, as their endpoint takes nothing at present, or no more.
pub const DELIVERIES_PUT_OFF: Metric = Metric::count("DeliveriesPutOff");
/// From when an event was received to when an endpoint took it at the first attempt.
pub const DELIVERY_LATENCY: Metric = Metric {
    name: "DeliveryLatency",
    unit: "Milliseconds",
    by: None,
};
/// Endpoints that began to fail.
pub const ENDPOINTS_FAILING: Metric = Metric::count("EndpointsFailing");
/// Endpoints that were disabled for how they answered.
pub const ENDPOINTS_DISABLED: Metric = Metric::count("EndpointsDisabled");
/// Deliveries that `requeue` queued.
pub const DELIVERIES_REQUEUED: Metric = Metric::count("DeliveriesRequeued");

/// All metrics.
pub const ALL: &[Metric] = &[
    BATCHES,
    EVENTS_RECEIVED,
    EVENTS_STORED,
    EVENTS_DUPLICATE,
    EVENTS_UNKNOWN,
    EVENTS_OVERSIZED,
    EVENTS_REFUSED,
    REQUESTS_REFUSED,
    MESSAGES_PUSHED,
    CONNECTIONS_GONE,
    MESSAGES_GIVEN_UP,
    PUSH_LATENCY,
    LATE_RECORDS,
    STALE_RECORDS,
    DISCARDED_RECORDS,
    CONNECTIONS_ACCEPTED,
    CONNECTIONS_REFUSED,
    RESUMES,
    EVENTS_REPLAYED,
    RESUMES_NOT_RECOVERED,
    DELIVERIES_QUEUED,
    RECORDS_PARKED,
    ATTEMPTS,
    ATTEMPTS_FAILED,
    ATTEMPTS_DROPPED,
    DELIVERIES_DELIVERED,
    DELIVERIES_FAILED,
    DELIVERIES_CANCELLED,
    DELIVERIES_PUT_OFF,
    DELIVERY_LATENCY,
    ENDPOINTS_FAILING,
    ENDPOINTS_DISABLED,
    DELIVERIES_REQUEUED,
];

/// Where metrics go: into the log, under the stack's name.
#[derive(Debug, Clone)]
pub struct Metrics {
    stack: String,
}

impl Metrics {
    /// Reads `METRICS_STACK`.
    ///
    /// # Errors
    /// When it is not set.
    pub fn new(lookup: Lookup<'_>) -> Result<Metrics, ConfigError> {
        Ok(Metrics {
            stack: config::required(lookup, "METRICS_STACK")?,
        })
    }

    /// Records what an invocation has counted. What is 0 is left out.
    pub fn record(&self, now: Millis, values: &[(Metric, u64)]) {
        let values = counted(values);
        if is_on() && !values.is_empty() {
            emit(&self.line(now, &values, None));
        }
    }

    /// Records, too, a metric by its dimension: how many of each value of it. The values are words
    /// of ours, since each costs as much as a metric of its own ("Amazon CloudWatch pricing").
    pub fn record_by(
        &self,
        now: Millis,
        values: &[(Metric, u64)],
        metric: Metric,
        each: &[(&'static str, u64)],
    ) {
        if !is_on() {
            return;
        }
        // A line has one value for a dimension: what all have in common goes with the first.
        let mut values = counted(values);
        for &(value, count) in each.iter().filter(|(_, count)| *count > 0) {
            emit(&self.line(now, &values, Some((metric, value, count))));
            values.clear();
        }
        if !values.is_empty() {
            emit(&self.line(now, &values, None));
        }
    }

    fn line(
        &self,
        now: Millis,
        values: &[(Metric, u64)],
        one: Option<(Metric, &str, u64)>,
    ) -> String {
        let mut root = Map::new();
        root.insert(STACK.into(), self.stack.as_str().into());
        let mut directives = Vec::with_capacity(2);
        if !values.is_empty() {
            let metrics = values.iter().map(|(metric, _)| definition(*metric));
            directives.push(directive(json!([[STACK]]), metrics.collect()));
        }
        if let Some((metric, value, count)) = one {
            let dimensions = match metric.by {
                Some(by) => {
                    root.insert(by.into(), value.into());
                    json!([[STACK], [STACK, by]])
                }
                None => json!([[STACK]]),
            };
            directives.push(directive(dimensions, vec![definition(metric)]));
            root.insert(metric.name.into(), count.into());
        }
        for (metric, value) in values {
            root.insert(metric.name.into(), (*value).into());
        }
        let metadata = json!({ "Timestamp": now.0, "CloudWatchMetrics": directives });
        root.insert("_aws".into(), metadata);
        Value::Object(root).to_string()
    }
}

fn counted(values: &[(Metric, u64)]) -> Vec<(Metric, u64)> {
    let values = values.iter().filter(|(_, value)| *value > 0);
    values.copied().collect()
}

fn directive(dimensions: Value, metrics: Vec<Value>) -> Value {
    json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics })
}

fn definition(metric: Metric) -> Value {
    json!({ "Name": metric.name, "Unit": metric.unit })
}

/// Whether anybody collects metrics: the local stack does not.
fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

fn emit(line: &str) {
    tracing::info!(target: TARGET, line);
}

#[cfg(test)]
mod tests;
