//! Small events as Mandrill sends them.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

/// The `n`-th event of a test: the sending of a message of its own.
#[must_use]
pub fn send(n: usize) -> String {
    of_message("send", n, n)
}

/// The `n`-th event of a test, about the message of number `message`. Events of one message stand
/// in one partition, and so in one shard of the stream.
#[must_use]
pub fn of_message(kind: &str, message: usize, n: usize) -> String {
    let ts = 1_795_300_000 + n;
    format!(
        concat!(
            r#"{{"event":"{kind}","ts":{ts},"_id":"{message:032x}","msg":{{"_id":"{message:032x}","#,
            r#""subject":"Test {n}","email":"reader{n}@example.net","sender":"shop@example.com","#,
            r#""tags":["test"],"metadata":{{"n":{n}}}}}}}"#
        ),
        kind = kind,
        ts = ts,
        message = message,
        n = n,
    )
}

/// A batch of these events: the text of a JSON array.
#[must_use]
pub fn batch<E: AsRef<str>>(events: impl IntoIterator<Item = E>) -> String {
    let mut text = String::from("[");
    for (index, event) in events.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(event.as_ref());
    }
    text.push(']');
    text
}

/// A batch of [`send`]s.
#[must_use]
pub fn sends(numbers: Range<usize>) -> String {
    batch(numbers.map(send))
}

/// The numbers of events that were made here, in their order.
///
/// # Panics
/// When one was not.
#[must_use]
pub fn numbers(events: &[Value]) -> Vec<usize> {
    let number = |event: &Value| {
        let n = event["metadata"]["n"].as_u64();
        usize::try_from(n.expect("an event with a number")).expect("a small number")
    };
    events.iter().map(number).collect()
}

/// The ids of events.
///
/// # Panics
/// When one has none.
#[must_use]
pub fn ids(events: &[Value]) -> BTreeSet<String> {
    let id = |event: &Value| {
        event["id"]
            .as_str()
            .expect("an event with an id")
            .to_owned()
    };
    events.iter().map(id).collect()
}

/// Letters that hardly compress.
#[must_use]
pub fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                [(state >> 58) as usize],
        )
    };
    (0..bytes).map(|_| next()).collect()
}
