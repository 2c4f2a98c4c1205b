//! `posthorn listen`: the feed in a terminal.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};

use super::feed::{Entrance, Feed, FeedError, FeedItem, FeedOptions};
use super::target::{ApiArgs, without_query};
use super::tickets::Tickets;
use super::{ToolError, out};

/// A year: more than anybody waits, and no time overflows.
const MAX_IDLE_SECONDS: u64 = 366 * 24 * 60 * 60;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: ApiArgs,
    /// Begin with so many stored events
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(0..=1_000))]
    last: u32,
    /// Begin where an earlier one ended, which has said so
    #[arg(long, conflicts_with = "last")]
    cursor: Option<String>,
    /// Only what matches, for example `type:open,click`
    #[arg(long, allow_hyphen_values = true)]
    filter: Option<String>,
    /// Ask for what was received, too
    #[arg(long)]
    data: bool,
    /// One event a line as JSON
    #[arg(long)]
    json: bool,
    /// Stop after so many events
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop when nothing came for so many seconds; a failure if --count was not reached by then
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..=MAX_IDLE_SECONDS))]
    until_idle: Option<u64>,
}

/// Prints events until there are enough of them, it is quiet, or Ctrl-C.
pub async fn run(args: Args) -> Result<(), ToolError> {
    let target = args.target.resolve()?;
    let shown_url = without_query(&target.url);
    let tickets = Tickets::new(&target.url, target.token)?;
    let options = FeedOptions {
        filter: args.filter.clone(),
        data: args.data,
        last: args.last,
        cursor: args.cursor,
        ..FeedOptions::new(Entrance::Tickets(tickets))
    };
    let mut feed = Feed::connect(options)
        .await
        .map_err(|error| explain(error, &shown_url, args.filter.as_deref()))?;
    let idle = args.until_idle.map(Duration::from_secs);
    let mut idle_since = Instant::now();
    let mut told = 0;
    let mut is_connected = false;
    let mut place = None;
    let ended = loop {
        if args.count.is_some_and(|count| told >= count) {
            break Ok(());
        }
        let idle_end = idle.map(|idle| idle_since + idle);
        let item = tokio::select! {
            item = feed.next() => item.map_err(|error| {
                explain(error, &shown_url, args.filter.as_deref())
            })?,
            () = reached(idle_end) => break quiet(told, args.count),
            _ = tokio::signal::ctrl_c() => break Ok(()),
        };
        match item {
            FeedItem::Event { text, .. } => {
                idle_since = Instant::now();
                told += 1;
                let line = if args.json {
                    out::json_line(&text)
                } else {
                    as_line(&text, out::is_coloured())
                };
                out::line(&line)?;
            }
            FeedItem::Live { recovered } => {
                if !recovered {
                    out::note("-- some events before this are not kept any more");
                }
                if !is_connected {
                    is_connected = true;
                    idle_since = Instant::now();
                    out::note("-- live");
                }
            }
            FeedItem::Reconnecting { reason } => {
                is_connected = false;
                out::note(&format!("-- reconnecting: {}", out::printable(&reason)));
            }
            FeedItem::Place { cursor } => place = Some(cursor),
            FeedItem::Filtered { .. } => {}
        }
    };
    if let Some(place) = place {
        out::note(&format!(
            "-- to go on from here: --cursor {}",
            out::quoted(&out::printable(&place))
        ));
    }
    ended
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn quiet(told: u64, wanted: Option<u64>) -> Result<(), ToolError> {
    match wanted {
        Some(wanted) => Err(ToolError::Failed(format!(
            "only {told} of {wanted} events came"
        ))),
        None => Ok(()),
    }
}

fn explain(error: FeedError, url: &str, filter: Option<&str>) -> ToolError {
    let text = format!("{url}: {}", out::printable(&error.to_string()));
    match error {
        FeedError::Filter { message } => {
            let shown = filter.and_then(|filter| pointed_at(filter, &message));
            ToolError::Usage(format!("{text}{}", shown.unwrap_or_default()))
        }
        FeedError::Unauthorized => ToolError::Usage(format!("{text} (see --token)")),
        FeedError::Refused { .. } => ToolError::Usage(format!("{text} (see --url and --filter)")),
        FeedError::Rejected { .. } => ToolError::Usage(text),
        FeedError::Unreachable { .. } | FeedError::Ended => ToolError::Failed(text),
    }
}

/// The fields of an object, except what is deeper than a parser goes; `inner` names the field whose
/// own fields are read so.
fn readable(text: &str, inner: Option<&str>) -> Value {
    let fields: HashMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let value = |(name, field): (String, &RawValue)| {
        let value = if inner == Some(&name) {
            readable(field.get(), None)
        } else {
            serde_json::from_str(field.get()).unwrap_or_default()
        };
        (name, value)
    };
    fields.into_iter().map(value).collect()
}

/// Time, kind, recipient, and what is worth showing.
fn as_line(text: &str, is_coloured: bool) -> String {
    let event = readable(text, Some("detail"));
    let field = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let kind = field("/type");
    let time = field("/occurred_at");
    let time = time.split_once('T').map_or(time, |(_, clock)| clock);
    let (time, recipient) = (out::printable(time), out::printable(field("/recipient")));
    let detail = detail(kind, field);
    let (kind, detail) = (
        format!("{:<16}", out::printable(kind)),
        out::printable(&detail),
    );
    let kind = match colour(field("/type")).filter(|_| is_coloured) {
        Some(colour) => out::coloured(&kind, colour),
        None => kind,
    };
    format!("{time:<9} {kind} {recipient:<36} {detail}")
        .trim_end()
        .to_owned()
}

fn detail<'a>(kind: &str, field: impl Fn(&str) -> &'a str) -> String {
    let parts = match kind {
        "click" => ["/detail/url", "/subject"],
        "hard_bounce" | "soft_bounce" => ["/detail/bounce_description", "/detail/diag"],
        "deferral" => ["/detail/diag", "/subject"],
        "reject" => ["/detail/reason", "/subject"],
        listed if listed.contains("list_") => ["/detail/reason", "/detail/diag"],
        _ => ["/subject", ""],
    };
    let texts = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(field)
        .filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("  ")
}

/// Good is green, what readers do is cyan, trouble is red, waiting is yellow.
fn colour(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "delivered" => "32",
        "open" | "click" | "inbound" => "36",
        "hard_bounce" | "spam" | "reject" | "unsub" => "31",
        "soft_bounce" | "deferral" => "33",
        "send" => return None,
        _ => "35",
    })
}

/// The filter, with a caret below the place that the server's message names: `… at 5: …`, in bytes.
fn pointed_at(filter: &str, message: &str) -> Option<String> {
    let mut places = message.split(" at ").skip(1);
    let at = places.find_map(|rest| rest.split(':').next()?.parse::<usize>().ok())?;
    let before = out::printable(filter.get(..at)?).chars().count();
    let filter = out::printable(filter);
    Some(format!("\n  {filter}\n  {:before$}^", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_points_at_what_is_wrong_with_a_filter() {
        let pointed = |filter: &str| {
            let error = filter.parse::<domain::Filter>().unwrap_err();
            pointed_at(filter, &error.to_string()).unwrap()
        };
        assert_eq!(pointed("ü colour:red"), "\n  ü colour:red\n    ^");
        assert_eq!(pointed("a\tOR b"), "\n  a\\tOR b\n     ^");
        assert_eq!(pointed("type:"), "\n  type:\n       ^");
        assert_eq!(pointed_at("a", "no place"), None);
        assert_eq!(pointed_at("ä", "odd at 1: x"), None);
        assert_eq!(pointed_at("a", "far at 9: x"), None);
    }

    #[test]
    fn a_line_says_when_what_who_and_why() {
        let event = r#"{"type":"hard_bounce","occurred_at":"2026-11-22T01:02:03Z","recipient":"a@example.net",
            "subject":"s","detail":{"bounce_description":"bad_mailbox","diag":"550 unknown"}}"#;
        let line = as_line(event, false);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "01:02:03Z",
                "hard_bounce",
                "a@example.net",
                "bad_mailbox",
                "550",
                "unknown"
            ]
        );
    }

    #[test]
    fn an_event_of_any_depth_has_its_line() {
        for levels in [1_000, 100_000] {
            let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let event = format!(
                r#"{{"type":"click","recipient":"a@example.net","metadata":{deep},"detail":{{"url":"u","location":{deep}}},"data":{deep}}}"#
            );
            let line = as_line(&event, false);
            assert!(
                line.contains("click") && line.contains("a@example.net") && line.ends_with('u')
            );
        }
    }

    #[test]
    fn no_field_can_drive_the_terminal() {
        let event = r#"{"type":"x\u001b[2J","occurred_at":"\u001b]0;T\u0007","recipient":"\u009b1m","subject":"a\rb"}"#;
        let line = as_line(event, true);
        let own = line.replace("\x1b[35m", "").replace("\x1b[0m", "");
        assert!(!own.chars().any(char::is_control), "{own:?}");
    }

    #[test]
    fn odd_events_make_a_line_too() {
        for text in ["null", "[]", r#"{"type":5,"detail":[],"subject":null}"#] {
            assert_eq!(as_line(text, false), "", "{text}");
        }
    }
}
