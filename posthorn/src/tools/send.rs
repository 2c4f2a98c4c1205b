//! `posthorn send`: one file of events as one signed batch.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::post::Poster;
use super::target::WebhookArgs;
use super::{ToolError, out};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A JSON array of events, or one event; `-` reads stdin
    file: String,
    #[command(flatten)]
    target: WebhookArgs,
}

/// Posts the file, prints the answer and says what was accepted. Anything but a 200 is a failure, as it
/// is to Mandrill.
pub async fn run(args: Args) -> Result<(), ToolError> {
    let text = read(&args.file)?;
    let events = as_batch(&text)
        .map_err(|why| ToolError::Usage(format!("{} {why}", shown_name(&args.file))))?;
    let poster = Poster::new(args.target.resolve()?)?;
    let answer = poster.post(&poster.sign(&events)).await;
    let answer = answer.map_err(|error| ToolError::Failed(format!("no answer: {error}")))?;
    let body = out::printable(answer.body.trim_end());
    out::line(format!("{} {body}", answer.status).trim_end())?;
    if answer.status != 200 {
        let refusal = poster.refusal(&answer);
        return Err(ToolError::Failed(format!(
            "the batch was not accepted: {refusal}"
        )));
    }
    out::note(&accepted(&events));
    Ok(())
}

/// `3 events were accepted: click 2, open 1`.
fn accepted(events: &str) -> String {
    let events: Vec<Event> = serde_json::from_str(events).unwrap_or_default();
    let mut kinds = BTreeMap::new();
    for event in &events {
        let kind = event.event.as_ref().or(event.kind.as_ref());
        let kind = kind.and_then(Value::as_str).unwrap_or("unknown");
        *kinds.entry(kind).or_insert(0_usize) += 1;
    }
    let kinds = kinds.iter().map(|(kind, count)| format!("{kind} {count}"));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    match events.len() {
        0 => "an empty batch was accepted".to_owned(),
        1 => format!("1 event was accepted: {kinds}"),
        count => format!("{count} events were accepted: {kinds}"),
    }
}

/// What names an event's kind: mail has `event`, the lists have `type`.
#[derive(Default, Deserialize)]
#[serde(from = "Value")]
struct Event {
    event: Option<Value>,
    kind: Option<Value>,
}

impl From<Value> for Event {
    fn from(mut event: Value) -> Event {
        let mut field = |name| event.get_mut(name).map(Value::take);
        Event {
            event: field("event"),
            kind: field("type"),
        }
    }
}

/// The text of a file, or of stdin for `-`, without the mark that some editors put before it.
pub(super) fn read(file: &str) -> Result<String, ToolError> {
    let bytes = match file {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        path => fs::read(path),
    };
    let wrong = |why: &str| ToolError::Usage(format!("{} {why}", shown_name(file)));
    let bytes = bytes.map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(wrong("is UTF-16: save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
    Ok(without_mark(&text).to_owned())
}

/// The text behind a byte order mark.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The exact text of an array; an object becomes an array of one. The error says what it is instead.
pub(super) fn as_batch(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    let json: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    match json.get().as_bytes().first() {
        Some(b'[') => Ok(text.to_owned()),
        Some(b'{') => Ok(format!("[{}]", json.get())),
        _ => Err("holds neither a JSON array nor a JSON object".to_owned()),
    }
}

fn shown_name(file: &str) -> &str {
    match file {
        "-" => "stdin",
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_sent_exactly_as_it_was_written() {
        let text = "\n[ {\"ts\": 1.0e3, \"a\":\"\\/\"} ]\n";
        assert_eq!(as_batch(text).as_deref(), Ok(text));
    }

    #[test]
    fn one_event_becomes_a_batch_of_one() {
        assert_eq!(
            as_batch(" {\"event\": \"send\"}\n").as_deref(),
            Ok("[{\"event\": \"send\"}]")
        );
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        for (text, why) in [
            ("\"send\"", "neither"),
            ("7", "neither"),
            ("[1", "is not JSON"),
            ("mandrill_events=%5B%5D", "is not JSON"),
            ("", "is empty"),
            (" \n", "is empty"),
        ] {
            let refused = as_batch(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_other_encodings_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("batch.json");
        let file = file.to_str().unwrap();
        fs::write(file, "\u{feff}[]").unwrap();
        assert_eq!(read(file).unwrap(), "[]");
        for (bytes, why) in [
            (&b"\xff\xfe[\0"[..], "UTF-16"),
            (b"[\"\xe4\"]", "not UTF-8"),
        ] {
            fs::write(file, bytes).unwrap();
            let refused = read(file).unwrap_err().to_string();
            assert!(refused.contains(why) && refused.contains(file), "{refused}");
        }
    }

    #[test]
    fn what_was_accepted_is_counted_by_kind() {
        let batch = r#"[{"event":"open"},{"type":"blacklist"},{"event":"open"},7,{"event":null}]"#;
        let said = "5 events were accepted: blacklist 1, open 2, unknown 2";
        assert_eq!(accepted(batch), said);
        assert_eq!(accepted("[]"), "an empty batch was accepted");
    }
}
