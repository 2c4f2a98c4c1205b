//! `posthorn send`: one file of events as one signed batch.

use std::fs;
use std::io::{self, Read as _};

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

/// Posts the file and prints the answer. Anything but a 200 is a failure, as it is to Mandrill.
pub async fn run(args: Args) -> Result<(), ToolError> {
    let text = read(&args.file)?;
    let events = as_batch(&text).ok_or_else(|| {
        ToolError::Usage(format!(
            "{} holds neither a JSON array nor a JSON object",
            shown_name(&args.file)
        ))
    })?;
    let poster = Poster::new(args.target.resolve()?)?;
    let answer = poster.post(&poster.sign(&events)).await;
    let answer = answer.map_err(|error| ToolError::Failed(format!("no answer: {error}")))?;
    let body = out::printable(answer.body.trim_end());
    out::line(format!("{} {body}", answer.status).trim_end())?;
    match answer.status {
        200 => Ok(()),
        status => Err(ToolError::Failed(format!(
            "the batch was not accepted: {status}"
        ))),
    }
}

/// The text of a file, or of stdin for `-`.
pub(super) fn read(file: &str) -> Result<String, ToolError> {
    let text = match file {
        "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        }
        path => fs::read_to_string(path),
    };
    text.map_err(|error| ToolError::Usage(format!("{} cannot be read: {error}", shown_name(file))))
}

/// The exact text of an array; an object becomes an array of one. `None` if it is neither.
pub(super) fn as_batch(text: &str) -> Option<String> {
    let json: &RawValue = serde_json::from_str(text).ok()?;
    match json.get().as_bytes().first() {
        Some(b'[') => Some(text.to_owned()),
        Some(b'{') => Some(format!("[{}]", json.get())),
        _ => None,
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
        assert_eq!(as_batch(text).as_deref(), Some(text));
    }

    #[test]
    fn one_event_becomes_a_batch_of_one() {
        assert_eq!(
            as_batch(" {\"event\": \"send\"}\n").as_deref(),
            Some("[{\"event\": \"send\"}]")
        );
    }

    #[test]
    fn what_is_not_a_batch_is_refused() {
        assert_eq!(as_batch("\"send\""), None);
        assert_eq!(as_batch("[1"), None);
        assert_eq!(as_batch(""), None);
    }
}
