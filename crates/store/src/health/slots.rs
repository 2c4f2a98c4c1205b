//! Times under a rate limit.
//!
//! One number per endpoint says until when its times are taken (GCRA without bursts). It is moved
//! by an expression, so that any number of environments take times at once without a conflict.

use std::num::NonZeroU32;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::cursor::CLOCK_SKEW_MS;
use domain::{EndpointId, Millis, TimeScale};
use tokio::time::Instant;

use crate::attributes::{get_number, number};
use crate::backoff::Backoff;
use crate::conditional::{Conditional, conditional};
use crate::endpoints::item::{self, attribute};
use crate::error::StoreError;

/// How far ahead times are given. What is further away waits by its row: a message that waits for
/// longer than ten minutes is taken for lost, and sent again.
const HORIZON_MS: u64 = 5 * 60 * 1_000;

/// How much a batch of ten messages takes at the slowest rate, in microseconds.
const LONGEST_SPAN_US: u64 = 10 * 1_000_000;

/// What there was under a rate limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slots {
    /// One time for each attempt, in order; the first may be now.
    Taken(Vec<Millis>),
    /// Others have taken all of the next five minutes: ask again then.
    Full {
        /// When there may be some.
        until: Millis,
    },
}

/// Takes `count` times, one every `1 / per_second`, the first at `now` at the earliest.
pub(super) async fn reserve(
    client: &Client,
    table: &str,
    endpoint: EndpointId,
    rate: (NonZeroU32, usize),
    scale: TimeScale,
    now: Millis,
    deadline: Instant,
) -> Result<Slots, StoreError> {
    let (per_second, count) = rate;
    // In microseconds: a millisecond is too long for some rates.
    let now_us = now.0.saturating_mul(1_000);
    let step_us = 1_000_000u64.div_ceil(u64::from(per_second.get()));
    let span_us = step_us.saturating_mul(count as u64);
    let last_us = now_us + scale.shorten(HORIZON_MS) * 1_000;
    // Further ahead nobody takes times, but by a clock that was ahead, or before ours was set back.
    let beyond_us = last_us + CLOCK_SKEW_MS * 1_000 + span_us.max(LONGEST_SPAN_US);
    let mut backoff = Backoff::until(deadline);
    let mut is_busy = true;
    loop {
        let call = client
            .update_item()
            .table_name(table)
            .set_key(Some(item::health_key(endpoint)))
            .expression_attribute_names("#slot", attribute::SLOT)
            .expression_attribute_values(":now", number(now_us))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = if is_busy {
            // Behind the times that others have taken.
            call.update_expression("SET #slot = #slot + :span")
                .condition_expression("#slot BETWEEN :now AND :last")
                .expression_attribute_values(":span", number(span_us))
                .expression_attribute_values(":last", number(last_us))
        } else {
            call.update_expression("SET #slot = :until")
                .condition_expression(
                    "attribute_not_exists(#slot) OR #slot < :now OR #slot > :beyond",
                )
                .expression_attribute_values(":beyond", number(beyond_us))
                .expression_attribute_values(":until", number(now_us + span_us))
        };
        match conditional(call).await {
            Ok(Conditional::Done(item)) => {
                let end: u64 = get_number(&item, attribute::SLOT)
                    .ok_or(StoreError::Corrupt("a rate limit without its time"))?;
                let slot = |n: u64| Millis((end - span_us + n * step_us).div_ceil(1_000));
                return Ok(Slots::Taken((0..count as u64).map(slot).collect()));
            }
            Ok(Conditional::Refused(item)) => {
                let taken: u64 = get_number(&item, attribute::SLOT).unwrap_or(0);
                if taken > last_us && taken <= beyond_us {
                    let until = Millis(taken / 1_000);
                    return Ok(Slots::Full { until });
                }
                is_busy = taken >= now_us && taken <= beyond_us;
            }
            Err(StoreError::Throttled { operation }) => backoff.pause(operation).await?,
            Err(error) => return Err(error),
        }
    }
}
