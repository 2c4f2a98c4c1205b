//! Trains the dictionary that events are compressed with, and measures the one in use.
//!
//! ```sh
//! cargo run -p bench --example dictionary -- train FILE      # writes a new one
//! cargo run -p bench --example dictionary                    # measures on simulated events
//! cargo run -p bench --example dictionary -- measure FILE…   # measures on files of events
//! ```
//!
//! All events are the simulator's: nothing in them is anybody's. Every other event that is trained
//! on has the letters and digits of its values exchanged, each event in its own way. So the
//! dictionary learns how Mandrill's events are built rather than what the simulator talks about,
//! and the same exchange measures how it does on mail that it knows nothing of.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use bench::Result;
use posthorn::tools::generator::{Generator, Settings};
use store::NewEvent;

/// The number that frames bear. It stands in bytes 4 to 7 of a dictionary. (RFC 8878, section 6.)
const NUMBER: u32 = 2;
const DICTIONARY_BYTES: usize = 16 * 1024;
const TRAINED_ON: std::ops::Range<u64> = 100..108;
const MEASURED_ON: u64 = 1;
const EVENTS_PER_SEED: usize = 2_000;
/// What an item has beside its body and the text of its type. (`docs/DATA-MODEL.md`.)
const ATTRIBUTES_BYTES: usize = 181;
const WRITE_UNIT_BYTES: usize = 1024;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        None => measure_simulated(),
        Some((command, [file])) if command == "train" => train(file),
        Some((command, files)) if command == "measure" => measure_files(files),
        Some(_) => Err("call it with nothing, `train FILE` or `measure FILE…`".into()),
    }
}

fn train(file: &str) -> Result<()> {
    let mut texts = Vec::new();
    for seed in TRAINED_ON {
        for (index, event) in simulated(seed).iter().enumerate() {
            let text = body(event)?.text;
            texts.push(if index % 2 == 0 {
                text
            } else {
                exchanged(&text, index)
            });
        }
    }
    let mut dictionary = zstd::dict::from_samples(&texts, DICTIONARY_BYTES)?;
    dictionary[4..8].copy_from_slice(&NUMBER.to_le_bytes());
    fs::write(file, dictionary)?;
    Ok(())
}

fn measure_simulated() -> Result<()> {
    let events = simulated(MEASURED_ON);
    let bodies = events
        .iter()
        .map(|event| body(event))
        .collect::<Result<Vec<_>>>()?;
    println!("simulated events that were not trained on");
    table(&bodies)?;
    let foreign = bodies.iter().enumerate().map(|(index, body)| Body {
        kind: body.kind.clone(),
        text: exchanged(&body.text, index),
    });
    println!("\nthe same with every value foreign");
    table(&foreign.collect::<Vec<_>>())
}

fn measure_files(files: &[String]) -> Result<()> {
    let mut bodies = Vec::new();
    for file in files {
        let text = fs::read_to_string(file)?;
        let text = text.trim();
        let batch = if text.starts_with('[') {
            text.to_owned()
        } else {
            format!("[{text}]")
        };
        bodies.extend(bodies_of(&batch)?);
    }
    table(&bodies)
}

/// What is compressed of an event.
struct Body {
    kind: String,
    text: Vec<u8>,
}

fn simulated(seed: u64) -> Vec<String> {
    let settings = Settings {
        seed,
        start: 1_795_300_000,
        rate: 5.0,
        kinds: Vec::new(),
    };
    let events = Generator::new(settings).take(EVENTS_PER_SEED);
    events.map(|event| event.json).collect()
}

fn body(event: &str) -> Result<Body> {
    let bodies = bodies_of(&format!("[{event}]"))?;
    bodies.into_iter().next().ok_or("not an event".into())
}

fn bodies_of(batch: &str) -> Result<Vec<Body>> {
    let raw = mandrill::split(batch.as_bytes());
    let events = webhook::intake::events(&raw, Some("main"));
    let body = |event: &NewEvent<'_>| {
        Ok(Body {
            kind: event.content.kind.to_string(),
            text: store::item::text(&event.content, Some(&event.data))?,
        })
    };
    events.iter().map(body).collect()
}

/// The text with the letters and digits of every value exchanged by one alphabet for another. What
/// repeats itself still does; names of fields, punctuation and numbers stay.
fn exchanged(text: &[u8], seed: usize) -> Vec<u8> {
    let alphabet = shuffled(seed as u64);
    let mut result = text.to_vec();
    let mut start = 0;
    while let Some(open) = find(text, start) {
        let Some(close) = closing(text, open + 1) else {
            break;
        };
        if text.get(close + 1) != Some(&b':') {
            exchange(&mut result[open + 1..close], &alphabet);
        }
        start = close + 1;
    }
    result
}

fn find(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    Some(from + rest.iter().position(|byte| *byte == b'"')?)
}

fn closing(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Leaves escapes as they are.
fn exchange(value: &mut [u8], alphabet: &[u8; 256]) {
    let mut at = 0;
    while at < value.len() {
        match value[at] {
            b'\\' if value.get(at + 1) == Some(&b'u') => at += 6,
            b'\\' => at += 2,
            byte => {
                value[at] = alphabet[usize::from(byte)];
                at += 1;
            }
        }
    }
}

fn shuffled(seed: u64) -> [u8; 256] {
    let mut alphabet: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    let mut random = fastrand::Rng::with_seed(seed);
    random.shuffle(&mut alphabet[usize::from(b'a')..=usize::from(b'z')]);
    random.shuffle(&mut alphabet[usize::from(b'A')..=usize::from(b'Z')]);
    random.shuffle(&mut alphabet[usize::from(b'0')..=usize::from(b'9')]);
    alphabet
}

fn table(bodies: &[Body]) -> Result<()> {
    let mut kinds: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    let began = Instant::now();
    let mut compressor = store::compression::Compressor::new()?;
    for body in bodies {
        let compressed = compressor.compress(&body.text)?.len();
        let item = compressed + ATTRIBUTES_BYTES + body.kind.len();
        kinds
            .entry(&body.kind)
            .or_default()
            .push((body.text.len(), item));
    }
    let each = began.elapsed() / u32::try_from(bodies.len().max(1))?;
    println!(
        "{:<20}{:>8}{:>8}{:>8}{:>8}{:>10}",
        "type", "events", "text", "item", "largest", "over 1 KB"
    );
    for (kind, mut sizes) in kinds {
        let text = sizes.iter().map(|(text, _)| text).sum::<usize>() / sizes.len();
        sizes.sort_by_key(|(_, item)| *item);
        let median = sizes[sizes.len() / 2].1;
        let largest = sizes[sizes.len() - 1].1;
        let over = sizes
            .iter()
            .filter(|(_, item)| *item > WRITE_UNIT_BYTES)
            .count();
        println!(
            "{kind:<20}{:>8}{text:>8}{median:>8}{largest:>8}{over:>10}",
            sizes.len()
        );
    }
    println!("{each:?} an event");
    Ok(())
}
