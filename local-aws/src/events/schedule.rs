//! Schedules: functions that are invoked from time to time, asynchronously.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::account::ACCOUNT_ID;
use crate::account::REGION;
use crate::clock::{self, Millis};
use crate::functions::InvokeError;
use crate::ids::request_id;
use crate::stack::services::Services;
use crate::template::{Schedule, Scheduler};

/// However fast time goes.
const SHORTEST_PERIOD_MS: u64 = 100;
/// Before the first and the second repetition of an invocation that failed. ("Error handling for
/// asynchronous invocation".)
const PAUSES_MS: [u64; 2] = [60_000, 120_000];
/// Before one that was throttled.
const THROTTLED_MS: u64 = 1_000;

/// Keeps a schedule that began at a time, for ever. When it could not for a while it invokes once,
/// and not for each time that has passed.
pub(crate) async fn run(
    services: Arc<Services>,
    schedule: Schedule,
    time_scale: u32,
    began: Millis,
) {
    let scale = u64::from(time_scale);
    let period_ms = (schedule.period_seconds * 1_000 / scale).max(SHORTEST_PERIOD_MS);
    let mut invocations = JoinSet::new();
    let mut next = began.plus(period_ms);
    loop {
        wait_until(next).await;
        while invocations.try_join_next().is_some() {}
        if schedule.service == Scheduler::Scheduler {
            services.bill.scheduled();
        }
        let payload = payload(&schedule, next);
        let (services, function) = (services.clone(), schedule.function.clone());
        invocations.spawn(async move { invoke(&services, &function, payload, scale).await });
        let now = clock::steady();
        next = next.plus(period_ms);
        if next <= now {
            next = now.plus(period_ms);
        }
    }
}

/// Waits until a time of the clock, which a test may move.
async fn wait_until(time: Millis) {
    loop {
        let moved = clock::moved();
        let left_ms = time.0.saturating_sub(clock::steady().0);
        if left_ms == 0 {
            return;
        }
        tokio::select! {
            () = moved => {}
            () = sleep(Duration::from_millis(left_ms)) => {}
        }
    }
}

/// Invokes a function as Lambda does when nobody waits for the answer.
async fn invoke(services: &Services, function: &str, payload: String, scale: u64) {
    let began = clock::steady();
    let Some(config) = services.template.function(function) else {
        return;
    };
    let mut pauses = PAUSES_MS.into_iter().take(config.async_retries as usize);
    let kept_ms = u64::from(config.async_age_seconds) * 1_000 / scale;
    loop {
        // The pause begins with the failure, also when time passes right after it.
        let held = services.faults.running().await;
        let answer = services.invoke_held(function, payload.clone()).await;
        let ended = clock::steady();
        drop(held);
        let Err(error) = answer else { return };
        let pause_ms = match error {
            InvokeError::Throttled => Some(THROTTLED_MS),
            InvokeError::TooLarge | InvokeError::Failed { .. } => pauses.next(),
        };
        let is_kept = ended < began.plus(kept_ms);
        match pause_ms.filter(|_| is_kept) {
            Some(pause_ms) => {
                tracing::warn!(%error, function, "A scheduled invocation failed, and is repeated.");
                wait_until(ended.plus(pause_ms / scale)).await;
            }
            None => {
                tracing::error!(%error, function, "A scheduled invocation was given up.");
                return;
            }
        }
    }
}

/// What the function gets.
fn payload(schedule: &Schedule, time: Millis) -> String {
    if let Some(input) = &schedule.input {
        return input.clone();
    }
    let name = &schedule.name;
    let (source, resource, detail) = match schedule.service {
        Scheduler::Rule => (
            "aws.events",
            format!("arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{name}"),
            json!({}),
        ),
        Scheduler::Scheduler => (
            "aws.scheduler",
            format!("arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/default/{name}"),
            Value::from("{}"),
        ),
    };
    json!({
        "version": "0",
        "id": request_id(),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": ACCOUNT_ID,
        "time": Millis(time.0 / 1_000 * 1_000),
        "region": REGION,
        "resources": [resource],
        "detail": detail,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(service: Scheduler) -> Schedule {
        Schedule {
            function: "RequeueFunction".into(),
            name: "RequeueFunctionEachMinute".into(),
            service,
            period_seconds: 60,
            input: None,
            is_enabled: true,
        }
    }

    #[test]
    fn the_two_services_say_who_they_are() {
        let of = |service| -> Value {
            let text = payload(&schedule(service), Millis(1_795_000_000_123));
            serde_json::from_str(&text).unwrap()
        };
        let (rule, scheduler) = (of(Scheduler::Rule), of(Scheduler::Scheduler));
        assert_eq!(
            (&rule["source"], &rule["detail"]),
            (&json!("aws.events"), &json!({}))
        );
        assert_eq!(scheduler["source"], "aws.scheduler");
        assert_eq!(scheduler["detail"], "{}");
        assert_eq!(scheduler["time"], "2026-11-18T11:06:40Z");
        assert_eq!(
            scheduler["resources"][0],
            "arn:aws:scheduler:us-east-1:000000000000:schedule/default/RequeueFunctionEachMinute"
        );
    }
}
