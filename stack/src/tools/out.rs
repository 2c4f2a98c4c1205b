//! Everything the tools print goes through here: results to stdout, remarks and progress to stderr.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use super::ToolError;

/// One line of result, flushed so that a pipe sees it at once.
pub(crate) fn line(text: &str) -> Result<(), ToolError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// A remark on stderr. Nothing is left to do when that fails.
pub(crate) fn note(text: &str) {
    let mut stderr = io::stderr().lock();
    let clear = if stderr.is_terminal() {
        "\r\x1b[2K"
    } else {
        ""
    };
    let _ = writeln!(stderr, "{clear}{text}");
}

/// Replaces the current line of a terminal on stderr.
pub(crate) fn progress(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[2K{text}");
    let _ = stderr.flush();
}

/// Whether `progress` has a terminal to write to.
pub(crate) fn has_progress() -> bool {
    io::stderr().is_terminal()
}

/// Whether results may be coloured.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The text with every character that could drive or confuse a terminal shown escaped.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            hostile if is_hostile(hostile) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(hostile));
            }
            harmless => shown.push(harmless),
        }
    }
    Cow::Owned(shown)
}

/// JSON as one line: the exact text for a program, escaped for a terminal.
pub(crate) fn json_line(text: &str) -> String {
    if is_terminal() {
        return printable_json(text);
    }
    // Line ends stand only between tokens, where any space does.
    text.replace(['\n', '\r'], " ")
}

/// The JSON text on one line, with hostile characters as JSON escapes, so that it is still the same JSON.
fn printable_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // Raw control characters are only legal between tokens.
            '\n' | '\r' | '\t' => shown.push(' '),
            hostile if is_hostile(hostile) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(hostile));
            }
            harmless => shown.push(harmless),
        }
    }
    shown
}

/// Control characters (C0, DEL, C1), line separators, and marks that reorder what is shown.
/// All of them lie in the basic plane, which `printable_json` relies on.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_subject_cannot_drive_the_terminal() {
        assert_eq!(
            printable("a\x1b[2J\u{9b}b\u{202e}c\n"),
            "a\\u{1b}[2J\\u{9b}b\\u{202e}c\\n"
        );
        assert_eq!(printable("Grüße 📦 注文"), "Grüße 📦 注文");
    }

    #[test]
    fn escaped_json_is_one_line_and_means_the_same() {
        let text = "{\n\t\"a\": \"\u{9b}31m\u{202e}\"}";
        let shown = printable_json(text);
        assert!(!shown.chars().any(is_hostile));
        let (left, right): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(text).unwrap(),
            serde_json::from_str(&shown).unwrap(),
        );
        assert_eq!(left, right);
    }

    #[test]
    fn json_takes_one_line_even_if_it_was_received_on_many() {
        assert_eq!(json_line("{\n\"data\":{\r\n}}"), "{ \"data\":{  }}");
    }
}
