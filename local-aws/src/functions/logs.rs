//! What functions print, as CloudWatch Logs gets it: one file for all, and what needs attention on
//! the terminal.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tracing::Level;

/// A line that a function printed.
#[derive(Debug)]
pub struct LogLine<'l> {
    /// The function's name.
    pub function: &'l str,
    /// Its level; of what is not a line of JSON, `WARN`.
    pub level: Level,
    /// The target of a line by `tracing`.
    pub target: &'l str,
    /// The message, then the fields.
    pub text: &'l str,
}

/// Shows a line to the developer.
pub type Show = fn(&LogLine<'_>);

/// The functions' log group: a file of lines, begun anew at each start.
#[derive(Debug)]
pub struct FunctionLog {
    file: Mutex<File>,
    show: Show,
}

impl FunctionLog {
    /// A log in `file`, whose lines are also shown.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(file: &Path, show: Show) -> io::Result<FunctionLog> {
        Ok(FunctionLog {
            file: Mutex::new(File::create(file)?),
            show,
        })
    }

    /// Takes everything that a function prints until it ends.
    pub(super) fn drain<R>(self: &Arc<Self>, function: &str, output: Option<R>)
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let Some(output) = output else {
            return;
        };
        let (log, function) = (self.clone(), function.to_owned());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                log.keep(&function, &String::from_utf8_lossy(&line));
            }
        });
    }

    fn keep(&self, function: &str, line: &str) {
        let written = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(format!("{line}\n").as_bytes());
        if let Err(error) = written {
            tracing::error!(%error, "The functions' log cannot be written.");
        }
        read(function, line, self.show);
    }
}

/// Shows a line unless it is one of metrics. What is not JSON is a panic, or the complaint of a
/// process that does not start.
fn read(function: &str, line: &str, show: Show) {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(line) else {
        let (level, target) = (Level::WARN, module_path!());
        return show(&LogLine {
            function,
            level,
            target,
            text: line,
        });
    };
    if fields.contains_key("_aws") {
        // Metrics are for CloudWatch.
        return;
    }
    let word = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    show(&LogLine {
        function,
        level: word("level").parse().unwrap_or(Level::INFO),
        target: word("target"),
        text: &text(&fields),
    });
}

/// Logs a line under the function's name.
pub fn show(line: &LogLine<'_>) {
    let LogLine { function, text, .. } = line;
    // The level of a line is part of the program, hence one line for each.
    match line.level {
        Level::ERROR => tracing::error!(function, "{text}"),
        Level::WARN => tracing::warn!(function, "{text}"),
        Level::INFO => tracing::info!(function, "{text}"),
        _ => tracing::debug!(function, "{text}"),
    }
}

/// The sentence, then the fields.
fn text(fields: &Map<String, Value>) -> String {
    let mut text = fields
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let shown = fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "timestamp" | "level" | "message" | "target"));
    for (name, value) in shown {
        text += &format!(" {name}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_a_sentence_and_its_fields() {
        let line = r#"{"timestamp":"t","level":"INFO","message":"A batch was stored.","batch.size":3,"webhook":"main","target":"webhook"}"#;
        let fields = serde_json::from_str(line).unwrap();
        assert_eq!(
            text(&fields),
            "A batch was stored. batch.size=3 webhook=\"main\""
        );
    }
}
