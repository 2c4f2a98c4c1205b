//! Which attempts an endpoint takes now: its rate limit and its health.

use std::sync::Arc;

use domain::Millis;
use domain::cursor::CLOCK_SKEW_MS;
use domain::health::{Admission, Wait};
use platform::clock;
use store::{KnownEndpoint, Slots, StoreError};

use crate::deps::Deps;
use crate::inbox::Asked;

/// How long a function waits for a time under a rate limit. Attempts with a later time are queued.
pub(crate) const SLOT_WAIT_MS: u64 = 1_000;
/// A time under a rate limit that has passed by more than this has expired: attempts that were delayed
/// together must not be made together.
const SLOT_LATE_MS: u64 = 2_000;
/// A time further ahead than this was taken by a clock that was ahead, or before ours was set back: no
/// time is taken more than five minutes ahead.
const SLOT_AHEAD_MS: u64 = 5 * 60 * 1_000 + CLOCK_SKEW_MS;

/// The attempts that may be made now, and those that may not yet.
#[derive(Debug, Default)]
pub(crate) struct Admissions {
    pub(crate) now: Vec<Admitted>,
    pub(crate) later: Vec<(Asked, Later)>,
}

/// An attempt that may be made.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) asked: Asked,
    /// Its time under a rate limit.
    pub(crate) slot: Option<Millis>,
    /// Its permit, when there are few.
    pub(crate) permit: Option<u64>,
}

/// When an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// At its time under a rate limit.
    Slot(Millis),
    /// Not before then.
    Until(Millis),
    /// When other attempts have released their permits.
    Soon,
}

/// Asks the rate limit first, then the endpoint's health: a permit excludes other attempts for as long
/// as it is held, and a time that is not used costs only this endpoint.
///
/// # Errors
/// When DynamoDB does not answer.
pub(crate) async fn admit(
    deps: &Deps,
    known: &Arc<KnownEndpoint>,
    asked: Vec<Asked>,
) -> Result<Admissions, StoreError> {
    let mut admission = Admissions::default();
    let due = in_turn(deps, known, asked, &mut admission.later).await?;
    if due.is_empty() {
        return Ok(admission);
    }
    match deps.health.admit(known, due.len(), clock::now()).await? {
        Admission::All => admission.now = due,
        Admission::Some { permits, others } => {
            let later = match others {
                Wait::Until(until) => Later::Until(until),
                Wait::Soon => Later::Soon,
            };
            let mut permits = permits.into_iter();
            for one in due {
                match permits.next() {
                    Some(permit) => admission.now.push(Admitted {
                        permit: Some(permit),
                        ..one
                    }),
                    None => admission.later.push((one.asked, later)),
                }
            }
        }
    }
    Ok(admission)
}

/// The attempts whose time under the rate limit has come; those with a later one go to `later`.
async fn in_turn(
    deps: &Deps,
    known: &Arc<KnownEndpoint>,
    asked: Vec<Asked>,
    later: &mut Vec<(Asked, Later)>,
) -> Result<Vec<Admitted>, StoreError> {
    let Some(rate) = known.endpoint.settings.rate_limit else {
        return Ok(asked.into_iter().map(|asked| at(asked, None)).collect());
    };
    let now = clock::now();
    let holds = |slot: Millis| slot.plus(SLOT_LATE_MS) >= now && slot <= now.plus(SLOT_AHEAD_MS);
    let (mut timed, new): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .partition(|asked| asked.message.slot.is_some_and(holds));
    let count = new.len();
    if count > 0 {
        let id = known.endpoint.id;
        match deps.health.reserve(id, rate, count, now).await? {
            Slots::Taken(slots) => {
                let with_slots = new.into_iter().zip(slots);
                timed.extend(with_slots.map(|(mut asked, slot)| {
                    asked.message.slot = Some(slot);
                    asked
                }));
            }
            Slots::Full { until } => {
                later.extend(new.into_iter().map(|asked| (asked, Later::Until(until))));
            }
        }
    }
    let mut due = Vec::new();
    for asked in timed {
        match asked.message.slot {
            Some(slot) if slot > now.plus(SLOT_WAIT_MS) => later.push((asked, Later::Slot(slot))),
            slot => due.push(at(asked, slot)),
        }
    }
    Ok(due)
}

fn at(asked: Asked, slot: Option<Millis>) -> Admitted {
    Admitted {
        asked,
        slot,
        permit: None,
    }
}
