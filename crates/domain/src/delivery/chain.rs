//! From a claimed attempt to what is written of it: `Pending`, `Completed`, `Settled`. Each step
//! consumes the one before, so that no attempt is recorded twice, or without having been made.

use super::{Attempt, Delivery, DeliveryStatus, Exchange};
use crate::retry::{self, FailedAttempt, Jitter, Next, RetrySchedule, TimeScale};
use crate::time::Millis;

/// The longest that a message can wait in SQS. ("Amazon SQS delay queues": 15 minutes.)
pub const MAX_QUEUE_DELAY_MS: u64 = 15 * 60 * 1_000;
/// When a new delivery is sent again, unless something has happened to it: its message is lost.
const HEAL_NEW_MS: u64 = 60 * 60 * 1_000;
/// The same for one whose message waits in the queue, after the time for which it waits.
const HEAL_QUEUED_MS: u64 = 10 * 60 * 1_000;

/// An attempt whose number is claimed, and that is still to be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Pending(Delivery);

/// An attempt that was made.
#[derive(Debug, PartialEq, Eq)]
pub enum Completed {
    /// The endpoint took the event.
    Success(Success),
    /// It did not.
    Failure(Failure),
}

/// An attempt that succeeded.
#[derive(Debug, PartialEq, Eq)]
pub struct Success {
    delivery: Delivery,
    attempt: Attempt,
}

/// An attempt that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    delivery: Delivery,
    attempt: Attempt,
    failed: FailedAttempt,
}

/// What is written of an attempt, and what is then to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery as it is now.
    pub delivery: Delivery,
    /// The attempt.
    pub attempt: Attempt,
    /// What becomes of the delivery.
    pub next: Next,
}

/// By what it is decided what becomes of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The endpoint's schedule.
    pub schedule: &'a RetrySchedule,
    /// How far from its step a wait is.
    pub jitter: Jitter,
    /// How much faster than usual time passes.
    pub scale: TimeScale,
    /// How long attempts are kept, in milliseconds.
    pub retention_ms: u64,
}

impl Pending {
    /// The claimed attempt of a delivery, as the store has it: for the store, which claims.
    #[must_use]
    pub fn claimed(delivery: Delivery) -> Pending {
        Pending(delivery)
    }

    /// Of which delivery.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.0
    }

    /// The attempt's number, from 1.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.0.attempts
    }

    /// The attempt was made, with this outcome.
    #[must_use]
    pub fn complete(self, exchange: Exchange) -> Completed {
        let Pending(delivery) = self;
        let error = exchange.error();
        let answer = exchange.outcome.as_ref().ok();
        let ended = exchange.at.plus(exchange.duration_ms);
        let asked = answer.and_then(|answer| answer.header("retry-after"));
        let failed = error.map(|class| FailedAttempt {
            number: delivery.attempts,
            class,
            status: answer.map(|answer| answer.status),
            retry_after_ms: asked.and_then(|text| retry::retry_after_ms(text, ended)),
            once: delivery.once,
        });
        let attempt = Attempt {
            delivery: delivery.id,
            number: delivery.attempts,
            exchange,
        };
        match failed {
            None => Completed::Success(Success { delivery, attempt }),
            Some(failed) => Completed::Failure(Failure {
                delivery,
                attempt,
                failed,
            }),
        }
    }
}

impl Completed {
    /// What is to be written at `now`, and done then.
    #[must_use]
    pub fn settle(self, terms: &Terms<'_>, now: Millis) -> Settled {
        let (delivery, attempt, next) = match self {
            Completed::Success(Success { delivery, attempt }) => {
                (delivery, attempt, Next::Delivered)
            }
            Completed::Failure(failure) => {
                let next = retry::next(terms.schedule, &failure.failed, terms.jitter, terms.scale);
                (failure.delivery, failure.attempt, next)
            }
        };
        let (status, due_at) = match next {
            Next::Delivered => (DeliveryStatus::Delivered, None),
            Next::Failed(_) => (DeliveryStatus::Failed, None),
            Next::Retry { wait_ms } if wait_ms <= MAX_QUEUE_DELAY_MS => {
                let heal = now.plus(wait_ms + terms.scale.shorten(HEAL_QUEUED_MS));
                (DeliveryStatus::Pending, Some(heal))
            }
            Next::Retry { wait_ms } => (DeliveryStatus::Pending, Some(now.plus(wait_ms))),
        };
        let keep_ms = terms.schedule.keep_ms(terms.retention_ms);
        let delivery = Delivery {
            status,
            recorded: attempt.number,
            claimed_until: Millis(0),
            due_at,
            settled_at: due_at.is_none().then_some(now),
            expires_at: due_at.unwrap_or(now).plus(keep_ms),
            ..delivery
        };
        Settled {
            delivery,
            attempt,
            next,
        }
    }
}

impl Settled {
    /// After how many seconds a message in the queue asks for the next attempt; none when there is
    /// none, or when it is `requeue` that sends it.
    #[must_use]
    pub fn delay_seconds(&self) -> Option<u32> {
        match self.next {
            Next::Retry { wait_ms } if wait_ms <= MAX_QUEUE_DELAY_MS => {
                u32::try_from(wait_ms.div_ceil(1_000)).ok()
            }
            _ => None,
        }
    }
}

/// When a delivery that was just created, and is being sent, is sent again unless something has
/// happened to it.
#[must_use]
pub fn heals_new_at(now: Millis, scale: TimeScale) -> Millis {
    now.plus(scale.shorten(HEAL_NEW_MS))
}

/// When a delivery whose message is in the queue until `at` is sent again unless something has
/// happened to it.
#[must_use]
pub fn heals_queued_at(at: Millis, scale: TimeScale) -> Millis {
    at.plus(scale.shorten(HEAL_QUEUED_MS))
}
