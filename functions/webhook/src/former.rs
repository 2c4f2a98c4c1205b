//! The ids that events had before their identity covered all that consumers act on. A batch that was
//! stored under them, and whose answer was lost, comes again after the upgrade.

use std::collections::HashMap;

use domain::{DAY_MS, EventId, Millis};
use mandrill::RawEvent;
use store::NewEvent;

use crate::intake::Occurrences;

/// Mandrill posts a batch again after 15 minutes at the earliest. What is younger by its own word,
/// give or take clocks that differ, was not posted before, and needs no look for another id.
const YOUNGEST_MS: u64 = 10 * 60 * 1_000;
/// It does so for nine hours at most, and events wait as long behind a batch that keeps failing.
const OLDEST_MS: u64 = DAY_MS;

/// The former ids of the events of `batch` that may have been stored under one, by their ids.
pub(crate) fn ids(
    batch: &[RawEvent<'_>],
    events: &[NewEvent<'_>],
    now: Millis,
) -> HashMap<EventId, EventId> {
    let mut former = HashMap::new();
    if !events.iter().any(|event| is_retried(event, now)) {
        return former;
    }
    let mut occurrences = Occurrences::with_capacity(batch.len());
    for (raw, event) in batch.iter().zip(events) {
        let identity = raw.former_identity();
        let ts = event.content.ts.unwrap_or(0);
        // Every one of them, as each may count as an occurrence.
        let id = occurrences.id(&identity.message_key(), ts, &identity.fingerprint());
        if is_retried(event, now) {
            former.insert(event.id, id);
        }
    }
    former
}

/// Whether an event may have been posted before.
fn is_retried(event: &NewEvent<'_>, now: Millis) -> bool {
    event.content.ts.is_none_or(|ts| {
        let age_ms = now.0.saturating_sub(Millis::from_secs(ts).0);
        (YOUNGEST_MS..=OLDEST_MS).contains(&age_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake;

    const TS: u32 = 1_795_300_000;
    const LISTED: &str = r#"{"type":"blacklist","action":"add","ts":1795300000,"reject":{"email":"a@example.net","subaccount":"x"}}"#;

    fn former(batch: &str, age_secs: u64) -> usize {
        let raw = mandrill::split(batch.as_bytes());
        let events = intake::events(&raw, None);
        let now = Millis::from_secs(TS).plus(age_secs * 1_000);
        ids(&raw, &events, now).len()
    }

    #[test]
    fn only_what_may_have_been_posted_before_has_a_former_id() {
        let batch = format!("[{LISTED}]");
        for (age, count) in [
            (0, 0),
            (9 * 60, 0),
            (15 * 60, 1),
            (9 * 3_600, 1),
            (25 * 3_600, 0),
        ] {
            assert_eq!(former(&batch, age), count, "{age}");
        }
        assert_eq!(former("[7]", 0), 1);
    }

    #[test]
    fn events_that_had_one_identity_were_told_apart_by_their_occurrence() {
        let other = LISTED.replace(r#""x""#, r#""y""#);
        let batch = format!("[{LISTED},{other}]");
        let raw = mandrill::split(batch.as_bytes());
        let events = intake::events(&raw, None);
        let former = ids(&raw, &events, Millis::from_secs(TS + 3_600));
        let (one, other) = (former[&events[0].id], former[&events[1].id]);
        assert_ne!(one, other);
        assert_eq!(one.partition(), other.partition());
        // As it was stored: by type, action, address and time alone.
        let fingerprint: [&[u8]; 7] = [
            b"sync",
            b"blacklist",
            b"add",
            b"a@example.net",
            b"1795300000",
            b"",
            b"",
        ];
        let message: [&[u8]; 2] = [b"address", b"a@example.net"];
        assert_eq!(one, EventId::of_content(&message, TS, &fingerprint, 0));
        assert_eq!(other, EventId::of_content(&message, TS, &fingerprint, 1));
    }
}
