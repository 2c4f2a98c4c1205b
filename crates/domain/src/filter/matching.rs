//! Matching of events, in time linear in the event's text for each value.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use memchr::{memchr2_iter, memmem};

use super::metadata::{self, Value};
use super::term::{Field, Pattern, Term, fold, fold_char};
use crate::event::{Content, FIELD_BYTES, METADATA_BYTES, beginning};

/// Up to this many comparisons of bytes, a naive search is faster than preparing a linear one.
const SHORT: usize = 2_048;

/// The texts of an event. A long or non-ASCII text is folded once for all terms.
pub(super) struct Texts<'c> {
    content: &'c Content<'c>,
    sender: OnceCell<String>,
    recipient: OnceCell<String>,
    url: OnceCell<String>,
    subject: OnceCell<String>,
    looked_at: Cell<usize>,
}

impl<'c> Texts<'c> {
    pub(super) fn of(content: &'c Content<'c>) -> Texts<'c> {
        Texts {
            content,
            sender: OnceCell::new(),
            recipient: OnceCell::new(),
            url: OnceCell::new(),
            subject: OnceCell::new(),
            looked_at: Cell::new(0),
        }
    }

    /// The number of bytes searched since the last call. Each text counts one byte more than its length.
    pub(super) fn take_looked_at(&self) -> usize {
        self.looked_at.take()
    }

    fn look_at(&self, bytes: usize, times: usize) {
        let looked_at = self.looked_at.get() + (bytes + 1) * times;
        self.looked_at.set(looked_at);
    }
}

impl Term {
    pub(super) fn matches(&self, texts: &Texts<'_>) -> bool {
        self.negated != self.is_found(texts)
    }

    fn is_found(&self, texts: &Texts<'_>) -> bool {
        let content = texts.content;
        let alone = |text: &str| self.is_in_text(texts, text);
        let if_any = |text: &Option<Cow<'_, str>>| text.as_deref().is_some_and(alone);
        let kept = |text: &Option<Cow<'_, str>>, folded: &OnceCell<String>| {
            text.as_deref()
                .is_some_and(|text| self.any_in(texts, text, folded))
        };
        match &self.field {
            Field::Type => alone(&content.kind),
            Field::Source => alone(content.source.as_str()),
            Field::Webhook => if_any(&content.webhook),
            Field::Subaccount => if_any(&content.subaccount),
            Field::Template => if_any(&content.template),
            Field::Message => if_any(&content.message_id),
            Field::Tag => content.tags.iter().any(|tag| alone(tag)),
            Field::Sender => kept(&content.sender, &texts.sender),
            Field::Recipient => kept(&content.recipient, &texts.recipient),
            Field::Url => kept(&content.detail.url, &texts.url),
            Field::Subject => kept(&content.subject, &texts.subject),
            Field::Word => {
                kept(&content.recipient, &texts.recipient)
                    || kept(&content.subject, &texts.subject)
                    || content.tags.iter().any(|tag| alone(tag))
            }
            Field::Meta(key) => self.is_in_metadata(texts, key),
        }
    }

    fn is_in_metadata(&self, texts: &Texts<'_>, key: &str) -> bool {
        let Some(metadata) = texts.content.metadata.as_deref() else {
            return false;
        };
        let json = beginning(metadata.get(), METADATA_BYTES);
        texts.look_at(json.len(), 1);
        metadata::values(json, key).any(|value| match value {
            Value::Plain(text) => self.is_in_text(texts, text),
            Value::Escaped(inside) => self.any_of(texts, &Text::escaped(inside, &OnceCell::new())),
        })
    }

    fn is_in_text(&self, texts: &Texts<'_>, text: &str) -> bool {
        self.any_in(texts, text, &OnceCell::new())
    }

    fn any_in(&self, texts: &Texts<'_>, text: &str, folded: &OnceCell<String>) -> bool {
        self.any_of(texts, &Text::of(beginning(text, FIELD_BYTES), folded))
    }

    fn any_of(&self, texts: &Texts<'_>, text: &Text<'_>) -> bool {
        texts.look_at(text.received.len(), self.values.len());
        self.values.iter().any(|pattern| pattern.is_in(text))
    }
}

/// A text in which values are searched.
struct Text<'t> {
    received: &'t str,
    is_ascii: bool,
    folded: &'t OnceCell<String>,
}

impl<'t> Text<'t> {
    fn of(received: &'t str, folded: &'t OnceCell<String>) -> Text<'t> {
        Text {
            received,
            is_ascii: received.is_ascii(),
            folded,
        }
    }

    /// The inside of a JSON string with escapes.
    fn escaped(inside: &'t str, folded: &'t OnceCell<String>) -> Text<'t> {
        folded.get_or_init(|| {
            let mut bytes = 0;
            let is_within = |c: &char| {
                bytes += c.len_utf8();
                bytes <= FIELD_BYTES
            };
            let chars = metadata::unescape(inside).take_while(is_within);
            chars.flat_map(fold_char).collect()
        });
        Text {
            received: inside,
            is_ascii: false,
            folded,
        }
    }

    #[cold]
    fn folded(&self) -> &[u8] {
        let fold = || match self.is_ascii {
            true => self.received.to_ascii_lowercase(),
            false => fold(self.received).collect(),
        };
        self.folded.get_or_init(fold).as_bytes()
    }
}

impl Pattern {
    #[inline]
    fn is_in(&self, text: &Text<'_>) -> bool {
        // Letters beyond ASCII may fold to ASCII (the Kelvin sign, `ſ`).
        if !text.is_ascii {
            return self.is_in_folded(text.folded());
        }
        let (received, wanted) = (text.received.as_bytes(), self.text.as_bytes());
        let Some(spare) = received.len().checked_sub(wanted.len()) else {
            return false;
        };
        match (self.open_start, self.open_end) {
            (false, false) => spare == 0 && received.eq_ignore_ascii_case(wanted),
            (false, true) => received[..wanted.len()].eq_ignore_ascii_case(wanted),
            (true, false) => received[spare..].eq_ignore_ascii_case(wanted),
            (true, true) if spare.saturating_mul(wanted.len()) > SHORT => {
                memmem::find(text.folded(), wanted).is_some()
            }
            (true, true) => contains(received, wanted, spare),
        }
    }

    /// Compares bytes: in UTF-8, no character begins inside of another.
    #[cold]
    fn is_in_folded(&self, text: &[u8]) -> bool {
        let wanted = self.text.as_bytes();
        match (self.open_start, self.open_end) {
            (false, false) => text == wanted,
            (false, true) => text.starts_with(wanted),
            (true, false) => text.ends_with(wanted),
            (true, true) => memmem::find(text, wanted).is_some(),
        }
    }
}

/// Whether `wanted`, in lower case, is in `text`, which is `spare` bytes longer.
#[inline]
fn contains(text: &[u8], wanted: &[u8], spare: usize) -> bool {
    let Some((&first, others)) = wanted.split_first() else {
        return true;
    };
    memchr2_iter(first, first.to_ascii_uppercase(), &text[..=spare])
        .any(|at| text[at + 1..][..others.len()].eq_ignore_ascii_case(others))
}
