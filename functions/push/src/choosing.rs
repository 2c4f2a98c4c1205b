//! Choosing who gets which events, within bounds: an event is anybody's text and a filter any
//! reader's, and neither may hold up the others. A form that costs too much gets nothing of the batch;
//! its listeners are told that they missed something, and read it in an invocation of their own.

use std::collections::HashMap;
use std::time::Duration;

use domain::Event;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::directory::{Audience, Form, Look};

/// What choosing may cost in one batch. Work is counted in bytes of text that are looked at, so that
/// the same events and filters always come to the same end; time bounds what there is of it in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many bytes the filters of one form may look at. Five terms over 500 events with metadata
    /// of 10 KB need less.
    pub(crate) form_bytes: usize,
    /// How many bytes of text are masked, once for all who see them masked.
    pub(crate) mask_bytes: usize,
    /// How long choosing may take in all: half of the time of a push, the rest is for sending.
    pub(crate) time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            form_bytes: 32 * 1024 * 1024,
            mask_bytes: 8 * 1024 * 1024,
            time: Duration::from_secs(5),
        }
    }
}

/// How many bytes are looked at before others have the processor, and the time is looked at.
const BYTES_AT_ONCE: usize = 256 * 1024;
/// A mask reads escapes and looks for several things: a byte of it costs about as much as this many
/// that a filter looks at.
const MASK_COST: usize = 32;
/// How many values a filter has at most that is chosen by first.
const FEW_VALUES: usize = 50;

/// What a listener gets: some of the events, by their places in the batch, and how they look.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    pub(crate) look: Look,
    pub(crate) events: Vec<usize>,
}

/// Who gets what; many filters may choose the same. Who gets nothing is left out.
#[derive(Debug, Default)]
pub(crate) struct Chosen<'l> {
    pub(crate) choices: HashMap<Choice, Vec<&'l Audience>>,
    /// Those whose form cost too much.
    pub(crate) missed: Vec<&'l Audience>,
}

/// The audiences in the order in which they are served: those who see events as they are before
/// those for whom they are masked, and short filters before long ones.
pub(crate) fn waves(audiences: &[Audience]) -> Vec<Vec<&Audience>> {
    let mut waves: [Vec<&Audience>; 4] = Default::default();
    for audience in audiences {
        let Form { view, look } = &audience.form;
        let is_long = view.values() > FEW_VALUES;
        waves[2 * usize::from(look.mask) + usize::from(is_long)].push(audience);
    }
    for wave in &mut waves {
        wave.sort_by_key(|audience| audience.form.view.values());
    }
    waves.into()
}

/// A batch that is being chosen from.
pub(crate) struct Choosing<'a> {
    events: &'a [Event<'a>],
    masks: Masks<'a>,
    limits: Limits,
    /// What is left of the time: what passes between two choices, while messages are sent, does not
    /// count.
    left: Duration,
    /// What was looked at since others had the processor.
    looked_at: usize,
}

impl<'a> Choosing<'a> {
    pub(crate) fn begin(events: &'a [Event<'a>], limits: Limits) -> Choosing<'a> {
        Choosing {
            events,
            masks: Masks::of(events, limits.mask_bytes),
            limits,
            left: limits.time,
            looked_at: 0,
        }
    }

    /// The event as a look shows it; none when it was not chosen so.
    pub(crate) fn shown(&self, place: usize, look: Look) -> Option<&Event<'a>> {
        match look.mask {
            true => self.masks.get(place),
            false => self.events.get(place),
        }
    }

    /// Chooses for these. `meanwhile` is called each time that others have had the processor.
    pub(crate) async fn choose<'l>(
        &mut self,
        audiences: &[&'l Audience],
        meanwhile: &mut (dyn FnMut() + Send),
    ) -> Chosen<'l> {
        let mut chosen = Chosen::default();
        let begun = Instant::now();
        let until = begun + self.left;
        for audience in audiences {
            let look = audience.form.look;
            match self.wanted(&audience.form, until, meanwhile).await {
                None => chosen.missed.push(*audience),
                Some(events) if events.is_empty() => {}
                Some(events) => {
                    let choice = Choice { look, events };
                    chosen.choices.entry(choice).or_default().push(*audience);
                }
            }
        }
        self.left = self.left.saturating_sub(begun.elapsed());
        chosen
    }

    async fn wanted(
        &mut self,
        form: &Form,
        until: Instant,
        meanwhile: &mut (dyn FnMut() + Send),
    ) -> Option<Vec<usize>> {
        let mut wanted = Vec::new();
        let mut left = self.limits.form_bytes;
        for (place, event) in self.events.iter().enumerate() {
            let (before, unmasked) = (left, self.masks.left);
            let masks = &mut self.masks;
            let passes = form.view.matches_within(
                &event.content,
                move || masks.make(place).map(|event| &event.content),
                &mut left,
            );
            if passes == Some(true) {
                wanted.push(place);
                if form.look.mask {
                    self.masks.make(place)?;
                }
            }
            let masked = unmasked - self.masks.left;
            self.looked_at += before - left + masked * MASK_COST;
            passes?;
            if self.looked_at >= BYTES_AT_ONCE {
                self.looked_at = 0;
                yield_now().await;
                meanwhile();
                if Instant::now() >= until {
                    return None;
                }
            }
        }
        (self.limits.time > Duration::ZERO).then_some(wanted)
    }
}

/// The batch's events as they are masked, each of which is made when it is first needed.
struct Masks<'a> {
    events: &'a [Event<'a>],
    masked: Vec<Masked<'a>>,
    /// How many bytes may still be masked.
    left: usize,
}

enum Masked<'a> {
    NotYet,
    Made(Box<Event<'a>>),
    TooMuch,
}

impl<'a> Masks<'a> {
    fn of(events: &'a [Event<'a>], bytes: usize) -> Masks<'a> {
        Masks {
            events,
            masked: events.iter().map(|_| Masked::NotYet).collect(),
            left: bytes,
        }
    }

    fn make(&mut self, place: usize) -> Option<&Event<'a>> {
        let (event, masked) = (self.events.get(place)?, self.masked.get_mut(place)?);
        if matches!(masked, Masked::NotYet) {
            let left = self.left.checked_sub(event.content.bytes_to_mask());
            *masked = match left {
                Some(_) => Masked::Made(Box::new(event.masked())),
                None => Masked::TooMuch,
            };
            self.left = left.unwrap_or(self.left);
        }
        self.get(place)
    }

    fn get(&self, place: usize) -> Option<&Event<'a>> {
        match self.masked.get(place)? {
            Masked::Made(event) => Some(event),
            Masked::NotYet | Masked::TooMuch => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{Content, EventId, Filter, Millis, Rights, Scopes, Source};

    use super::*;

    fn event(number: u32, subject: &str) -> Event<'static> {
        let content = Content {
            subject: Some(subject.to_owned().into()),
            ..Content::new("send", Source::Mandrill)
        };
        Event {
            id: EventId::of_content(&[b"m"], number, &[b"f"], 0),
            received_at: Millis(1_795_300_005_123),
            content,
            data: None,
        }
    }

    fn audience(filter: &str, mask: bool) -> Audience {
        let rights = Rights {
            scopes: Scopes::all(),
            filter: Filter::default(),
            asked: Filter::default(),
            mask,
            until: Millis(0),
        };
        let view = rights.narrow(&filter.parse().unwrap()).unwrap();
        let look = Look {
            with_data: false,
            mask,
        };
        Audience {
            form: Form { view, look },
            listeners: Vec::new(),
        }
    }

    /// How many events each of them gets; none for those who miss them.
    async fn chosen(
        events: &[Event<'_>],
        audiences: &[Audience],
        limits: Limits,
    ) -> Vec<Option<usize>> {
        let mut choosing = Choosing::begin(events, limits);
        let all: Vec<_> = audiences.iter().collect();
        let chosen = choosing.choose(&all, &mut || {}).await;
        let count = |audience: &Audience| {
            let is_it = |other: &&Audience| std::ptr::eq(*other, audience);
            if chosen.missed.iter().any(is_it) {
                return None;
            }
            let mut choices = chosen.choices.iter();
            let choice = choices.find(|(_, audiences)| audiences.iter().any(is_it));
            Some(choice.map_or(0, |(choice, _)| choice.events.len()))
        };
        audiences.iter().map(count).collect()
    }

    #[tokio::test]
    async fn a_form_that_looks_at_too_much_misses_the_batch_and_no_other_does() {
        let events: Vec<_> = (0..10).map(|n| event(n, "hello hello")).collect();
        let audiences = [
            audience("", false),
            audience("subject:hello", false),
            audience("subject:u,v,w,x,y", false),
            audience("", true),
        ];
        // One value looks at 12 bytes of each event.
        let limits = |form_bytes| Limits {
            form_bytes,
            ..Limits::default()
        };
        let all = Some(10);
        let enough = chosen(&events, &audiences, limits(600)).await;
        assert_eq!(enough, [all, all, Some(0), all]);
        let some = chosen(&events, &audiences, limits(120)).await;
        assert_eq!(some, [all, all, None, all]);
        let none = chosen(&events, &audiences, limits(119)).await;
        assert_eq!(none, [all, None, None, all]);
    }

    #[tokio::test]
    async fn when_masking_costs_too_much_only_those_miss_the_batch_who_see_it_masked() {
        let events = [event(0, "hello"), event(1, &"a@b.example ".repeat(50))];
        let audiences = [
            audience("", false),
            audience("", true),
            audience("tag:x", true),
            audience("type:open", true),
        ];
        let limits = |mask_bytes| Limits {
            mask_bytes,
            ..Limits::default()
        };
        let enough: usize = events
            .iter()
            .map(|event| event.content.bytes_to_mask())
            .sum();
        // A filter looks at an event as it is masked.
        assert_eq!(
            chosen(&events, &audiences, limits(enough)).await,
            [Some(2), Some(2), Some(0), Some(0)]
        );
        assert_eq!(
            chosen(&events, &audiences, limits(enough - 1)).await,
            [Some(2), None, None, None]
        );
    }

    #[tokio::test]
    async fn without_time_left_everybody_misses_the_batch() {
        let limits = Limits {
            time: Duration::ZERO,
            ..Limits::default()
        };
        let audiences = [audience("", false), audience("type:open", false)];
        let events = [event(0, "hello")];
        assert_eq!(chosen(&events, &audiences, limits).await, [None, None]);
    }

    #[tokio::test]
    async fn others_have_the_processor_while_much_is_looked_at() {
        let events: Vec<_> = (0..600).map(|n| event(n, &"x".repeat(1_000))).collect();
        let mut choosing = Choosing::begin(&events, Limits::default());
        let mut turns = 0;
        let audience = audience("subject:y", false);
        choosing.choose(&[&audience], &mut || turns += 1).await;
        assert_eq!(turns, 600 * 1_001 / BYTES_AT_ONCE);
    }

    #[test]
    fn short_filters_of_those_who_see_everything_come_first() {
        let values: Vec<_> = (0..60).map(|n| n.to_string()).collect();
        let long = format!("tag:{}", values.join(","));
        let audiences = [
            audience(&long, true),
            audience("tag:a,b", true),
            audience(&long, false),
            audience("tag:a,b", false),
            audience("", false),
        ];
        let order: Vec<_> = waves(&audiences)
            .into_iter()
            .flatten()
            .map(|audience| (audience.form.look.mask, audience.form.view.values()))
            .collect();
        let expected = [(false, 0), (false, 2), (false, 60), (true, 2), (true, 60)];
        assert_eq!(order, expected);
    }
}
