//! What choosing an event costs, and what masking it does: each beside what the same takes when it
//! is written out by hand for this one filter.

use std::time::Duration;

use domain::{Content, Event, Feed, Filter, Millis};
use store::NewEvent;

use crate::batches;
use crate::{Result, cpu, out};

const EVENTS: usize = 1_000;
/// How often all events are looked at; the least counts.
const RUNS: usize = 200;

/// What the design gives for an example: the first term decides most events.
const EXAMPLE: &str = r#"type:open,click tag:welcome -recipient:*@test.example subject:"order shipped" meta.tenant:acme"#;
/// Five terms, all of which have to be looked at, since every event passes.
const WHOLE: &str =
    r#"-type:sent -tag:goodbye -recipient:*@test.example -subject:"order lost" -meta.tenant:acme"#;
/// The same in words, each of which is looked for everywhere.
const WORDS: &str = "-goodbye -test.example -lost -tenant -acme";

/// Prints all of it.
///
/// # Errors
/// When there are no events to look at.
pub fn run() -> Result<()> {
    let batch = batches::batches(6, 1, EVENTS)?.remove(0);
    let raw = mandrill::split(batch.json.as_bytes());
    let events = webhook::intake::events(&raw, Some("main"));
    out::line(format!(
        "\nfilter: ns per event and filter, over {EVENTS} events of all kinds; load {}",
        out::load()
    ));
    let by_hand = per_event(|| {
        events
            .iter()
            .filter(|event| by_hand(&event.content))
            .count()
    });
    print("five terms by hand, letters as they are", by_hand, by_hand);
    for (name, text) in [
        ("five terms, all looked at", WHOLE),
        ("five terms, the example", EXAMPLE),
        ("five words", WORDS),
        ("one term", "type:open"),
    ] {
        let filter: Filter = text.parse()?;
        let time = per_event(|| {
            let passed = events.iter().filter(|event| filter.matches(&event.content));
            passed.count()
        });
        print(name, time, by_hand);
    }
    let parsing = cpu::least(RUNS, || EXAMPLE.parse::<Filter>().is_ok());
    print("reading the example", parsing, by_hand);
    masks(&events);
    Ok(())
}

fn masks(events: &[NewEvent<'_>]) {
    let feed = Feed::new("bench");
    let events: Vec<_> = events.iter().map(kept).collect();
    let rendering = per_event(|| rendered(&events, |event| event.to_json(&feed).len()));
    let masking = per_event(|| rendered(&events, |event| event.masked().to_json(&feed).len()));
    out::line(format!(
        "  {:<42}{:>8.0} ns",
        "rendering an event",
        nanos(rendering)
    ));
    let name = "masking and rendering it";
    print(name, masking, rendering);
}

fn rendered(events: &[Event<'_>], length: impl Fn(&Event<'_>) -> usize) -> usize {
    events.iter().map(length).sum()
}

fn kept<'a>(event: &'a NewEvent<'a>) -> Event<'a> {
    Event {
        id: event.id,
        received_at: Millis(1_795_300_000_000),
        content: event.content.clone(),
        data: None,
    }
}

/// [`WHOLE`], as somebody would write it who has no other filter.
fn by_hand(content: &Content<'_>) -> bool {
    let ends_with = |text: &str| text.ends_with("@test.example");
    let metadata = content.metadata.as_ref();
    content.kind != "sent"
        && !content.tags.iter().any(|tag| tag == "goodbye")
        && !content.recipient.as_deref().is_some_and(ends_with)
        && !content
            .subject
            .as_deref()
            .is_some_and(|text| text.contains("order lost"))
        && !metadata.is_some_and(|json| json.get().contains(r#""tenant":"acme""#))
}

fn per_event(work: impl FnMut() -> usize) -> Duration {
    cpu::least(RUNS, work) / u32::try_from(EVENTS).unwrap_or(u32::MAX)
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn print(name: &str, time: Duration, bound: Duration) {
    out::line(format!(
        "  {name:<42}{:>8.0} ns{:>8.2} of the bound",
        nanos(time),
        time.as_secs_f64() / bound.as_secs_f64()
    ));
}
