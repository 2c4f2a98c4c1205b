//! The slow way through a batch that is not JSON as a whole.
//!
//! What becomes of the damage, once the array has begun:
//! - An element that is not JSON is kept as its text, and the others stay whole.
//! - Bytes that are not UTF-8 are replaced within their element alone.
//! - Without the closing bracket, the elements are those up to the end of the text.
//! - What follows the closing bracket is one more element, so that nothing received is lost.
//! - Empty elements and stray closing brackets between elements say nothing, and are dropped.
//!
//! A quote or bracket too few would make the rest of the batch look like one string or one object.
//! Therefore a damaged element ends at the latest where an event seems to begin.
//!
//! The time that all of this takes grows with the length of the text and no faster, however it is
//! damaged.

use serde_json::value::RawValue;

use crate::raw::RawEvent;

/// The `type` of every sync event, under its old and its new names.
const SYNC_TYPES: [&str; 5] = [
    "blacklist",
    "denylist",
    "whitelist",
    "allowlist",
    "safelist",
];

/// How far an element is read before it is known to be longer. Most events are shorter.
const WINDOW: usize = 4 * 1024;

/// To find out that an element does not end may take a look at all that follows. So many times the
/// length of the text is spent on that; from then on, what is longer than a window counts as damaged.
const PATIENCE: usize = 4;

/// The elements of the array whose opening bracket is before `inside`, `limit` at most, and the rest
/// in one piece.
pub(crate) fn split(inside: &[u8], limit: usize) -> Vec<RawEvent<'_>> {
    let mut events = Vec::new();
    let mut patience = PATIENCE * inside.len();
    let mut rest = Some(inside);
    while let Some(bytes) = rest {
        let end = if events.len() == limit {
            bytes.len()
        } else {
            end_of_whole(bytes, &mut patience).unwrap_or_else(|| end_of_damaged(bytes))
        };
        if !bytes[..end].trim_ascii().is_empty() {
            events.push(RawEvent::read(&bytes[..end]));
        }
        rest = bytes.get(end + 1..);
    }
    events
}

/// Where the element ends with which `bytes` begin, if it is JSON and properly followed.
fn end_of_whole(bytes: &[u8], patience: &mut usize) -> Option<usize> {
    let mut window = WINDOW.min(bytes.len());
    loop {
        match read(&bytes[..window]) {
            Read::Whole(end) => return Some(end),
            Read::Damaged => return None,
            Read::ToTheEnd(end) if window == bytes.len() => return end,
            Read::ToTheEnd(_) => {}
        }
        window = (2 * window).min(bytes.len());
        *patience = patience.checked_sub(window)?;
    }
}

enum Read {
    /// An element ends here, and a comma or the closing bracket follows.
    Whole(usize),
    Damaged,
    /// The element goes on, or perhaps ends with the text.
    ToTheEnd(Option<usize>),
}

fn read(bytes: &[u8]) -> Read {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(_)) => {}
        Some(Err(error)) if !error.is_eof() => return Read::Damaged,
        Some(Err(_)) | None => return Read::ToTheEnd(None),
    }
    let followed_by = bytes[values.byte_offset()..].trim_ascii_start();
    let end = bytes.len() - followed_by.len();
    match followed_by.first() {
        Some(b',' | b']') => Read::Whole(end),
        Some(_) => Read::Damaged,
        None => Read::ToTheEnd(Some(end)),
    }
}

/// Where the damaged element ends with which `bytes` begin: at the first comma or closing
/// bracket outside of strings and brackets, or where another event begins.
fn end_of_damaged(bytes: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b',' if is_beginning(&bytes[at + 1..]) => return at,
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b',' | b']' if depth == 0 => return at,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Whether an object begins here whose first key is that of an event. Quotes within a string
/// would have been escaped, so that no text of a message looks like this.
fn is_beginning(bytes: &[u8]) -> bool {
    let Some(object) = after(bytes, b"{") else {
        return false;
    };
    if let Some(key) = after(object, b"\"event\"") {
        return after(key, b":").is_some();
    }
    after(object, b"\"type\"")
        .and_then(|key| after(key, b":"))
        .and_then(|value| after(value, b"\""))
        .is_some_and(|value| {
            SYNC_TYPES
                .iter()
                .any(|name| value.starts_with(name.as_bytes()))
        })
}

fn after<'a>(bytes: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    bytes.trim_ascii_start().strip_prefix(token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEND: &str = r#"{"event":"send","_id":"a","msg":{"tags":["x, ]"],"smtp_events":[{"type":"sent"},{"type":"sent"}]}}"#;
    const CLICK: &str = r#"{"event":"click","url":"https:\/\/example.com\/?a=[1,\"2\"]"}"#;
    const SYNC: &str = r#"{ "type" : "blacklist", "action":"add"}"#;

    fn events(json: &[u8]) -> Vec<(String, bool)> {
        let inside = json.strip_prefix(b"[").unwrap();
        split(inside, 5_000)
            .into_iter()
            .map(|event| (event.text.into_owned(), event.is_json))
            .collect()
    }

    fn whole(text: &str) -> (String, bool) {
        (text.to_owned(), true)
    }

    fn damaged(text: &str) -> (String, bool) {
        (text.to_owned(), false)
    }

    #[test]
    fn an_unreadable_element_does_not_disturb_its_neighbours() {
        let unreadable = [
            r#"{"event":send}"#,
            "{\"event\":\"a raw\nnewline\"}",
            r#"{"event":"\x"}"#,
            r#"{"a":1,}"#,
            "nul",
            "{]}",
            r#"{"a" 1}"#,
            "{\"a\":[1,2}",
            r#"{"event":"open,"ts":1}"#,
            r#"{"event":"open","msg":{"a":1}"#,
            r#"{"event":"open"#,
            r#"{"event":"open\"}"#,
            r#"[[["#,
            "\"",
            "\\",
        ];
        for bad in unreadable {
            let json = format!("[{SEND},{bad} , {CLICK},{SYNC}]");
            let expected = [whole(SEND), damaged(bad), whole(CLICK), whole(SYNC)];
            assert_eq!(events(json.as_bytes()), expected, "{bad}");
        }
    }

    #[test]
    fn several_damaged_elements_leave_those_between_them_whole() {
        let bad = r#"{"event":"open,"ts":1}"#;
        let json = format!("[{bad},{SEND},{bad},{SYNC},{CLICK},{bad}]");
        let found = events(json.as_bytes());
        let healthy: Vec<_> = found.iter().filter(|(_, is_json)| *is_json).collect();
        assert_eq!(healthy, [&whole(SEND), &whole(SYNC), &whole(CLICK)]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_in_their_element_alone() {
        let json =
            b"[{\"event\":\"send\",\"a\":\"\xff\"},{\"event\":\xfe},{\"event\":\"\xc3\xbc\"}]";
        let expected = [
            whole("{\"event\":\"send\",\"a\":\"\u{FFFD}\"}"),
            damaged("{\"event\":\u{FFFD}}"),
            whole("{\"event\":\"ü\"}"),
        ];
        assert_eq!(events(json), expected);
    }

    #[test]
    fn an_array_that_does_not_end_keeps_what_came() {
        assert_eq!(
            events(format!("[{SEND},{CLICK}").as_bytes()),
            [whole(SEND), whole(CLICK)]
        );
        assert_eq!(
            events(format!("[{SEND},{CLICK},").as_bytes()),
            [whole(SEND), whole(CLICK)]
        );
        let cut = &CLICK[..20];
        assert_eq!(
            events(format!("[{SEND},{cut}").as_bytes()),
            [whole(SEND), damaged(cut)]
        );
    }

    #[test]
    fn what_follows_the_array_is_an_element_of_its_own() {
        assert_eq!(
            events(format!("[{SEND}] tail").as_bytes()),
            [whole(SEND), damaged("tail")]
        );
        assert_eq!(
            events(format!("[{SEND}],{CLICK}]").as_bytes()),
            [whole(SEND), whole(CLICK)]
        );
        assert_eq!(events(b"[1][2]"), [whole("1"), whole("[2]")]);
    }

    #[test]
    fn empty_elements_are_dropped() {
        assert_eq!(events(b"[,1,, 2 ,]"), [whole("1"), whole("2")]);
    }

    #[test]
    fn a_closing_bracket_too_many_costs_one_element() {
        let json = format!("[{SEND}}},{CLICK}]");
        assert_eq!(
            events(json.as_bytes()),
            [damaged(&format!("{SEND}}}")), whole(CLICK)]
        );
    }

    #[test]
    fn a_healthy_element_is_not_cut_although_events_are_nested_in_it() {
        let nested = format!(r#"{{"event":"send","history":[{SEND},{CLICK}]}}"#);
        assert_eq!(
            events(format!("[{nested},x]").as_bytes()),
            [whole(&nested), damaged("x")]
        );
    }

    #[test]
    fn what_follows_the_last_element_of_the_limit_is_kept_in_one_piece() {
        for inside in ["{},{\"event\":".repeat(20), "1,2,3,4,5,[6],,7]".to_owned()] {
            let all: Vec<_> = split(inside.as_bytes(), 5_000);
            let some = split(inside.as_bytes(), 4);
            assert_eq!((&all[..4], some.len()), (&some[..4], 5));
            assert!(inside.ends_with(&*some[4].text) && !some[4].is_json);
        }
    }

    #[test]
    fn a_long_element_is_whole_although_others_are_damaged_without_end() {
        let long = format!(r#"{{"event":"send","a":"{}"}}"#, "x".repeat(50_000));
        let bad = r#"{"event":["#;
        let json =
            format!("[{bad},{long},{SEND},{bad},{bad},{long},{bad},{bad},{bad},{bad},{long}]");
        let found = events(json.as_bytes());
        assert_eq!(
            found.iter().filter(|found| **found == whole(&long)).count(),
            3
        );
        assert_eq!(
            found.iter().filter(|found| **found == whole(SEND)).count(),
            1
        );
    }

    #[test]
    fn a_number_at_the_end_of_a_window_is_read_to_its_end() {
        for spaces in WINDOW - 4..WINDOW + 2 {
            let json = format!("[{}1234,x]", " ".repeat(spaces));
            assert_eq!(events(json.as_bytes()), [whole("1234"), damaged("x")]);
        }
    }

    proptest! {
        #[test]
        fn a_byte_changed_in_one_element_leaves_the_others_whole(at in 0..CLICK.len(), byte: u8) {
            let mut json = format!("[{SEND},{CLICK},{SYNC},{SEND}]").into_bytes();
            json[1 + SEND.len() + 1 + at] = byte;
            let found = events(&json);
            prop_assert_eq!(&found[0], &whole(SEND));
            prop_assert_eq!(&found[found.len() - 1], &whole(SEND));
            prop_assert_eq!(&found[found.len() - 2], &whole(SYNC));
        }
    }
}
