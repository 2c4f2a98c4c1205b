//! From a claimed attempt to what is written of it: `Pending`, `Completed`, `Settled`. Each step
//! consumes the one before, so that no attempt is recorded twice, or without having been made.

use super::heal::HEAL_QUEUED_MS;
use super::{Attempt, Delivery, DeliveryStatus, Exchange};
use crate::retry::{self, FailedAttempt, Jitter, Next, RetrySchedule};
use crate::time::{Millis, TimeScale};

/// The longest that a message can wait in SQS. ("Amazon SQS delay queues": 15 minutes.)
pub const MAX_QUEUE_DELAY_MS: u64 = 15 * 60 * 1_000;
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
            retry_after_ms: asked.and_then(|text| {
                let date = answer.and_then(|answer| answer.header("date"));
                retry::retry_after_ms(text, date, ended)
            }),
            once: delivery.is_last_asked(),
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
            once: delivery.is_last_asked(),
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
    /// After how many milliseconds a message in the queue asks for the next attempt; `None` if there
    /// is none, or `requeue` sends it.
    #[must_use]
    pub fn delay_ms(&self) -> Option<u64> {
        match self.next {
            Next::Retry { wait_ms } if wait_ms <= MAX_QUEUE_DELAY_MS => Some(wait_ms),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, DeliveryId, ErrorClass, Owed, heals_queued_at};
    use super::*;
    use crate::endpoint::EndpointId;
    use crate::event::Source;
    use crate::id::EventId;
    use crate::redacted::Redacted;
    use crate::retry::GivenUp;

    const NOW: Millis = Millis(1_795_300_000_000);
    const HOUR: u64 = 3_600_000;

    fn pending(attempt: u16) -> Pending {
        let owed = Owed {
            id: DeliveryId::new(EventId::ZERO, EndpointId::new([1; 16])),
            event_type: "open".to_owned(),
            source: Source::Mandrill,
            keep_ms: HOUR,
            due_at: None,
        };
        Pending::claimed(Delivery {
            attempts: attempt,
            recorded: attempt - 1,
            claimed_until: NOW.plus(60_000),
            ..Delivery::new(&owed, NOW, TimeScale::default())
        })
    }

    fn settle(attempt: u16, outcome: Result<Answer, ErrorClass>, scale: u32) -> Settled {
        let schedule = RetrySchedule::new(vec![10, 3_600]).unwrap();
        let terms = Terms {
            schedule: &schedule,
            jitter: Jitter::of(0.5),
            scale: TimeScale::new(scale),
            retention_ms: 72 * HOUR,
        };
        let exchange = Exchange {
            at: NOW,
            duration_ms: 500,
            outcome,
        };
        pending(attempt)
            .complete(exchange)
            .settle(&terms, NOW.plus(500))
    }

    #[test]
    fn what_was_taken_is_delivered() {
        let settled = settle(1, Ok(Answer::of_status(202)), 1);
        let delivery = &settled.delivery;
        assert_eq!(delivery.status, DeliveryStatus::Delivered);
        assert_eq!((delivery.recorded, delivery.claimed_until), (1, Millis(0)));
        assert_eq!(
            (delivery.due_at, delivery.settled_at),
            (None, Some(NOW.plus(500)))
        );
        // The steps twice, five days of failing, and two to spare.
        let kept = 2 * 3_610_000 + 7 * 24 * HOUR;
        assert_eq!(delivery.expires_at, NOW.plus(500 + kept));
        assert_eq!((settled.next, settled.delay_ms()), (Next::Delivered, None));
    }

    #[test]
    fn a_short_wait_is_in_the_queue_and_a_long_one_in_the_row() {
        let short = settle(1, Err(ErrorClass::Refused), 1);
        assert_eq!(short.delay_ms(), Some(10_000));
        let heals = NOW.plus(500 + 10_000 + 600_000);
        assert_eq!(short.delivery.due_at, Some(heals));
        assert_eq!(
            heals,
            heals_queued_at(NOW.plus(10_500), 1, TimeScale::default())
        );
        assert_eq!(short.delivery.settled_at, None);
        assert_eq!(short.delivery.message().attempt, 2);

        let long = settle(2, Err(ErrorClass::Refused), 1);
        assert_eq!(long.delay_ms(), None);
        assert_eq!(long.delivery.due_at, Some(NOW.plus(500 + HOUR)));
        assert_eq!(long.delivery.status, DeliveryStatus::Pending);
        // An hour is a minute then, which fits the queue.
        assert_eq!(
            settle(2, Err(ErrorClass::Refused), 60).delay_ms(),
            Some(60_000)
        );
        assert_eq!(
            settle(1, Err(ErrorClass::Refused), 60).delay_ms(),
            Some(167)
        );
    }

    #[test]
    fn after_the_last_step_it_has_failed() {
        let settled = settle(3, Ok(Answer::of_status(500)), 1);
        assert_eq!(settled.delivery.status, DeliveryStatus::Failed);
        assert_eq!(settled.next, Next::Failed(GivenUp::Exhausted));
        assert_eq!(settled.delay_ms(), None);
    }

    #[test]
    fn what_the_answer_asks_to_wait_for_counts_from_its_end() {
        // Within once and twice the step.
        let date = "Sat, 21 Nov 2026 22:26:52 GMT".to_owned();
        let at = jiff::fmt::rfc2822::parse(&date).unwrap();
        let asked = u64::try_from(at.timestamp().as_millisecond()).unwrap() - NOW.0 - 500;
        assert!((10_000..20_000).contains(&asked), "{asked}");
        let answer = Answer {
            headers: Redacted(vec![("retry-after".to_owned(), date)]),
            ..Answer::of_status(503)
        };
        let settled = settle(1, Ok(answer), 1);
        assert_eq!(settled.next, Next::Retry { wait_ms: asked });
    }

    #[test]
    fn a_new_delivery_heals_within_the_hour() {
        let Pending(delivery) = pending(1);
        assert_eq!(delivery.due_at, Some(NOW.plus(HOUR)));
        assert_eq!(delivery.expires_at, NOW.plus(2 * HOUR));
        assert!(delivery.is_claimed(NOW.plus(60_000)) && !delivery.is_claimed(NOW.plus(60_001)));
    }
}
