//! A request, and how it is shown.

use bytes::Bytes;
use http::request::Parts;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::verify::Verdict;
use crate::tools::out;

/// A request that was read, with what became of it.
#[derive(Debug)]
pub(super) struct Seen {
    at: Timestamp,
    pub(super) path: String,
    /// `webhook-id`
    pub(super) id: Option<String>,
    body: Bytes,
    pub(super) verdict: Verdict,
    answered: Answered,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    With(u16),
    /// Never.
    Not,
}

/// What is shown of an event; any JSON may come.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Seen {
    pub(super) fn new(parts: &Parts, body: Bytes, verdict: Verdict, answered: Answered) -> Seen {
        let id = parts.headers.get("webhook-id");
        Seen {
            at: Timestamp::now(),
            path: parts.uri.path().to_owned(),
            id: id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
            body,
            verdict,
            answered,
        }
    }

    pub(super) fn is_success(&self) -> bool {
        matches!(self.answered, Answered::With(200..=299))
    }

    /// Time, answer, path, type, id, and what the signature is worth.
    pub(super) fn line(&self, attempt: u32, is_coloured: bool) -> String {
        let paint = |text: String, colour: &str| match is_coloured {
            true => out::coloured(&text, colour),
            false => text,
        };
        let time = self.at.strftime("%H:%M:%SZ");
        let answer = match self.answered {
            Answered::With(status) => status.to_string(),
            Answered::Not => "---".to_owned(),
        };
        // As in `listen`: good is green, waiting is yellow, trouble is red.
        let answer = match self.answered {
            Answered::With(200..=299) => paint(answer, "32"),
            Answered::Not => paint(answer, "33"),
            Answered::With(_) => paint(answer, "31"),
        };
        let kind = self.kind().unwrap_or("?".to_owned());
        let (path, kind) = (out::printable(&self.path), out::printable(&kind));
        let id = out::printable(self.id.as_deref().unwrap_or("(no webhook-id)"));
        let again = match attempt {
            1 => String::new(),
            attempt => format!("  attempt {attempt}"),
        };
        let verdict = match &self.verdict {
            Verdict::Verified(_) => paint("  verified".to_owned(), "32"),
            Verdict::Wrong(why) => paint(format!("  REFUSED: {}", out::printable(why)), "31"),
            Verdict::Unasked => String::new(),
        };
        format!("{time} {answer} {path} {kind:<14} {id}{again}{verdict}")
    }

    /// The same for a program, with the body.
    pub(super) fn json(&self, attempt: u32) -> String {
        let (verified, by, why) = match &self.verdict {
            Verdict::Verified(by) => (Some(true), by.as_slice(), None),
            Verdict::Wrong(why) => (Some(false), &[][..], Some(why)),
            Verdict::Unasked => (None, &[][..], None),
        };
        let answer = match self.answered {
            Answered::With(status) => Some(status),
            Answered::Not => None,
        };
        let head = json!({
            "at": self.at.to_string(), "path": self.path, "type": self.kind(), "id": self.id,
            "attempt": attempt, "verified": verified, "verified_by": by, "why": why, "answer": answer,
        });
        let head = head.to_string();
        // The body keeps its bytes, which a parser would not.
        let body = match serde_json::from_slice::<&RawValue>(&self.body) {
            Ok(json) => json.get().to_owned(),
            Err(_) => json!(String::from_utf8_lossy(&self.body)).to_string(),
        };
        out::json_line(&format!("{},\"body\":{body}}}", &head[..head.len() - 1]))
    }

    fn kind(&self) -> Option<String> {
        let body: Body = serde_json::from_slice(&self.body).unwrap_or_default();
        body.kind
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn seen(body: &'static str, verdict: Verdict) -> Seen {
        let request = http::Request::post("/bounces?x=1").header("webhook-id", "evt_1");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Seen::new(&parts, Bytes::from(body), verdict, Answered::With(401))
    }

    #[test]
    fn a_line_says_what_came_and_what_became_of_it() {
        let seen = seen(
            r#"{"type":"hard_bounce"}"#,
            Verdict::Wrong("stale".to_owned()),
        );
        let line = seen.line(2, false);
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        let expected = "401 /bounces hard_bounce evt_1 attempt 2 REFUSED: stale";
        assert_eq!(words.join(" "), expected);
        let coloured = seen.line(2, true);
        assert!(coloured.contains("\x1b[31m401\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn no_body_can_drive_the_terminal_or_break_the_line() {
        for body in [
            "",
            "null",
            "[1",
            "{\"type\":\"\u{9b}2J\\n\"}",
            "{\"type\":5}",
        ] {
            let line = seen(body, Verdict::Unasked).line(1, false);
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn json_keeps_the_body_as_it_came() {
        let verified = Verdict::Verified(vec!["webhook-signature"]);
        let line = seen("{\"b\":1.0,\n\"a\":\"\\/\"}", verified).json(1);
        assert!(
            line.ends_with("\"body\":{\"b\":1.0, \"a\":\"\\/\"}}"),
            "{line}"
        );
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["verified"], true);
        let text: Value = serde_json::from_str(&seen("a=b", Verdict::Unasked).json(3)).unwrap();
        assert_eq!(
            (&text["body"], &text["attempt"]),
            (&json!("a=b"), &json!(3))
        );
        assert!(text["verified"].is_null());
    }
}
