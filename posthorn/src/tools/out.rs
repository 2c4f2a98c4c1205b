//! Everything the tools print goes through here: results to stdout, remarks and progress to stderr.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;

use platform::config;

use super::error::ToolError;

/// One line of result, flushed so that a pipe sees it at once.
pub(crate) fn line(text: &str) -> Result<(), ToolError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// A remark on stderr, of one line or more, which may quote what was received. Nothing is left to do
/// when that fails.
pub(crate) fn note(text: &str) {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    let text = lines.join("\n");
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

/// Whether results are read by a person, and not by a program.
fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether results may be coloured: by a terminal that can, for a person who has not said no
/// (<https://no-color.org>).
pub(crate) fn is_coloured() -> bool {
    let set = |name: &str| config::process(name).filter(|value| !value.is_empty());
    is_terminal() && set("NO_COLOR").is_none() && set("TERM").as_deref() != Some("dumb")
}

/// A text in a colour, which is the number of an escape sequence.
pub(crate) fn coloured(text: &str, colour: &str) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// A text as one word of a shell's command.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    // Only NUL cannot be quoted, which no argument can hold either.
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}

/// The text with every character that could drive a terminal, reorder what it shows or hide in it
/// shown escaped.
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
                for unit in hostile.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            harmless => shown.push(harmless),
        }
    }
    shown
}

/// Control characters (C0, DEL, C1), line separators, and those that show nothing or change how others
/// are shown: Unicode's `Default_Ignorable_Code_Point`, which has the bidirectional marks, joiners,
/// variation selectors, fillers and tags, and the annotation marks.
/// (<https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt>)
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// ` --data-dir …` as it is written in a shell, empty for the default.
pub(crate) fn data_dir_option(directory: &Path) -> String {
    if directory == Path::new(".posthorn") {
        return String::new();
    }
    let directory = directory.to_string_lossy();
    format!(" --data-dir {}", quoted(&directory))
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
        assert_eq!(printable("Grüße 📦 注文 שלום"), "Grüße 📦 注文 שלום");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for hidden in [
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ] {
            let shown = format!("a\\u{{{:x}}}b", u32::from(hidden));
            assert_eq!(printable(&format!("a{hidden}b")), shown);
        }
    }

    #[test]
    fn a_quoted_text_is_one_word_of_a_shell() {
        for text in [
            "", "a b", "it's", "a\"b", "$HOME", "a;b", "`x`", "a\\b", "ä", "a\nb", "*", "~", "!",
            "#",
        ] {
            let quoted = quoted(text);
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {quoted}")])
                .output();
            assert_eq!(output.unwrap().stdout, text.as_bytes(), "{quoted}");
        }
    }

    #[test]
    fn escaped_json_is_one_line_and_means_the_same() {
        let text = "{\n\t\"a\": \"\u{9b}31m\u{202e}\u{e0041}\"}";
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
