//! The terms of a filter, and the texts that they compare without differences of case.

use std::char::ToLowercase;

/// Matches if one of its values is in the field, or, negated, if none is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Term {
    pub(super) field: Field,
    pub(super) negated: bool,
    /// At least one. Sorted, without duplicates.
    pub(super) values: Vec<Pattern>,
}

/// The field that a term searches. Terms are matched in this order, the cheap ones first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
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
    /// Recipient, subject and tags: a term without a field searches all of them.
    Word,
    /// A key of the metadata, folded.
    Meta(String),
}

/// A folded text to find. Any text may precede an open start and follow an open end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) open_start: bool,
    pub(super) open_end: bool,
}

impl Term {
    pub(super) fn new(field: Field, negated: bool, mut values: Vec<Pattern>) -> Term {
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
    pub(super) fn of_type(kind: &str) -> Pattern {
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
    /// All fields but [`Field::Word`], which has no name, and [`Field::Meta`], whose name has a key.
    pub(super) const NAMED: [(&'static str, Field); 11] = [
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
    /// The prefix of the key of [`Field::Meta`].
    pub(super) const META: &'static str = "meta.";

    /// Whether a value may be any part of the field, not only the whole.
    pub(super) fn is_searched(&self) -> bool {
        matches!(self, Field::Subject | Field::Word)
    }
}

/// The text without differences of case: see [`fold_char`].
pub(super) fn fold(text: &str) -> impl Iterator<Item = char> + Clone {
    text.chars().flat_map(fold_char)
}

/// The lower case of a letter's capital, so that letters with the same capital are the same: `σ` and
/// `ς`, `s` and `ſ`, `i` and `ı`. Unicode's simple case folding folds nothing that this does not.
///
/// Folding twice is folding once. The result has at most half as many bytes again.
pub(super) fn fold_char(c: char) -> ToLowercase {
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
