//! Invented events in Mandrill's shapes: many messages live their lives at once, in realistic proportion.
//!
//! Everything follows from the settings; neither a clock nor the system's randomness is read.
//! No two events have the same identity (kind, message, time, link, address, agent; raw text for mail),
//! so that what arrives can be compared with what was sent.

mod custom;
mod event;
mod inbound;
mod kind;
mod person;
mod php;
mod shapes;
mod story;
mod words;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::random::Random;

pub(super) use custom::event as custom_event;
pub use event::Event;
pub use kind::Kind;
use person::Person;
use story::Story;

/// Without a rate, how many events share a second of event time.
const UNPACED_EVENTS_PER_SECOND: f64 = 10_000.0;

/// How many recipients get more than one message.
const REGULARS: usize = 64;

/// What a run is made of. The same settings make the same events.
#[derive(Debug, Clone)]
pub struct Settings {
    pub seed: u64,
    /// The time of the first event in Unix seconds.
    pub start: i64,
    /// Events per second of event time; 0 for as dense as can be.
    pub rate: f64,
    /// Only these kinds; all of them if empty.
    pub kinds: Vec<Kind>,
}

/// An endless supply of events, in the order in which they happen.
#[derive(Debug)]
pub struct Generator {
    settings: Settings,
    random: Random,
    /// Living stories by the turn at which they go on; the second number keeps equal turns in order.
    living: BinaryHeap<Reverse<(u64, u64)>>,
    stories: BTreeMap<u64, Story>,
    turn: u64,
    begun: u64,
    made: u64,
    regulars: VecDeque<Person>,
}

impl Generator {
    pub fn new(settings: Settings) -> Self {
        Self {
            random: Random::seeded(settings.seed),
            settings,
            living: BinaryHeap::new(),
            stories: BTreeMap::new(),
            turn: 0,
            begun: 0,
            made: 0,
            regulars: VecDeque::new(),
        }
    }

    /// The time of the event that is made next.
    fn now(&self) -> i64 {
        let rate = if self.settings.rate > 0.0 {
            self.settings.rate
        } else {
            UNPACED_EVENTS_PER_SECOND
        };
        self.settings
            .start
            .saturating_add((self.made as f64 / rate) as i64)
    }

    /// A story whose time has come, or a new one.
    fn next_story(&mut self) -> (u64, Story) {
        self.turn += 1;
        let is_due = self
            .living
            .peek()
            .is_some_and(|Reverse((due, _))| *due <= self.turn);
        let due = if is_due { self.living.pop() } else { None };
        let due =
            due.and_then(|Reverse((_, number))| Some((number, self.stories.remove(&number)?)));
        due.unwrap_or_else(|| {
            self.begun += 1;
            let story = Story::begin(self.begun, self.now(), &mut self.random, &mut self.regulars);
            self.regulars.truncate(REGULARS);
            (self.begun, story)
        })
    }
}

impl Iterator for Generator {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let (number, mut story) = self.next_story();
            let event = story.advance(self.now(), &mut self.random);
            if let Some(gap) = story.gap() {
                self.living.push(Reverse((self.turn + gap, number)));
                self.stories.insert(number, story);
            }
            let is_wanted = |event: &Event| {
                self.settings.kinds.is_empty() || self.settings.kinds.contains(&event.kind)
            };
            if let Some(event) = event.filter(is_wanted) {
                self.made += 1;
                return Some(event);
            }
        }
    }
}

/// The events of one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The exact text of the JSON array.
    pub json: String,
    pub kinds: Vec<Kind>,
}

/// Cuts events into batches. Inbound mail never shares one with other events, as it comes from another webhook.
#[derive(Debug)]
pub struct Batches {
    generator: Generator,
    size: usize,
    remaining: Option<u64>,
    outbound: Vec<Event>,
    inbound: Vec<Event>,
}

impl Batches {
    /// Batches of at most `size` events, `count` events altogether; without a count there is no end.
    pub fn new(settings: Settings, size: usize, count: Option<u64>) -> Self {
        let generator = Generator::new(settings);
        Self {
            generator,
            size: size.max(1),
            remaining: count,
            outbound: Vec::new(),
            inbound: Vec::new(),
        }
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        while self.outbound.len() < self.size && self.inbound.len() < self.size {
            match self.remaining.as_mut() {
                Some(0) => break,
                Some(remaining) => *remaining -= 1,
                None => {}
            }
            let event = self.generator.next()?;
            let is_inbound = event.kind == Kind::Inbound;
            if is_inbound {
                self.inbound.push(event)
            } else {
                self.outbound.push(event)
            }
        }
        // A few inbound messages wait until the others fill a batch, and go first then.
        let inbound_first = !self.inbound.is_empty();
        let events = std::mem::take(if inbound_first {
            &mut self.inbound
        } else {
            &mut self.outbound
        });
        if events.is_empty() {
            return None;
        }
        let texts: Vec<&str> = events.iter().map(|event| event.json.as_str()).collect();
        let json = format!("[{}]", texts.join(","));
        Some(Batch {
            json,
            kinds: events.iter().map(|event| event.kind).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
