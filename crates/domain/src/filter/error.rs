//! Why a text is not a filter.

/// The most terms of a filter. It bounds the cost of matching one event.
pub const MAX_TERMS: usize = 50;

/// The longest filter text, in bytes. Unless many of them need percent-encoding, it fits the URL of a
/// WebSocket, which API Gateway limits to 4,096 characters.
pub const MAX_BYTES: usize = 2_048;

/// Why a text is not a filter, and where: `at` counts bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Longer than [`MAX_BYTES`], in lower case at the latest.
    #[error("the filter is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_TERMS`].
    #[error("one term too many at {at}: a filter has at most {MAX_TERMS}")]
    TooManyTerms {
        /// Where the first one too many starts.
        at: usize,
    },
    /// A field that is not known.
    #[error(
        "unknown field at {at}: expected type, recipient, sender, subject, tag, subaccount, template, message, source, webhook, url or meta.<key>, or quotes around a word with a colon"
    )]
    UnknownField {
        /// Where its name starts.
        at: usize,
    },
    /// `meta.` without a key.
    #[error("a key is missing at {at}: expected one of the metadata, as in meta.order:70814")]
    MissingKey {
        /// Where it should stand.
        at: usize,
    },
    /// An operator of another search language, outside of quotes.
    #[error(
        "an operator at {at}: commas are OR, spaces are AND, a minus is NOT; expected quotes around it to search for the word"
    )]
    Operator {
        /// Where it stands.
        at: usize,
    },
    /// Nothing after a colon, a comma or a minus.
    #[error("a value is missing at {at}: expected a word, a text in quotes, or *")]
    MissingValue {
        /// Where it should stand.
        at: usize,
    },
    /// Quotes that do not end.
    #[error("the quote at {at} has no end: expected another one, or \\\" inside of a text")]
    UnclosedQuote {
        /// Where they begin.
        at: usize,
    },
    /// A backslash in quotes with something else after it.
    #[error("a backslash at {at} escapes nothing: expected \\\" or \\\\ in quotes")]
    BadEscape {
        /// Where the backslash is.
        at: usize,
    },
    /// A character that cannot stand there.
    #[error("unexpected {found:?} at {at}: {}", expected(*.found))]
    Unexpected {
        /// The character.
        found: char,
        /// Where it stands.
        at: usize,
    },
}

impl FilterError {
    /// The byte of the text at which the error is, from 0.
    #[must_use]
    pub fn at(&self) -> usize {
        match *self {
            // The whole text is too long, and byte `MAX_BYTES` may be inside of a character.
            FilterError::TooLong => 0,
            FilterError::TooManyTerms { at }
            | FilterError::UnknownField { at }
            | FilterError::MissingKey { at }
            | FilterError::Operator { at }
            | FilterError::MissingValue { at }
            | FilterError::UnclosedQuote { at }
            | FilterError::BadEscape { at }
            | FilterError::Unexpected { at, .. } => at,
        }
    }
}

fn expected(found: char) -> &'static str {
    match found {
        '(' | ')' => "expected no parentheses outside of quotes; commas are OR, spaces are AND",
        '"' => "expected quotes around a whole value only, and \\\" inside of it",
        '*' => "expected * at either end of a value only; in quotes it stands for itself",
        ':' => "expected quotes around a word with a colon",
        '-' => "expected one - before a term, or quotes around a word that begins with it",
        _ => "expected white space, a comma or * after the closing quote",
    }
}
