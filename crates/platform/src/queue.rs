//! Sending to a queue.

use std::error::Error;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use domain::delivery::{DeliveryMessage, MAX_QUEUE_DELAY_MS};
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{self, ConfigError, Lookup};

/// The most messages that a call takes. (`SendMessageBatch`, Amazon SQS.)
const BATCH: usize = 10;
/// How many calls are under way at once.
const CONCURRENCY: usize = 8;
/// Between two tries of what was not taken: doubling, with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its text.
    pub body: String,
    /// With which messages it shares its part of a fair queue.
    pub group: String,
    /// How long it is kept back: whole seconds, at most [`MAX_QUEUE_DELAY_MS`].
    pub delay: Duration,
}

impl Message {
    /// Asks for an attempt of a delivery, after at least `delay_ms`.
    #[must_use]
    pub fn for_attempt(message: &DeliveryMessage, delay_ms: u64) -> Message {
        Message {
            body: message.to_json(),
            group: message.group(),
            // Rounded up: a message that is early has to be sent once more.
            delay: Duration::from_secs(delay_ms.div_ceil(1_000)),
        }
    }
}

/// Some messages were not sent, or it is not known that they were.
#[derive(Debug, thiserror::Error)]
#[error("{} messages were not sent", .unsent.len())]
pub struct NotSent {
    /// Which, by their places in what was to be sent, in order.
    pub unsent: Vec<usize>,
    /// What was said of one of them last.
    source: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("SQS did not accept SendMessageBatch")]
    Call(#[source] Box<dyn Error + Send + Sync>),
    #[error("SQS did not take a message ({code}, by {fault})")]
    Entry { code: String, fault: &'static str },
    #[error("there was no time left")]
    OutOfTime,
}

/// A queue that is sent to.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The IAM actions that it needs on the queue. `SendMessageBatch` is no action of its own.
    pub const ACTIONS: &'static [&'static str] = &["sqs:SendMessage"];

    /// The queue whose URL the variable `name` holds.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn new(client: Client, lookup: Lookup<'_>, name: &str) -> Result<Queue, ConfigError> {
        Ok(Queue {
            client,
            url: config::required(lookup, name)?,
        })
    }

    /// Sends all messages, what was not taken again and again until the deadline. A message whose
    /// call failed in between may be sent twice.
    ///
    /// # Errors
    /// When some were not sent by then, or SQS will never take them: the others are.
    pub async fn send(&self, messages: &[Message], deadline: Instant) -> Result<(), NotSent> {
        // Collected first: a stream over the closure itself cannot be sent between threads.
        let calls: Vec<_> = (0..messages.len())
            .step_by(BATCH)
            .map(|start| self.send_batch(messages, start, deadline))
            .collect();
        let mut results = stream::iter(calls).buffered(CONCURRENCY);
        let mut failed: Option<NotSent> = None;
        while let Some(result) = results.next().await {
            match (result, &mut failed) {
                (Ok(()), _) => {}
                (Err(error), Some(failed)) => failed.unsent.extend(error.unsent),
                (Err(error), None) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Sends the ten messages that begin at `start`.
    async fn send_batch(
        &self,
        messages: &[Message],
        start: usize,
        deadline: Instant,
    ) -> Result<(), NotSent> {
        let mut open: Vec<usize> = (start..messages.len().min(start + BATCH)).collect();
        let mut refused = Vec::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let call = timeout_at(deadline, self.call(messages, &open)).await;
            let left = call.unwrap_or_else(|_| Err(Reason::OutOfTime));
            let reason = match left {
                Ok(failed) => {
                    let (never, later) = failed.into_iter().partition(Entry::is_refused);
                    let places = |entries: &[Entry]| entries.iter().map(|entry| entry.at).collect();
                    let (never, later): (Vec<Entry>, Vec<Entry>) = (never, later);
                    refused.extend(never.iter().map(|entry| entry.at));
                    open = places(&later);
                    later.into_iter().chain(never).next().map(Entry::reason)
                }
                Err(reason) => Some(reason),
            };
            let wait = pause.mul_f64(fastrand::f64());
            let is_over = open.is_empty() || Instant::now() + wait >= deadline;
            if is_over {
                open.append(&mut refused);
                open.sort_unstable();
                return if open.is_empty() {
                    Ok(())
                } else {
                    Err(NotSent {
                        unsent: open,
                        source: reason.unwrap_or(Reason::OutOfTime),
                    })
                };
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Answers which were not taken.
    async fn call(&self, messages: &[Message], places: &[usize]) -> Result<Vec<Entry>, Reason> {
        let entries = places
            .iter()
            .filter_map(|at| Some((at, messages.get(*at)?)))
            .map(|(at, message)| entry(*at, message))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Reason::Call(error.into()))?;
        let call = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries));
        let answer = call.send().await;
        let answer = answer.map_err(|error| Reason::Call(error.into()))?;
        Ok(answer
            .failed
            .into_iter()
            .filter_map(|failed| {
                Some(Entry {
                    at: failed.id.parse().ok()?,
                    failed,
                })
            })
            .collect())
    }
}

/// A message that SQS did not take.
struct Entry {
    at: usize,
    failed: BatchResultErrorEntry,
}

impl Entry {
    /// Whether it will not be taken the next time either.
    fn is_refused(&self) -> bool {
        self.failed.sender_fault && !self.failed.code.contains("Throttl")
    }

    fn reason(self) -> Reason {
        Reason::Entry {
            fault: if self.failed.sender_fault {
                "our fault"
            } else {
                "its fault"
            },
            code: self.failed.code,
        }
    }
}

fn entry(
    at: usize,
    message: &Message,
) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
    let seconds = message
        .delay
        .min(Duration::from_millis(MAX_QUEUE_DELAY_MS))
        .as_secs();
    SendMessageBatchRequestEntry::builder()
        .id(at.to_string())
        .message_body(&message.body)
        .message_group_id(&message.group)
        .delay_seconds(i32::try_from(seconds).unwrap_or(i32::MAX))
        .build()
}

#[cfg(test)]
mod tests {
    use domain::{DeliveryId, EndpointId, EventId};

    use super::*;

    #[test]
    fn a_message_asks_for_an_attempt_of_its_endpoint_and_is_never_early() {
        let id = DeliveryId::new(EventId::ZERO, EndpointId::new([7; 16]));
        let asked = DeliveryMessage::new(id, 2);
        for (delay_ms, seconds) in [(0, 0), (1, 1), (167, 1), (1_000, 1), (60_001, 61)] {
            let message = Message::for_attempt(&asked, delay_ms);
            assert_eq!(message.delay, Duration::from_secs(seconds));
            assert_eq!(DeliveryMessage::from_json(&message.body), Ok(asked));
            assert_eq!(message.group, id.endpoint.to_string());
        }
    }
}
