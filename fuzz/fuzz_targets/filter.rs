//! A filter, then a line end, then what an event's metadata and subject are.
#![no_main]

use std::borrow::Cow;

use domain::{Content, Filter, Source};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|input: &str| {
    let (text, rest) = input.split_once('\n').unwrap_or((input, ""));
    let filter: Filter = match text.parse() {
        Ok(filter) => filter,
        Err(error) => {
            assert!(text.is_char_boundary(error.at()));
            return;
        }
    };
    let shown = filter.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(&filter));
    // Rows and tokens have either text.
    assert_eq!(Filter::stored(text).as_ref(), Ok(&filter));
    assert_eq!(Filter::stored(&shown).as_ref(), Ok(&filter));
    assert_eq!(filter.and(&filter), filter);
    let metadata: Option<&RawValue> = serde_json::from_str(rest).ok();
    let content = Content {
        recipient: Some(rest.into()),
        subject: Some(rest.into()),
        tags: rest.split(',').map(Cow::from).collect(),
        metadata: metadata.map(Cow::Borrowed),
        ..Content::new(rest, Source::Mandrill)
    };
    let passes = filter.matches(&content);
    // A term alone and its negation.
    if !text.is_empty() && filter.to_string().starts_with(text) {
        let negated = format!("-{text}").parse::<Filter>();
        if let Ok(negated) = negated
            && !shown.contains(' ')
        {
            assert_ne!(negated.matches(&content), passes);
        }
    }
});
