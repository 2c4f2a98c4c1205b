//! Groups, and many messages.

use super::super::engine::{Draft, Engine};
use super::super::message::Content;
use super::super::rows::Rows;
use super::TEMPLATE;
use crate::clock::Millis;
use crate::template::{Settings, Template};

pub(super) const NOW: Millis = Millis(1_795_000_000_000);
pub(super) const WORK: usize = 0;

pub(super) fn engine(directory: &std::path::Path) -> Engine {
    let template = Template::parse(TEMPLATE, &Settings::default()).unwrap();
    let mut queues = template.queues;
    queues.sort_by_key(|queue| queue.logical_id != "Work");
    let rows = Rows::open(&directory.join("queues.sqlite")).unwrap();
    Engine::new(rows, &queues, std::sync::Arc::default(), NOW).unwrap()
}

pub(super) fn drafts(group: &str, count: usize) -> Vec<Draft> {
    let draft = |index| Draft {
        content: Content {
            body: format!("{group}{index}"),
            ..Content::default()
        },
        group: group.to_owned(),
        delay_ms: None,
    };
    (0..count).map(draft).collect()
}

fn bodies(engine: &mut Engine, most: usize, now: Millis) -> Vec<String> {
    let received = engine.receive(WORK, most, None, now).unwrap();
    let messages = received.messages.into_iter();
    messages.map(|message| message.content.body).collect()
}

#[test]
fn a_group_with_much_in_flight_comes_after_the_quiet_ones() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = engine(directory.path());
    engine.send(WORK, &drafts("noisy", 40), NOW).unwrap();
    assert_eq!(bodies(&mut engine, 10, NOW).len(), 10);
    engine.send(WORK, &drafts("quiet", 2), NOW).unwrap();
    let next = bodies(&mut engine, 4, NOW);
    assert_eq!(next, ["quiet0", "quiet1", "noisy10", "noisy11"]);
    // Those without a group are no group.
    engine.send(WORK, &drafts("", 30), NOW).unwrap();
    assert!(
        bodies(&mut engine, 20, NOW)
            .iter()
            .all(|body| !body.starts_with("noisy"))
    );
}

#[test]
fn what_becomes_visible_again_waits_behind_what_was_visible_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = engine(directory.path());
    engine.send(WORK, &drafts("a", 3), NOW).unwrap();
    assert_eq!(bodies(&mut engine, 1, NOW), ["a0"]);
    let later = NOW.plus(30_000);
    assert_eq!(bodies(&mut engine, 3, later), ["a1", "a2", "a0"]);
}

#[test]
fn no_more_than_so_many_messages_are_in_flight() {
    const LIMIT: usize = 100;
    let directory = tempfile::tempdir().unwrap();
    let mut engine = engine(directory.path());
    assert_eq!(engine.in_flight_limit, 120_000);
    engine.in_flight_limit = LIMIT;
    engine.send(WORK, &drafts("a", LIMIT + 1), NOW).unwrap();
    let received = engine.receive(WORK, LIMIT, None, NOW).unwrap();
    assert_eq!(
        (received.messages.len(), received.is_over_limit),
        (LIMIT, false)
    );
    let received = engine.receive(WORK, 1, None, NOW).unwrap();
    assert!(received.messages.is_empty() && received.is_over_limit);
    // All of them are visible again, and a new message of another group is received at once.
    let later = NOW.plus(30_000);
    engine.send(WORK, &drafts("b", 1), later).unwrap();
    assert_eq!(bodies(&mut engine, 1, later).len(), 1);
    let counts = engine.counts(WORK, later).unwrap();
    assert_eq!((counts.visible, counts.in_flight), (LIMIT + 1, 1));
}
