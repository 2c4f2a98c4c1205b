//! From text to terms.

use super::error::{FilterError, MAX_TERMS};
use super::term::{Field, Pattern, Term, fold, fold_char};

/// Reads all terms. A term that is one of `refused`, without quotes, is an error.
pub(super) fn terms(text: &str, refused: &[&str]) -> Result<Vec<Term>, FilterError> {
    let mut parser = Parser {
        text,
        at: 0,
        refused,
    };
    let mut terms = Vec::new();
    while parser.find_term() {
        if terms.len() == MAX_TERMS {
            return Err(FilterError::TooManyTerms { at: parser.at });
        }
        terms.push(parser.term()?);
    }
    Ok(terms)
}

struct Parser<'t> {
    text: &'t str,
    /// How many bytes have been read; always between two characters.
    at: usize,
    refused: &'t [&'t str],
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len_utf8();
        }
        is_there
    }

    fn unexpected(&self, found: char) -> FilterError {
        FilterError::Unexpected { found, at: self.at }
    }

    /// Skips white space. Whether a term follows.
    fn find_term(&mut self) -> bool {
        let rest = self.rest().trim_start();
        self.at = self.text.len() - rest.len();
        !rest.is_empty()
    }

    /// Whether all up to the next white space is a refused word.
    fn is_refused(&self) -> bool {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.refused.contains(&&rest[..end])
    }

    fn term(&mut self) -> Result<Term, FilterError> {
        let start = self.at;
        let negated = self.take('-');
        let field = self.field()?;
        if field == Field::Word && self.is_refused() {
            return Err(FilterError::Operator { at: start });
        }
        let mut values = vec![self.value(&field)?];
        while self.take(',') {
            values.push(self.value(&field)?);
        }
        Ok(Term::new(field, negated, values))
    }

    /// Reads the field and its colon, or nothing for a word.
    fn field(&mut self) -> Result<Field, FilterError> {
        let rest = self.rest();
        let is_end = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '"' | '(' | ')');
        let name = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        let after = &rest[name.len()..];
        if after.starts_with('"') && name.eq_ignore_ascii_case(Field::META) {
            self.at += name.len();
            let key = self.quoted()?;
            return match self.next() {
                _ if self.take(':') => Ok(Field::Meta(key)),
                Some(found) if !found.is_whitespace() => Err(self.unexpected(found)),
                _ => Err(FilterError::MissingValue { at: self.at }),
            };
        }
        if !after.starts_with(':') {
            return Ok(Field::Word);
        }
        let field = self.named(name)?;
        self.at += name.len() + 1;
        Ok(field)
    }

    fn named(&self, name: &str) -> Result<Field, FilterError> {
        let known = Field::NAMED
            .into_iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        if let Some((_, field)) = known {
            return Ok(field);
        }
        let unknown = FilterError::UnknownField { at: self.at };
        let (start, key) = name.split_at_checked(Field::META.len()).ok_or(unknown)?;
        if !start.eq_ignore_ascii_case(Field::META) {
            return Err(FilterError::UnknownField { at: self.at });
        }
        let at = self.at + start.len();
        match key.find('*') {
            _ if key.is_empty() => Err(FilterError::MissingKey { at }),
            Some(star) => Err(FilterError::Unexpected {
                found: '*',
                at: at + star,
            }),
            None => Ok(Field::Meta(fold(key).collect())),
        }
    }

    fn value(&mut self, field: &Field) -> Result<Pattern, FilterError> {
        let start = self.at;
        let open_start = self.take('*');
        let text = match self.next() {
            Some('"') => Some(self.quoted()?),
            _ => self.bare(field)?,
        };
        let open_end = self.take('*');
        match self.next() {
            // The star is the likelier mistake than the character after it.
            Some(found) if open_end && found != ',' && !found.is_whitespace() => {
                self.at -= 1;
                return Err(self.unexpected('*'));
            }
            Some(found) if found != ',' && !found.is_whitespace() => {
                return Err(self.unexpected(found));
            }
            _ if text.is_none() && !open_start && !open_end => {
                return Err(FilterError::MissingValue { at: start });
            }
            _ => {}
        }
        let text = text.unwrap_or_default();
        let is_any = (open_start || open_end) && text.is_empty();
        Ok(Pattern {
            open_start: open_start || is_any || field.is_searched(),
            open_end: open_end || is_any || field.is_searched(),
            text,
        })
    }

    /// Reads to the end of the value or to a `*`. `None` if nothing precedes it.
    fn bare(&mut self, field: &Field) -> Result<Option<String>, FilterError> {
        let is_word = *field == Field::Word;
        if is_word && self.next() == Some('-') {
            return Err(self.unexpected('-'));
        }
        let rest = self.rest();
        let is_end = |c: char| {
            c.is_whitespace() || matches!(c, ',' | '*' | '"' | '(' | ')') || (is_word && c == ':')
        };
        let text = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += text.len();
        Ok((!text.is_empty()).then(|| fold(text).collect()))
    }

    /// Reads a text in quotes, folded and unescaped.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + at + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    Some(_) => return Err(FilterError::BadEscape { at: start + at }),
                    None => break,
                },
                c => text.extend(fold_char(c)),
            }
        }
        Err(FilterError::UnclosedQuote { at: start })
    }
}
