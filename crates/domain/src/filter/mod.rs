//! Filters, which select events.
//!
//! `docs/API.md`, section "Filters", describes the language. A filter is parsed once, into sorted terms
//! without duplicates. Matching an event whose texts are short and ASCII allocates nothing. A filter
//! searches the first [`FIELD_BYTES`](crate::event::FIELD_BYTES) of each text and the first
//! [`METADATA_BYTES`](crate::event::METADATA_BYTES) of metadata.

mod display;
mod error;
mod matching;
mod metadata;
mod parse;
mod term;
#[cfg(test)]
mod tests;

use std::str::FromStr;

pub use error::{FilterError, MAX_BYTES, MAX_TERMS};

use crate::event::Content;
use matching::Texts;
pub(crate) use metadata::entries;
pub use metadata::repeats_a_key;
use term::{Field, Pattern, Term};

/// The operators of other search languages. A new filter may have them in quotes only; in a stored
/// one they are words.
const OPERATORS: [&str; 5] = ["AND", "OR", "NOT", "&&", "||"];

/// A parsed filter. The empty one matches everything.
///
/// Filters with the same terms are equal, whatever their order and repetition. `Display` writes a text
/// that parses to the same filter; equal filters have equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// All must match. Sorted, without duplicates.
    terms: Vec<Term>,
}

impl Filter {
    /// Reads a filter that was accepted earlier, from a row or a token, with the meaning that it had
    /// then: `AND`, `OR`, `NOT`, `&&` and `||` are words to search for, as they were before they were
    /// refused. It may have twice [`MAX_BYTES`], since its `Display` puts `&&` and `||` in quotes.
    ///
    /// A filter that a client sends now is parsed by [`FromStr`].
    ///
    /// # Errors
    /// When the text is not a filter.
    pub fn stored(text: &str) -> Result<Filter, FilterError> {
        if text.len() > 2 * MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        parse::terms(text, &[]).map(Filter::of)
    }

    /// Whether it matches every event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it matches this event.
    #[must_use]
    pub fn matches(&self, content: &Content<'_>) -> bool {
        let mut unlimited = usize::MAX;
        self.matches_within(content, &mut unlimited) == Some(true)
    }

    /// Whether it matches this event, found by searching at most about `left` bytes of text. Subtracts
    /// the bytes searched from `left`; a text counts once for each value searched in it. `None` if
    /// `left` did not suffice, and `left` is 0 then.
    #[must_use]
    pub fn matches_within(&self, content: &Content<'_>, left: &mut usize) -> Option<bool> {
        let texts = Texts::of(content);
        for term in &self.terms {
            let passes = term.matches(&texts);
            let looked_at = texts.take_looked_at();
            if looked_at > *left {
                *left = 0;
                return None;
            }
            *left -= looked_at;
            if !passes {
                return Some(false);
            }
        }
        Some(true)
    }

    /// The number of values in all terms.
    #[must_use]
    pub fn values(&self) -> usize {
        self.terms.iter().map(|term| term.values.len()).sum()
    }

    /// The filter that matches the events that both match, such as a token's filter and that of a
    /// request. [`MAX_TERMS`] and [`MAX_BYTES`] do not apply, so its text may not parse.
    #[must_use]
    pub fn and(&self, other: &Filter) -> Filter {
        Filter::of(self.terms.iter().chain(&other.terms).cloned().collect())
    }

    /// The filter that matches events of one of these types, or all events if the list is empty. A `*`
    /// at either end of a type is a wildcard. [`MAX_BYTES`] does not apply.
    #[must_use]
    pub fn of_types<'t>(types: impl Iterator<Item = &'t str>) -> Filter {
        let values: Vec<_> = types.map(Pattern::of_type).collect();
        if values.is_empty() {
            return Filter::default();
        }
        Filter::of(vec![Term::new(Field::Type, false, values)])
    }

    /// The first of its fields that masked tokens may not filter on, since the result would reveal what
    /// is masked. `None` if there is no such field.
    #[must_use]
    pub fn private_field(&self) -> Option<&'static str> {
        self.terms.iter().find_map(|term| match term.field {
            Field::Type
            | Field::Source
            | Field::Webhook
            | Field::Subaccount
            | Field::Template
            | Field::Tag => None,
            Field::Message => Some("message"),
            Field::Sender => Some("sender"),
            Field::Recipient => Some("recipient"),
            Field::Url => Some("url"),
            Field::Subject => Some("subject"),
            Field::Word => Some("words without a field"),
            Field::Meta(_) => Some("meta"),
        })
    }

    fn of(mut terms: Vec<Term>) -> Filter {
        terms.sort_unstable();
        terms.dedup();
        Filter { terms }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        let filter = Filter::of(parse::terms(text, &OPERATORS)?);
        // A folded letter may have three bytes where the letter has two.
        if text.len() > MAX_BYTES / 3 * 2 && filter.to_string().len() > MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        Ok(filter)
    }
}
