//! What a text of a stranger or a reader costs grows with its length and no faster, whatever it
//! holds: at four times the length it takes less than six times the time of the processor.

#![cfg(test)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use domain::frame::{self, Cause, Rendered};
use domain::{Content, Detail, Event, EventId, Feed, Filter, Millis, Position, Source};
use rustix::time::{ClockId, clock_gettime};
use serde_json::value::RawValue;

/// What may make an algorithm look at the same text again and again.
const HARD: [&str; 39] = [
    "a", "A", "ä", "\"", "\\", "@", "'\"@", " @", "@ ", "@[", "(@", "(", "()", "[", ":", ".", "1.",
    "%", "%25", "%40<", "&#", "&#64", "=40", "=?q?", "=?a?q?b ", "=?a?q?b", "=?a?q?b?", "\u{FF20}",
    "e\u{301}", "\u{200B}", "a@b.c ", " . ", "a . ", "=41", "=\n", "&a", "&commat", "://1", "://@",
];
/// Lengths within what is looked at of a text, and beyond.
const LENGTHS: [usize; 2] = [500, 5_000];
/// That which is within, for what does the same with all that is looked at.
const WITHIN: &[usize] = &[500];
const TIMES: usize = 4;
const MOST: f64 = 6.0;
/// How long the work is repeated to be measured.
const LEAST: Duration = Duration::from_micros(100);
/// How often it may be measured, if need be: the least counts, since the machine may be busy with
/// other things.
const TRIES: usize = 10;

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap();
    Duration::new(time.tv_sec.unsigned_abs(), nanos)
}

/// How long it takes to do this once.
fn cost<T>(work: &impl Fn() -> T) -> f64 {
    let mut repeats = 1_u32;
    loop {
        let time = repeated_work(repeats, work);
        if time >= LEAST {
            return time.as_secs_f64() / f64::from(repeats);
        }
        repeats *= 4;
    }
}

fn repeated_work<T>(repeats: u32, work: &impl Fn() -> T) -> Duration {
    let begun = now();
    for _ in 0..repeats {
        black_box(work());
    }
    now() - begun
}

/// Holds work to its bound: `make` gives it for a length.
fn scales<W: Fn() -> T, T>(name: &str, length: usize, make: impl Fn(usize) -> W) {
    let (short, long) = (make(length), make(TIMES * length));
    let (mut least_short, mut least_long) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TRIES {
        least_short = least_short.min(cost(&short));
        least_long = least_long.min(cost(&long));
        if least_long < MOST * least_short {
            return;
        }
    }
    let ratio = least_long / least_short;
    panic!("{name} at {length}: {ratio:.1} times the time at {TIMES} times the length");
}

/// A text of about this many bytes.
fn repeated(text: &str, bytes: usize) -> String {
    text.repeat(bytes.div_ceil(text.len()))
}

fn event(content: Content<'static>) -> Event<'static> {
    Event {
        id: EventId::ZERO,
        received_at: Millis(1_795_300_005_123),
        content,
        data: None,
    }
}

fn raw(json: String) -> Option<Cow<'static, RawValue>> {
    Some(Cow::Owned(RawValue::from_string(json).unwrap()))
}

/// An event in which every field is this text.
fn filled(text: &str) -> Content<'static> {
    let one = || Cow::Owned(text.to_owned());
    let some = || Some(one());
    let object = serde_json::json!({ "k": text, "country": text, "l": [text] }).to_string();
    Content {
        webhook: some(),
        message_id: some(),
        recipient: some(),
        sender: some(),
        subject: some(),
        tags: vec![one(), one()],
        subaccount: some(),
        template: some(),
        metadata: raw(object.clone()),
        detail: Detail {
            url: some(),
            ip: some(),
            user_agent: some(),
            location: raw(object),
            diag: some(),
            bounce_description: some(),
            reason: some(),
        },
        ..Content::new(one(), Source::Mandrill)
    }
}

/// An event of which a text of each kind that is masked is this one.
fn to_mask(text: &str) -> Content<'static> {
    let one = || Cow::Owned(text.to_owned());
    let mut content = Content::new(one(), Source::Mandrill);
    content.recipient = Some(one());
    content.tags = vec![one()];
    content.detail.location = raw(serde_json::json!({ "country": text }).to_string());
    content
}

#[test]
fn masking_scales() {
    for hard in HARD {
        for (around, lengths) in [
            ("{}", &LENGTHS[..]),
            ("\"{}\"@example.net", WITHIN),
            ("x%40y {}", WITHIN),
        ] {
            for &length in lengths {
                scales(
                    &format!("masking {around:?} of {hard:?}"),
                    length,
                    |length| {
                        let text = around.replace("{}", &repeated(hard, length));
                        let event = event(to_mask(&text));
                        move || event.masked().content.kind.len()
                    },
                );
            }
        }
    }
    scales("masking tags", 500, |count| {
        let mut content = Content::new("send", Source::Mandrill);
        content.tags = vec!["anna%40example.net".into(); count];
        let event = event(content);
        move || event.masked().content.tags.len()
    });
}

#[test]
fn masking_links_scales() {
    let shapes = [
        ("https://a.example/{}", &LENGTHS[..]),
        ("https://{}@a.example/", WITHIN),
        ("mailto:{}", WITHIN),
        ("/{}#@", WITHIN),
        ("{}/{}", WITHIN),
    ];
    for hard in HARD {
        for (shape, lengths) in shapes {
            for &length in lengths {
                scales(
                    &format!("masking the link {shape:?} of {hard:?}"),
                    length,
                    |length| {
                        let mut content = Content::new("click", Source::Mandrill);
                        let url = shape.replace("{}", &repeated(hard, length));
                        content.detail.url = Some(url.into());
                        let event = event(content);
                        move || event.masked().content.detail.url.map(|url| url.len())
                    },
                );
            }
        }
    }
}

/// A text as JSON with each character escaped.
fn escaped(text: &str) -> String {
    let units = text.encode_utf16();
    units.map(|unit| format!("\\u{unit:04x}")).collect()
}

#[test]
fn filters_scale_with_the_text() {
    const FIELDS: [&str; 13] = [
        "type:",
        "source:",
        "webhook:",
        "subaccount:",
        "template:",
        "message:",
        "tag:",
        "sender:",
        "recipient:",
        "url:",
        "subject:",
        "",
        "meta.k:",
    ];
    for hard in ["a", "A", "ä", "İ", "\\", "\u{1F600}"] {
        let value = repeated(hard, 300).replace('\\', r"\\");
        let lengths = LENGTHS.iter().flat_map(|length| [*length, TIMES * length]);
        let content = |length| (length, filled(&repeated(hard, length)));
        let contents: HashMap<_, _> = lengths.map(content).collect();
        // The same as the text but for an end.
        let values = [
            format!("*\"{value}b\"*"),
            format!("\"b{value}\"*"),
            "*b*".to_owned(),
        ];
        for (field, value) in FIELDS
            .iter()
            .flat_map(|field| values.iter().map(move |value| (field, value)))
        {
            let filter: Filter = format!("-{field}{value}").parse().unwrap();
            for length in LENGTHS {
                let name = format!("{field} with {} bytes of {hard:?}", value.len());
                scales(&name, length, |length| {
                    let (filter, content) = (&filter, &contents[&length]);
                    move || filter.matches(content)
                });
            }
        }
    }
}

#[test]
fn filters_scale_with_metadata() {
    let filter = format!("-meta.k:*{}b*", "a".repeat(1_000));
    let filter: Filter = filter.parse().unwrap();
    type Shape = fn(usize) -> String;
    let shapes: [(&str, Shape); 8] = [
        ("a plain value", |n| {
            format!(r#"{{"k":"{}"}}"#, "a".repeat(n))
        }),
        ("escapes", |n| {
            format!(r#"{{"k":"{}"}}"#, escaped(&"a".repeat(n / 6)))
        }),
        ("escaped quotes", |n| {
            format!(r#"{{"k":"{}"}}"#, r#"\""#.repeat(n / 2))
        }),
        ("letters beyond ASCII", |n| {
            format!(r#"{{"k":"{}"}}"#, "ä".repeat(n / 2))
        }),
        ("entries", |n| {
            format!(r#"{{{}"k":1}}"#, r#""k":"a","#.repeat(n / 8))
        }),
        ("escaped keys", |n| {
            format!(r#"{{{}"k":1}}"#, r#""\u006b":"a","#.repeat(n / 13))
        }),
        ("a long key", |n| format!(r#"{{"{}":1}}"#, "K".repeat(n))),
        ("shallow arrays", |n| {
            format!(r#"{{"k":[{}1]}}"#, "[[]],".repeat(n / 5))
        }),
    ];
    for (name, shape) in shapes {
        for length in [4_000, 50_000] {
            scales(&format!("metadata with {name}"), length, |length| {
                let mut content = Content::new("send", Source::Mandrill);
                content.metadata = raw(shape(length));
                let filter = filter.clone();
                move || filter.matches(&content)
            });
        }
    }
}

#[test]
fn reading_a_filter_scales() {
    let shapes = [
        "a ",
        "-a,b ",
        "tag:a ",
        "\"",
        "\\",
        "\"\\\"",
        "meta.k:a,",
        "meta.\"k\":a,",
        "*",
        "a,",
        "(",
        "İ",
        "a:",
        ",",
        "subject:*a* ",
    ];
    for shape in shapes {
        for length in [500, 5_000] {
            scales(
                &format!("reading a filter of {shape:?}"),
                length,
                |length| {
                    let text = repeated(shape, length);
                    move || text.parse::<Filter>().map(|filter| filter.to_string())
                },
            );
        }
    }
    scales("reading a filter of many values", 400, |length| {
        let values: Vec<_> = (0..length / 4).map(|n| format!("{n:x}")).collect();
        let text = format!("tag:{}", values.join(","));
        move || text.parse::<Filter>().map(|filter| filter.values())
    });
}

#[test]
fn rendering_scales() {
    let feed = Feed::new("f");
    for hard in ["a", "\"", "\\", "/", "\n", "ä", "\u{200B}", "\u{1F600}"] {
        // What fits a message, and what does not: that is rendered once more without what is long.
        for length in [500, 10_000] {
            scales(&format!("rendering {hard:?}"), length, |length| {
                let mut event = event(filled(&repeated(hard, length)));
                event.data = Some(format!("{:?}", "x".repeat(length)).into());
                let feed = &feed;
                move || event.to_json_within(feed, true, frame::EVENT_BYTES).len()
            });
        }
    }
}

#[test]
fn putting_events_into_messages_scales() {
    let feed = Feed::new("f");
    // Each is more than the allocator keeps between two runs, or neither.
    for (size, events) in [(0, 100), (600, 1_000), (40_000, 100)] {
        scales(
            &format!("messages of events of {size} bytes"),
            events,
            |count| {
                let rendered = |at| Rendered {
                    json: "x".repeat(size),
                    cursor: feed.cursor_at(Position::start_of(Millis(at))),
                };
                let events: Vec<_> = (0..count as u64).map(rendered).collect();
                move || frame::messages(&events, Cause::Live).len()
            },
        );
    }
}

#[test]
fn reading_cursors_ids_and_times_scales() {
    let feed = Feed::new("f");
    for hard in ["0", "z", "evt_", "ä", "\0"] {
        for length in LENGTHS {
            let text = |length| repeated(hard, length);
            scales(&format!("a cursor of {hard:?}"), length, |length| {
                let (text, feed) = (text(length), &feed);
                move || feed.decode(&text).is_ok()
            });
            scales(&format!("an id of {hard:?}"), length, |length| {
                let text = text(length);
                move || text.parse::<EventId>().is_ok()
            });
            scales(&format!("a time of {hard:?}"), length, |length| {
                let text = text(length);
                move || Millis::from_rfc3339(&text).is_some()
            });
        }
    }
}
