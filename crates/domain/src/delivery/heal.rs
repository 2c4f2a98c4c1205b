//! When `requeue` sends a delivery again whose message may be lost.

use crate::time::{Millis, TimeScale};

/// When a new delivery is sent again, unless something has happened to it: its message is lost.
const HEAL_NEW_MS: u64 = 60 * 60 * 1_000;
/// The same for one whose message waits in the queue, after the time for which it waits.
pub(super) const HEAL_QUEUED_MS: u64 = 10 * 60 * 1_000;
const MAX_HEAL_MS: u64 = 4 * 60 * 60 * 1_000;

/// When a delivery that was just created, and is being sent, is sent again unless something has
/// happened to it.
#[must_use]
pub fn heals_new_at(now: Millis, scale: TimeScale) -> Millis {
    now.plus(scale.shorten(HEAL_NEW_MS))
}

/// When a delivery is sent again whose message was sent at `at`, for the `taken`th time (from 1)
/// since something has happened to it: each time after twice as long, up to 4 hours.
#[must_use]
pub fn heals_queued_at(at: Millis, taken: u32, scale: TimeScale) -> Millis {
    let longer = HEAL_QUEUED_MS << taken.saturating_sub(1).min(10);
    at.plus(scale.shorten(longer.min(MAX_HEAL_MS)))
}
