//! In which order a queue hands out its messages: bookkeeping in memory, without bodies.
//!
//! A message is either ready, or hidden until a time: delayed when nobody has received it yet, in
//! flight otherwise. Ready ones come group by group, the group with the fewest in flight first, so
//! that one that has many waiting does not hold up the others. ("Amazon SQS fair queues".) Every
//! step costs the logarithm of what there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::clock::Millis;

/// A message's number; rises in the order of sending.
pub(super) type Id = i64;

/// When a message became ready, or will, and which it is.
type Place = (Millis, Id);

/// A message's part in the order.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Empty when it has none.
    pub(super) group: Arc<str>,
    pub(super) sent_at: Millis,
    pub(super) visible_at: Millis,
    /// How often it was received.
    pub(super) receives: u32,
}

/// How many messages there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Ready to be received.
    pub visible: usize,
    /// Not yet to be received.
    pub delayed: usize,
    /// Received, and neither deleted nor visible again.
    pub in_flight: usize,
}

/// The messages of a queue.
#[derive(Debug, Default)]
pub(super) struct Line {
    entries: BTreeMap<Id, Standing>,
    hidden: BTreeSet<Place>,
    groups: HashMap<Arc<str>, Group>,
    /// Each group that has something ready, as (in flight, its first, its name).
    turns: BTreeSet<(usize, Place, Arc<str>)>,
    in_flight: usize,
}

#[derive(Debug)]
struct Standing {
    entry: Entry,
    is_hidden: bool,
}

impl Standing {
    fn is_in_flight(&self) -> bool {
        self.is_hidden && self.entry.receives > 0
    }
}

#[derive(Debug, Default)]
struct Group {
    ready: BTreeSet<Place>,
    in_flight: usize,
    total: usize,
}

impl Line {
    /// Adds a message, hidden if it is to become visible after `now`.
    pub(super) fn add(&mut self, id: Id, mut entry: Entry, now: Millis) {
        if let Some((name, _)) = self.groups.get_key_value(&entry.group) {
            entry.group = name.clone();
        }
        self.groups.entry(entry.group.clone()).or_default().total += 1;
        self.place(id, entry, now);
    }

    /// The message whose turn it is.
    pub(super) fn next(&mut self, now: Millis) -> Option<Id> {
        self.wake(now);
        let (_, (_, id), _) = self.turns.first()?;
        Some(*id)
    }

    pub(super) fn get(&self, id: Id) -> Option<&Entry> {
        self.entries.get(&id).map(|standing| &standing.entry)
    }

    /// Changes a message's times, and answers whether there is such a message.
    pub(super) fn change(&mut self, id: Id, now: Millis, change: impl FnOnce(&mut Entry)) -> bool {
        let Some(mut entry) = self.displace(id) else {
            return false;
        };
        change(&mut entry);
        self.place(id, entry, now);
        true
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.displace(id)?;
        if let Some(group) = self.groups.get_mut(&entry.group) {
            group.total -= 1;
            if group.total == 0 {
                self.groups.remove(&entry.group);
            }
        }
        Some(entry)
    }

    /// The oldest message, if it was sent before a time.
    pub(super) fn sent_before(&self, time: Millis) -> Option<Id> {
        let (id, oldest) = self.entries.first_key_value()?;
        (oldest.entry.sent_at < time).then_some(*id)
    }

    /// When the next hidden message becomes visible.
    pub(super) fn next_change(&self) -> Option<Millis> {
        self.hidden.first().map(|(visible_at, _)| *visible_at)
    }

    pub(super) fn counts(&mut self, now: Millis) -> Counts {
        self.wake(now);
        Counts {
            visible: self.entries.len() - self.hidden.len(),
            delayed: self.hidden.len() - self.in_flight,
            in_flight: self.in_flight,
        }
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.entries.keys().copied().collect()
    }

    /// Makes ready what is hidden no longer.
    fn wake(&mut self, now: Millis) {
        while let Some((visible_at, id)) = self.hidden.first().copied()
            && visible_at <= now
        {
            self.change(id, now, |_| {});
        }
    }

    fn place(&mut self, id: Id, entry: Entry, now: Millis) {
        let place = (entry.visible_at, id);
        let standing = Standing {
            is_hidden: entry.visible_at > now,
            entry,
        };
        let name = standing.entry.group.clone();
        if standing.is_hidden {
            self.hidden.insert(place);
        }
        self.in_flight += usize::from(standing.is_in_flight());
        self.regroup(&name, |group| {
            group.in_flight += usize::from(standing.is_in_flight());
            if !standing.is_hidden {
                group.ready.insert(place);
            }
        });
        self.entries.insert(id, standing);
    }

    fn displace(&mut self, id: Id) -> Option<Entry> {
        let standing = self.entries.remove(&id)?;
        let place = (standing.entry.visible_at, id);
        self.hidden.remove(&place);
        self.in_flight -= usize::from(standing.is_in_flight());
        self.regroup(&standing.entry.group, |group| {
            group.in_flight -= usize::from(standing.is_in_flight());
            group.ready.remove(&place);
        });
        Some(standing.entry)
    }

    /// Changes a group, and its turn with it.
    fn regroup(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Group)) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let before = group.turn(name);
        change(group);
        let after = group.turn(name);
        if before == after {
            return;
        }
        if let Some(turn) = before {
            self.turns.remove(&turn);
        }
        self.turns.extend(after);
    }
}

impl Group {
    fn turn(&self, name: &Arc<str>) -> Option<(usize, Place, Arc<str>)> {
        let first = self.ready.first()?;
        // Those without a group are no group: each stands for itself.
        let in_flight = if name.is_empty() { 0 } else { self.in_flight };
        Some((in_flight, *first, name.clone()))
    }
}
