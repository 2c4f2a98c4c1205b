//! A queue against a plain model of it: a list that is looked through.

use proptest::prelude::*;

use super::super::line::{Entry, Id, Line};
use crate::clock::Millis;

#[derive(Debug, Clone)]
enum Step {
    /// To this group, hidden for so long.
    Send(u8, u64),
    /// Up to so many, hidden for so long.
    Receive(usize, u64),
    /// The message at this place among all, if there is one.
    Delete(usize),
    Hide(usize, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, 0..3_u64).prop_map(|(group, delay)| Step::Send(group, delay * 10)),
        4 => (1..5_usize, 0..4_u64).prop_map(|(most, hidden)| Step::Receive(most, hidden * 10)),
        2 => (0..20_usize).prop_map(Step::Delete),
        1 => (0..20_usize, 0..4_u64).prop_map(|(which, hidden)| Step::Hide(which, hidden * 10)),
        3 => (0..25_u64).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Default)]
struct Model {
    messages: Vec<(Id, Entry, bool)>,
}

impl Model {
    fn wake(&mut self, now: Millis) {
        for (_, entry, is_hidden) in &mut self.messages {
            *is_hidden &= entry.visible_at > now;
        }
    }

    fn in_flight(&self, group: &str) -> usize {
        let in_flight = |(_, entry, is_hidden): &&(Id, Entry, bool)| {
            *is_hidden && entry.receives > 0 && &*entry.group == group
        };
        self.messages.iter().filter(in_flight).count()
    }

    /// The group with the fewest in flight first, then what became visible first.
    fn next(&self) -> Option<Id> {
        let ready = self.messages.iter().filter(|(_, _, is_hidden)| !is_hidden);
        let first = |(id, entry, _): &&(Id, Entry, bool)| {
            let in_flight = match &*entry.group {
                "" => 0,
                group => self.in_flight(group),
            };
            (in_flight, entry.visible_at, *id)
        };
        ready.min_by_key(first).map(|(id, _, _)| *id)
    }

    fn change(&mut self, id: Id, now: Millis, change: impl Fn(&mut Entry)) {
        for (known, entry, is_hidden) in &mut self.messages {
            if *known == id {
                change(entry);
                *is_hidden = entry.visible_at > now;
            }
        }
    }
}

proptest! {
    #[test]
    fn a_line_is_what_a_list_that_is_looked_through_says(steps in prop::collection::vec(step(), 1..80)) {
        let (mut line, mut model) = (Line::default(), Model::default());
        let mut now = Millis(1_000);
        for (id, step) in (1..).zip(steps) {
            model.wake(now);
            match step {
                Step::Send(group, delay) => {
                    let group = ["", "a", "b", "c"][usize::from(group)];
                    let entry = Entry {
                        group: group.into(), sent_at: now, visible_at: now.plus(delay), receives: 0,
                    };
                    line.add(id, entry.clone(), now);
                    let is_hidden = entry.visible_at > now;
                    model.messages.push((id, entry, is_hidden));
                }
                Step::Receive(most, hidden) => {
                    for _ in 0..most {
                        let next = line.next(now);
                        prop_assert_eq!(next, model.next());
                        let Some(id) = next else { break };
                        let change = |entry: &mut Entry| {
                            entry.receives += 1;
                            entry.visible_at = now.plus(hidden.max(1));
                        };
                        line.change(id, now, change);
                        model.change(id, now, change);
                    }
                }
                Step::Delete(which) => {
                    if which < model.messages.len() {
                        let (id, ..) = model.messages.remove(which);
                        prop_assert!(line.remove(id).is_some());
                        prop_assert!(line.remove(id).is_none());
                    }
                }
                Step::Hide(which, hidden) => {
                    if let Some((id, ..)) = model.messages.get(which) {
                        let id = *id;
                        let change = |entry: &mut Entry| entry.visible_at = now.plus(hidden);
                        line.change(id, now, change);
                        model.change(id, now, change);
                    }
                }
                Step::Pass(by) => now = now.plus(by),
            }
            model.wake(now);
            let counts = line.counts(now);
            let count = |wanted: fn(&(Id, Entry, bool)) -> bool| model.messages.iter().filter(|one| wanted(one)).count();
            prop_assert_eq!(counts.visible, count(|(_, _, is_hidden)| !is_hidden));
            prop_assert_eq!(counts.delayed, count(|(_, entry, is_hidden)| *is_hidden && entry.receives == 0));
            prop_assert_eq!(counts.in_flight, count(|(_, entry, is_hidden)| *is_hidden && entry.receives > 0));
        }
    }
}
