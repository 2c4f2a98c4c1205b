//! From terms and an event to yes or no, without allocating.

use std::borrow::Cow;

use memchr::memchr2_iter;

use super::metadata::{self, Value};
use super::{Field, Pattern, Term, fold};
use crate::event::Content;

impl Term {
    pub(super) fn matches(&self, content: &Content<'_>) -> bool {
        self.negated != self.is_found(content)
    }

    fn is_found(&self, content: &Content<'_>) -> bool {
        match &self.field {
            Field::Type => self.any_in(&content.kind),
            Field::Source => self.any_in(content.source.as_str()),
            Field::Webhook => self.any_if(content.webhook.as_ref()),
            Field::Subaccount => self.any_if(content.subaccount.as_ref()),
            Field::Template => self.any_if(content.template.as_ref()),
            Field::Message => self.any_if(content.message_id.as_ref()),
            Field::Tag => content.tags.iter().any(|tag| self.any_in(tag)),
            Field::Sender => self.any_if(content.sender.as_ref()),
            Field::Recipient => self.any_if(content.recipient.as_ref()),
            Field::Url => self.any_if(content.detail.url.as_ref()),
            Field::Subject => self.any_if(content.subject.as_ref()),
            Field::Word => {
                self.any_if(content.recipient.as_ref())
                    || self.any_if(content.subject.as_ref())
                    || content.tags.iter().any(|tag| self.any_in(tag))
            }
            Field::Meta(key) => content.metadata.as_deref().is_some_and(|metadata| {
                metadata::values(metadata.get(), key)
                    .any(|value| self.values.iter().any(|pattern| pattern.is_value(value)))
            }),
        }
    }

    fn any_in(&self, text: &str) -> bool {
        self.values.iter().any(|pattern| pattern.is_in(text))
    }

    /// A field that is absent has no value, so nothing is found in it.
    fn any_if(&self, text: Option<&Cow<'_, str>>) -> bool {
        text.is_some_and(|text| self.any_in(text))
    }
}

impl Pattern {
    fn is_value(&self, value: Value<'_>) -> bool {
        match value {
            Value::Plain(text) => self.is_in(text),
            Value::Escaped(inside) => self.is_in_chars(|| {
                let chars = metadata::unescape(inside);
                chars.flat_map(char::to_lowercase)
            }),
        }
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        // Letters beyond ASCII may become ASCII in lower case (the Kelvin sign), so both count.
        if !text.is_ascii() {
            return self.is_in_chars(|| fold(text));
        }
        if !self.is_ascii {
            return false;
        }
        let (text, wanted) = (text.as_bytes(), self.text.as_bytes());
        let Some(spare) = text.len().checked_sub(wanted.len()) else {
            return false;
        };
        match (self.open_start, self.open_end) {
            (false, false) => spare == 0 && text.eq_ignore_ascii_case(wanted),
            (false, true) => text[..wanted.len()].eq_ignore_ascii_case(wanted),
            (true, false) => text[spare..].eq_ignore_ascii_case(wanted),
            (true, true) => contains(text, wanted, spare),
        }
    }

    fn is_in_chars<I: Iterator<Item = char> + Clone>(&self, folded: impl Fn() -> I) -> bool {
        let wanted = self.text.chars();
        match (self.open_start, self.open_end) {
            (false, false) => folded().eq(wanted),
            (false, true) => starts_with(folded(), wanted),
            (true, false) => {
                let spare = folded().count().checked_sub(wanted.clone().count());
                spare.is_some_and(|spare| folded().skip(spare).eq(wanted))
            }
            (true, true) => {
                let mut rest = folded();
                loop {
                    if starts_with(rest.clone(), wanted.clone()) {
                        return true;
                    }
                    if rest.next().is_none() {
                        return false;
                    }
                }
            }
        }
    }
}

/// Whether `wanted`, in lower case, is in `text`, which is `spare` bytes longer.
fn contains(text: &[u8], wanted: &[u8], spare: usize) -> bool {
    let Some((&first, others)) = wanted.split_first() else {
        return true;
    };
    memchr2_iter(first, first.to_ascii_uppercase(), &text[..=spare])
        .any(|at| text[at + 1..][..others.len()].eq_ignore_ascii_case(others))
}

fn starts_with(
    mut text: impl Iterator<Item = char>,
    mut start: impl Iterator<Item = char>,
) -> bool {
    start.all(|wanted| text.next() == Some(wanted))
}
