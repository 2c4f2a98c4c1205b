//! An event whose every field may hold an address.
#![no_main]

use domain::{Content, Event, EventId, Feed, Millis, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut content = Content {
        recipient: Some(text.into()),
        subject: Some(text.into()),
        ..Content::new(text, Source::Api)
    };
    content.detail.url = Some(text.into());
    let event = Event {
        id: EventId::ZERO,
        received_at: Millis(0),
        content,
        data: None,
    };
    let masked = event.masked();
    let feed = Feed::new("fuzz");
    // Nothing is left to mask.
    assert_eq!(masked.masked().to_json(&feed), masked.to_json(&feed));
});
