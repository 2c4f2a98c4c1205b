//! Invented batches, as Mandrill posts them.

use posthorn::tools::generator::{self, Kind};
use posthorn::tools::post::form_body;

use crate::Result;

/// Events of one batch are delivered by one webhook: no inbound mail, which comes from another.
const KINDS: [Kind; 6] = [
    Kind::Send,
    Kind::Delivered,
    Kind::Open,
    Kind::Click,
    Kind::HardBounce,
    Kind::SoftBounce,
];
/// When the first event happened.
const START: i64 = 1_795_300_000;

/// What tells an event from others at little cost: the last 16 characters of its id, 80 bits.
pub type Key = u128;

/// How long an id is, and how much of its end is the key.
const ID_CHARS: usize = "evt_".len() + 39;
const KEY_CHARS: usize = size_of::<Key>();

/// One batch.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The JSON array.
    pub json: String,
    /// The body of its POST.
    pub body: String,
    /// Its events.
    pub keys: Vec<Key>,
}

/// Batches of a size. Different seeds make different events.
///
/// # Errors
/// When the generator and the parser do not agree.
pub fn batches(seed: u64, count: usize, size: usize) -> Result<Vec<Batch>> {
    of_kinds(&KINDS, seed, count, size)
}

/// As [`batches`], of these kinds only.
///
/// # Errors
/// When the generator and the parser do not agree.
pub fn of_kinds(kinds: &[Kind], seed: u64, count: usize, size: usize) -> Result<Vec<Batch>> {
    let settings = generator::Settings {
        seed,
        start: START,
        rate: 0.0,
        kinds: kinds.to_vec(),
    };
    generator::Batches::new(settings, size, Some((count * size) as u64))
        .map(|batch| {
            Ok(Batch {
                keys: keys(&batch.json)?,
                body: form_body(&batch.json),
                json: batch.json,
            })
        })
        .collect()
}

fn keys(json: &str) -> Result<Vec<Key>> {
    let raw = mandrill::split(json.as_bytes());
    let ids = webhook::intake::events(&raw, None)
        .into_iter()
        .map(|event| event.id.to_string());
    Ok(ids.filter_map(|id| key(id.as_bytes())).collect())
}

/// The key of the event whose id `text` begins with.
#[must_use]
pub fn key(text: &[u8]) -> Option<Key> {
    let end = text.get(ID_CHARS - KEY_CHARS..ID_CHARS)?;
    Some(Key::from_le_bytes(end.try_into().ok()?))
}
