//! The text of a cursor, as a client gives it back.
#![no_main]

use domain::Feed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let feed = Feed::new("fuzz");
    if let Ok(cursor) = feed.decode(text) {
        assert_eq!(feed.encode(cursor), text);
    }
    // What the check lets pass is rare, so cursors are made, too.
    let Some(bytes) = text.as_bytes().first_chunk::<8>() else {
        return;
    };
    let at = domain::Millis(u64::from_be_bytes(*bytes) >> 16);
    let cursor = feed.cursor_at(domain::Position::start_of(at));
    assert_eq!(feed.decode(&cursor).map(|cursor| cursor.position.received_at), Ok(at));
});
