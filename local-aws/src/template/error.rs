//! What can be wrong with a template, said so that a person can correct it.

use std::fmt;

use super::lines::Lines;

/// Why a template cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text is not YAML, or uses YAML that CloudFormation does not take.
    #[error("line {line}: {problem}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser stumbled over.
        problem: String,
    },
    /// A parameter's value is missing, refused or unknown.
    #[error("parameter {name}: {problem}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The template uses something that the local stack does not do.
    #[error("{place}: {what} is not understood by the local stack")]
    Unsupported {
        /// Where it stands.
        place: Place,
        /// The type, property or function.
        what: String,
    },
    /// A reference leads nowhere.
    #[error("{place}: refers to {target}, {problem}")]
    Reference {
        /// Where the reference stands.
        place: Place,
        /// What it names.
        target: String,
        /// Why that is not to be had.
        problem: String,
    },
    /// A value that AWS would refuse.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
}

impl TemplateError {
    pub(super) fn invalid(path: &str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            place: Place::new(path),
            problem: problem.into(),
        }
    }

    pub(super) fn unsupported(path: &str, what: impl Into<String>) -> Self {
        Self::Unsupported {
            place: Place::new(path),
            what: what.into(),
        }
    }

    pub(super) fn reference(path: &str, target: &str, problem: impl Into<String>) -> Self {
        Self::Reference {
            place: Place::new(path),
            target: target.to_owned(),
            problem: problem.into(),
        }
    }

    pub(super) fn parameter(name: &str, problem: impl Into<String>) -> Self {
        Self::Parameter {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }

    /// Adds the line to the place, which only the reader of the whole template knows.
    pub(super) fn located(mut self, lines: &Lines) -> Self {
        match &mut self {
            Self::Unsupported { place, .. }
            | Self::Reference { place, .. }
            | Self::Invalid { place, .. } => {
                place.line = lines.of(&place.path);
            }
            Self::Syntax { .. } | Self::Parameter { .. } => {}
        }
        self
    }
}

/// A place in the template, such as `OrdersTable.Properties.KeySchema.0 (line 12)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The keys from the top of the template, joined by dots.
    pub path: String,
    /// Counted from 1; of the nearest enclosing key when the place itself has no line.
    pub line: Option<usize>,
}

impl Place {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.strip_prefix("Resources.").unwrap_or(&self.path);
        match self.line {
            Some(line) => write!(formatter, "{path} (line {line})"),
            None => formatter.write_str(path),
        }
    }
}
