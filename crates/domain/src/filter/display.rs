//! From a filter to its text.

use std::fmt::{self, Write};

use super::term::{Field, Pattern, Term};
use super::{Filter, OPERATORS};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_char('-')?;
        }
        self.field.fmt(f)?;
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            value.write(f, &self.field)?;
        }
        Ok(())
    }
}

impl fmt::Display for Field {
    /// With its colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Word => Ok(()),
            Field::Meta(key) => {
                f.write_str(Field::META)?;
                let is_bare = !key.is_empty() && !key.contains(is_special) && !key.contains(':');
                write_text(f, key, is_bare)?;
                f.write_char(':')
            }
            Field::Type
            | Field::Source
            | Field::Webhook
            | Field::Subaccount
            | Field::Template
            | Field::Message
            | Field::Tag
            | Field::Sender
            | Field::Recipient
            | Field::Url
            | Field::Subject => {
                let named = Field::NAMED.iter().find(|(_, field)| field == self);
                f.write_str(named.map_or("", |(name, _)| name))?;
                f.write_char(':')
            }
        }
    }
}

impl Pattern {
    fn write(&self, f: &mut fmt::Formatter<'_>, field: &Field) -> fmt::Result {
        if self.text.is_empty() && self.open_start {
            return f.write_char('*');
        }
        let is_word = *field == Field::Word;
        let must_quote = self.text.is_empty()
            || self.text.contains(is_special)
            || (is_word
                && (self.text.contains(':')
                    || self.text.starts_with('-')
                    || OPERATORS.contains(&self.text.as_str())));
        // In a field that is searched for any part, stars change nothing.
        let star = |is_open: bool| match is_open && !field.is_searched() {
            true => "*",
            false => "",
        };
        f.write_str(star(self.open_start))?;
        write_text(f, &self.text, !must_quote)?;
        f.write_str(star(self.open_end))
    }
}

/// Whether a text with this character needs quotes.
fn is_special(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | ',' | '*' | '(' | ')')
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str, is_bare: bool) -> fmt::Result {
    if is_bare {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
