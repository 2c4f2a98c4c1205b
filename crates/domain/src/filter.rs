//! Which events somebody wants.
//!
//! The language is that of `docs/API.md`: terms separated by white space are ANDed, `-` negates,
//! commas are OR. At present the one field is `type`; every other field is refused by name, so
//! that nobody believes to be filtering by it.

use std::fmt;
use std::str::FromStr;

use crate::event::Content;

/// The most terms that a filter may have.
pub const MAX_TERMS: usize = 50;
/// The longest filter text, in bytes.
pub const MAX_BYTES: usize = 2_048;

/// A parsed filter. The empty one matches everything. `Display` shows a text that parses to the
/// same filter; equal filters show equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Term {
    negated: bool,
    values: Vec<Pattern>,
}

/// A value, with `*` at either end standing for anything. Kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pattern {
    text: String,
    open_start: bool,
    open_end: bool,
}

/// Why a text is not a filter, and where: `at` counts bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Longer than [`MAX_BYTES`].
    #[error("the filter is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_TERMS`].
    #[error("the filter has more than {MAX_TERMS} terms")]
    TooManyTerms,
    /// A term without a field, or with one that is not known.
    #[error("unknown field at {at}: write type:open")]
    UnknownField {
        /// Where the term starts.
        at: usize,
    },
    /// A field without a value, or an empty alternative.
    #[error("a value is missing at {at}")]
    MissingValue {
        /// Where the value should stand.
        at: usize,
    },
    /// Quotes and parentheses have no meaning here.
    #[error("{found:?} at {at} has no meaning in a filter")]
    Unexpected {
        /// The character.
        found: char,
        /// Where it stands.
        at: usize,
    },
}

impl Filter {
    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// What both let pass.
    #[must_use]
    pub fn and(&self, other: &Filter) -> Filter {
        let mut terms = self.terms.clone();
        terms.extend(other.terms.iter().cloned());
        Filter { terms }
    }

    /// The first field in it by which nobody may filter to whom events are shown masked.
    #[must_use]
    pub fn private_field(&self) -> Option<&'static str> {
        // The one field that there is, `type`, tells nothing of a person.
        None
    }

    /// Whether it lets this event pass.
    #[must_use]
    pub fn matches(&self, content: &Content<'_>) -> bool {
        self.terms.iter().all(|term| {
            term.negated != term.values.iter().any(|value| value.matches(&content.kind))
        })
    }
}

impl Pattern {
    fn matches(&self, value: &str) -> bool {
        let (value, text) = (value.as_bytes(), self.text.as_bytes());
        let Some(spare) = value.len().checked_sub(text.len()) else {
            return false;
        };
        match (self.open_start, self.open_end) {
            (false, false) => spare == 0 && value.eq_ignore_ascii_case(text),
            (false, true) => value[..text.len()].eq_ignore_ascii_case(text),
            (true, false) => value[spare..].eq_ignore_ascii_case(text),
            (true, true) => {
                text.is_empty()
                    || value
                        .windows(text.len())
                        .any(|window| window.eq_ignore_ascii_case(text))
            }
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        if let Some((at, found)) = text
            .char_indices()
            .find(|(_, c)| matches!(c, '"' | '(' | ')'))
        {
            return Err(FilterError::Unexpected { found, at });
        }
        let mut terms = Vec::new();
        for word in text.split_whitespace() {
            if terms.len() == MAX_TERMS {
                return Err(FilterError::TooManyTerms);
            }
            terms.push(term(word, offset(text, word))?);
        }
        Ok(Filter { terms })
    }
}

/// Where `part`, a slice of `text`, starts in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

fn term(word: &str, at: usize) -> Result<Term, FilterError> {
    let (negated, rest) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let values = match rest.split_once(':') {
        Some((field, values)) if field.eq_ignore_ascii_case("type") => values,
        _ => return Err(FilterError::UnknownField { at }),
    };
    let values = values
        .split(',')
        .map(|value| {
            pattern(value).ok_or(FilterError::MissingValue {
                at: at + offset(word, value),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Term { negated, values })
}

fn pattern(value: &str) -> Option<Pattern> {
    if value.is_empty() {
        return None;
    }
    let (open_start, rest) = match value.strip_prefix('*') {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (open_end, text) = match rest.strip_suffix('*') {
        Some(text) => (true, text),
        None => (false, rest),
    };
    Some(Pattern {
        text: text.to_ascii_lowercase(),
        open_start,
        open_end,
    })
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            let minus = if term.negated { "-" } else { "" };
            write!(f, "{space}{minus}type:")?;
            for (index, value) in term.values.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                let star = |open| if open { "*" } else { "" };
                write!(
                    f,
                    "{comma}{}{}{}",
                    star(value.open_start),
                    value.text,
                    star(value.open_end)
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Source;

    fn matches(filter: &str, kind: &str) -> bool {
        let content = Content::new(kind, Source::Mandrill);
        filter.parse::<Filter>().unwrap().matches(&content)
    }

    #[test]
    fn the_empty_filter_matches_everything() {
        assert!(matches("", "open") && matches("  ", "unknown"));
    }

    #[test]
    fn commas_are_or_and_spaces_are_and() {
        assert!(matches("type:open,click", "click"));
        assert!(!matches("type:open,click", "send"));
        assert!(!matches("type:open type:click", "click"));
        assert!(matches("type:*bounce -type:soft_bounce", "hard_bounce"));
        assert!(!matches("type:*bounce -type:soft_bounce", "soft_bounce"));
    }

    #[test]
    fn stars_widen_at_either_end_and_case_does_not_matter() {
        assert!(matches("type:black*", "blacklist_add"));
        assert!(matches("type:*LIST*", "blacklist_add"));
        assert!(matches("type:*", "anything"));
        assert!(!matches("type:black", "blacklist_add"));
        assert!(matches("TYPE:Open", "open"));
    }

    #[test]
    fn what_is_not_a_filter_is_refused_with_its_place() {
        let error = |text: &str| text.parse::<Filter>().unwrap_err();
        assert_eq!(
            error("type:open recipient:x"),
            FilterError::UnknownField { at: 10 }
        );
        assert_eq!(error("open"), FilterError::UnknownField { at: 0 });
        assert_eq!(error("type:"), FilterError::MissingValue { at: 5 });
        assert_eq!(
            error("type:open,,click"),
            FilterError::MissingValue { at: 10 }
        );
        assert_eq!(
            error("type:(open)"),
            FilterError::Unexpected { found: '(', at: 5 }
        );
        assert_eq!(error(&"type:a ".repeat(51)), FilterError::TooManyTerms);
        assert_eq!(error(&"x".repeat(MAX_BYTES + 1)), FilterError::TooLong);
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in ".{0,200}") {
            let _ = text.parse::<Filter>();
        }

        #[test]
        fn a_filter_shows_a_text_that_parses_to_itself(text in "(-?type:\\*?[a-zA-Z_]{1,8}\\*?(,[a-z]{1,4}\\*?){0,3} ?){0,5}") {
            if let Ok(filter) = text.parse::<Filter>() {
                prop_assert_eq!(filter.to_string().parse::<Filter>(), Ok(filter));
            }
        }
    }
}
