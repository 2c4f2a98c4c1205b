//! One element of a batch.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

/// One element of a batch, as it was received.
#[derive(Clone, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// The element's text without the white space around it: byte for byte what was received,
    /// except that bytes which are not UTF-8 are replaced by U+FFFD. Never empty.
    pub text: Cow<'a, str>,
    /// Whether `text` is one JSON value. It may still be of any type and nested to any depth.
    pub is_json: bool,
}

impl<'a> RawEvent<'a> {
    pub(crate) fn read(element: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(element.trim_ascii());
        let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
        Self { text, is_json }
    }
}

impl fmt::Debug for RawEvent<'_> {
    /// Leaves out the text, which holds addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawEvent")
            .field("text_bytes", &self.text.len())
            .field("is_json", &self.is_json)
            .finish()
    }
}
