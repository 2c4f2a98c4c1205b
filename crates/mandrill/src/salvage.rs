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

use serde_json::value::RawValue;

use crate::batch::{NotABatch, RawEvent};

/// The `type` of every sync event, under its old and its new names.
const SYNC_TYPES: [&str; 5] = [
    "blacklist",
    "denylist",
    "whitelist",
    "allowlist",
    "safelist",
];

/// As many as Mandrill puts into a batch. To find out that an element is damaged may take a look
/// at all that follows, so that there has to be an end to it; the rest is kept in one piece.
const MAX_DAMAGED: usize = 1_000;

pub(crate) fn split(json: &[u8]) -> Result<Vec<RawEvent<'_>>, NotABatch> {
    let inside = json
        .trim_ascii_start()
        .strip_prefix(b"[")
        .ok_or(NotABatch::NotAnArray)?;
    let mut events = Vec::new();
    let mut damaged = 0;
    let mut rest = Some(inside);
    while let Some(bytes) = rest {
        let end = match end_of_whole(bytes) {
            Some(end) => end,
            None if damaged == MAX_DAMAGED => bytes.len(),
            None => {
                damaged += 1;
                end_of_damaged(bytes)
            }
        };
        if !bytes[..end].trim_ascii().is_empty() {
            events.push(RawEvent::read(&bytes[..end]));
        }
        rest = bytes.get(end + 1..);
    }
    if events.is_empty() {
        return Err(NotABatch::NotAnArray);
    }
    Ok(events)
}

/// Where the element ends with which `bytes` begin, if it is JSON and properly followed.
fn end_of_whole(bytes: &[u8]) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    values.next()?.ok()?;
    let after = &bytes[values.byte_offset()..];
    let followed_by = after.trim_ascii_start();
    matches!(followed_by.first(), None | Some(b',' | b']'))
        .then_some(bytes.len() - followed_by.len())
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
        let events = split(json).unwrap();
        events
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
    fn damage_without_end_is_given_up_and_kept_in_one_piece() {
        let json = format!("[{}", r#"[{},{"event":"#.repeat(2_000));
        let found = events(json.as_bytes());
        assert_eq!(found.len(), MAX_DAMAGED + 1);
        assert!(found.iter().all(|(_, is_json)| !is_json));
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
