//! Which events somebody wants.
//!
//! The language is that of `docs/API.md`, section "Filters". A filter is parsed once, into terms
//! in a fixed order without repetitions; matching an event whose texts are short and ASCII then
//! allocates nothing. Of each text of an event only the first
//! [`FIELD_BYTES`](crate::event::FIELD_BYTES) are looked at, and of metadata the first
//! [`METADATA_BYTES`](crate::event::METADATA_BYTES).

mod display;
mod error;
mod matching;
mod metadata;
mod parse;
#[cfg(test)]
mod tests;

use std::char::ToLowercase;
use std::str::FromStr;

pub use error::FilterError;

use crate::event::Content;
use matching::Texts;
pub(crate) use metadata::entries;
pub use metadata::repeats_a_key;

/// The most terms that a filter may be written with. No search that a person types comes near it,
/// and it bounds what one filter may cost for each event.
pub const MAX_TERMS: usize = 50;

/// The operators of other search languages. A new filter may have them in quotes only; in a stored
/// one they are words.
const OPERATORS: [&str; 5] = ["AND", "OR", "NOT", "&&", "||"];
/// The longest filter text, in bytes. No search that a person types comes near it, and as a rule it
/// fits the URL of a WebSocket, which API Gateway bounds at 4,096 characters; whose escapes make it
/// longer than that gets no ticket.
pub const MAX_BYTES: usize = 2_048;

/// A parsed filter. The empty one matches everything.
///
/// Filters that are written with the same terms in another order, or with one of them twice, are
/// equal. `Display` shows a text that parses to the same filter; equal filters show equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// All have to hold. Sorted, without repetitions.
    terms: Vec<Term>,
}

/// Holds when one of its values is in the field, or, negated, when none is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Term {
    field: Field,
    negated: bool,
    /// At least one. Sorted, without repetitions.
    values: Vec<Pattern>,
}

/// Where a term looks. Terms are matched in this order: what is soon decided comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Field {
    Type,
    Source,
    Webhook,
    Subaccount,
    Template,
    Message,
    Tag,
    Sender,
    Recipient,
    Url,
    Subject,
    /// Recipient, subject and tags: what a term without a field looks at.
    Word,
    /// A key of the metadata, folded.
    Meta(String),
}

/// A text to find, folded, in which `open` ends stand for anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Pattern {
    text: String,
    open_start: bool,
    open_end: bool,
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

    /// Whether it lets everything pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it lets this event pass.
    #[must_use]
    pub fn matches(&self, content: &Content<'_>) -> bool {
        let mut unlimited = usize::MAX;
        self.matches_within(content, &mut unlimited) == Some(true)
    }

    /// The same for at most about `left` bytes of text looked at, from which it takes what it has
    /// looked at; `None` if that was not enough, and `left` is 0 then. A text counts once for each
    /// value that is looked for in it.
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

    /// How many values it looks for.
    #[must_use]
    pub fn values(&self) -> usize {
        self.terms.iter().map(|term| term.values.len()).sum()
    }

    /// The filter that lets pass what both let pass: a token's filter and its holder's own, for
    /// example. [`MAX_TERMS`] and [`MAX_BYTES`] do not bound it, so its text may be one that is
    /// refused.
    #[must_use]
    pub fn and(&self, other: &Filter) -> Filter {
        Filter::of(self.terms.iter().chain(&other.terms).cloned().collect())
    }

    /// The filter that lets pass events of one of these types, or all if there are none. A `*` at
    /// either end of a type stands for anything. [`MAX_BYTES`] does not bound it.
    #[must_use]
    pub fn of_types<'t>(types: impl Iterator<Item = &'t str>) -> Filter {
        let values: Vec<_> = types.map(Pattern::of_type).collect();
        if values.is_empty() {
            return Filter::default();
        }
        Filter::of(vec![Term::new(Field::Type, false, values)])
    }

    /// The first thing in it that who sees masked events may not filter by, since it would tell
    /// what is masked. `None` when there is none.
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

impl Term {
    fn new(field: Field, negated: bool, mut values: Vec<Pattern>) -> Term {
        values.sort_unstable();
        values.dedup();
        Term {
            field,
            negated,
            values,
        }
    }
}

impl Pattern {
    fn of_type(kind: &str) -> Pattern {
        let rest = kind.strip_prefix('*');
        let (open_start, text) = (rest.is_some(), rest.unwrap_or(kind));
        let rest = text.strip_suffix('*');
        let (open_end, text) = (rest.is_some(), rest.unwrap_or(text));
        let is_any = (open_start || open_end) && text.is_empty();
        let text: String = fold(text).collect();
        Pattern {
            open_start: open_start || is_any,
            open_end: open_end || is_any,
            text,
        }
    }
}

impl Field {
    /// All but [`Field::Word`], which has no name, and [`Field::Meta`], whose name has a key.
    const NAMED: [(&'static str, Field); 11] = [
        ("type", Field::Type),
        ("recipient", Field::Recipient),
        ("sender", Field::Sender),
        ("subject", Field::Subject),
        ("tag", Field::Tag),
        ("subaccount", Field::Subaccount),
        ("template", Field::Template),
        ("message", Field::Message),
        ("source", Field::Source),
        ("webhook", Field::Webhook),
        ("url", Field::Url),
    ];
    /// Before the key of [`Field::Meta`].
    const META: &'static str = "meta.";

    /// Whether a value is found anywhere in it, and not only as the whole.
    fn is_searched(&self) -> bool {
        matches!(self, Field::Subject | Field::Word)
    }
}

/// The text without differences of case: see [`fold_char`].
fn fold(text: &str) -> impl Iterator<Item = char> + Clone {
    text.chars().flat_map(fold_char)
}

/// The lower case of a letter's capital, so that letters with the same capital are the same: `σ` and
/// `ς`, `s` and `ſ`, `i` and `ı`. Unicode's simple case folding folds nothing that this does not.
///
/// Folding twice is folding once. The result has at most half as many bytes again.
fn fold_char(c: char) -> ToLowercase {
    let capital = match c {
        '\0'..='\u{7F}' => c,
        // Equal to each other, but their capitals are of more than one character, as that of `ß` is.
        '\u{1FD3}' => '\u{390}',
        '\u{1FE3}' => '\u{3B0}',
        '\u{FB05}' => '\u{FB06}',
        c => {
            let mut capital = c.to_uppercase();
            let is_one = capital.len() == 1;
            capital.next().filter(|_| is_one).unwrap_or(c)
        }
    };
    capital.to_lowercase()
}
