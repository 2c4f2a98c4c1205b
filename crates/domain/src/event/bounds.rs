//! The bounds of what an event says. Filters, masks, lists and pages work on these fields for every
//! reader, so nobody may make them large; `data` has all that was received.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::filter::entries;

use super::{Content, FIELD_BYTES, METADATA_BYTES, METADATA_LEVELS, TAG_BYTES, TAGS};

impl<'a> Content<'a> {
    /// The event with every field within its bounds: long texts are cut, surplus tags dropped,
    /// metadata and location without their deeper levels or, if they are too long, left out.
    /// `truncated` says whether anything was.
    #[must_use]
    pub fn bounded(mut self) -> Content<'a> {
        let mut truncated = self.tags.len() > TAGS;
        self.tags.truncate(TAGS);
        for tag in &mut self.tags {
            truncated |= cut(tag, TAG_BYTES);
        }
        let detail = &mut self.detail;
        let texts = [
            &mut self.message_id,
            &mut self.recipient,
            &mut self.sender,
            &mut self.subject,
            &mut self.subaccount,
            &mut self.template,
            &mut detail.url,
            &mut detail.ip,
            &mut detail.user_agent,
            &mut detail.diag,
            &mut detail.bounce_description,
            &mut detail.reason,
        ];
        for text in texts.into_iter().flatten() {
            truncated |= cut(text, FIELD_BYTES);
        }
        for json in [&mut self.metadata, &mut detail.location] {
            truncated |= bound(json);
        }
        self.truncated |= truncated;
        self
    }
}

/// Whether JSON is within the bounds of metadata as it is.
#[must_use]
pub fn is_bounded(json: &RawValue) -> bool {
    json.get().len() <= METADATA_BYTES && flattened(json.get()).is_none()
}

/// Cuts a text to at most `bytes`, between two characters; whether it was longer.
fn cut(text: &mut Cow<'_, str>, bytes: usize) -> bool {
    let end = text.floor_char_boundary(bytes);
    let is_longer = end < text.len();
    if is_longer {
        match text {
            Cow::Borrowed(text) => *text = &text[..end],
            Cow::Owned(text) => text.truncate(end),
        }
    }
    is_longer
}

/// Whether something had to be left out.
fn bound(json: &mut Option<Cow<'_, RawValue>>) -> bool {
    let Some(value) = json else {
        return false;
    };
    let is_longer = value.get().len() > METADATA_BYTES;
    let fitting = is_longer.then(|| fitting(value.get()));
    if fitting.as_deref() == Some("{}") {
        *json = None;
        return true;
    }
    let text = fitting.as_deref().unwrap_or(value.get());
    let Some(text) = flattened(text).or(fitting) else {
        return false;
    };
    // Quotes in it were escaped, so that it may have grown.
    *json = Some(text)
        .filter(|text| text.len() <= METADATA_BYTES)
        .and_then(|text| RawValue::from_string(text).ok())
        .map(Cow::Owned);
    true
}

/// The first entries of an object, as many as there is room for: filters look at no more.
fn fitting(json: &str) -> String {
    let mut kept = "{".to_owned();
    for (name, value) in entries(json) {
        if kept.len() + name.len() + value.len() + r#","":}"#.len() > METADATA_BYTES {
            break;
        }
        if kept.len() > 1 {
            kept.push(',');
        }
        kept.extend(["\"", name, "\":", value]);
    }
    kept.push('}');
    kept
}

/// The JSON with each value below the last level as a string that holds its text; `None` if there
/// is no such value.
fn flattened(json: &str) -> Option<String> {
    let mut text = String::new();
    let mut kept = 0;
    let (mut level, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut deeper = 0;
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                level += 1;
                if level == METADATA_LEVELS + 1 {
                    deeper = at;
                }
            }
            b'}' | b']' => {
                if level == METADATA_LEVELS + 1 {
                    text.push_str(&json[kept..deeper]);
                    text.push_str(&serde_json::Value::from(&json[deeper..=at]).to_string());
                    kept = at + 1;
                }
                level = level.saturating_sub(1);
            }
            _ => {}
        }
    }
    if kept == 0 {
        return None;
    }
    text.push_str(&json[kept..]);
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Detail, Source};

    fn raw(text: &str) -> Option<Cow<'static, RawValue>> {
        Some(Cow::Owned(RawValue::from_string(text.to_owned()).unwrap()))
    }

    fn metadata(text: &str) -> (Option<String>, bool) {
        let content = Content {
            metadata: raw(text),
            ..Content::new("send", Source::Mandrill)
        };
        let content = content.bounded();
        let kept = content.metadata.map(|json| json.get().to_owned());
        (kept, content.truncated)
    }

    fn nested(levels: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn a_text_is_cut_between_two_characters_and_said_to_be() {
        let long = "ü".repeat(FIELD_BYTES);
        for text in [Cow::Borrowed(&*long), Cow::Owned(format!("x{long}"))] {
            let content = Content {
                subject: Some(text.clone()),
                ..Content::new("send", Source::Mandrill)
            };
            let content = content.bounded();
            let kept = content.subject.unwrap();
            assert!(content.truncated && text.starts_with(&*kept));
            assert!((FIELD_BYTES - 1..=FIELD_BYTES).contains(&kept.len()));
        }
    }

    #[test]
    fn every_text_has_its_bound() {
        let long = || Some(Cow::Owned("x".repeat(1_000_000)));
        let content = Content {
            webhook: None,
            ts: Some(1),
            message_id: long(),
            recipient: long(),
            sender: long(),
            subject: long(),
            tags: vec!["t".repeat(10_000).into(); 1_000],
            subaccount: long(),
            template: long(),
            metadata: raw(&format!("{{\"a\":{:?}}}", "x".repeat(1_000_000))),
            detail: Detail {
                url: long(),
                ip: long(),
                user_agent: long(),
                location: raw(&format!("{{\"a\":{:?}}}", "x".repeat(1_000_000))),
                diag: long(),
                bounce_description: long(),
                reason: long(),
            },
            ..Content::new("send", Source::Mandrill)
        };
        let content = content.bounded();
        let text = serde_json::to_string(&content).unwrap();
        let most = 12 * FIELD_BYTES + TAGS * (TAG_BYTES + 3) + 1_000;
        assert!(text.len() <= most, "{}", text.len());
        assert!(content.truncated && content.tags.len() == TAGS);
        assert!(content.metadata.is_none() && content.detail.location.is_none());
    }

    #[test]
    fn what_is_within_its_bounds_stays_as_it_is() {
        let text = format!("{{ \"a\":\"{}\" }}", "x".repeat(METADATA_BYTES - 10));
        assert_eq!(metadata(&text), (Some(text.clone()), false));
        let deepest = nested(METADATA_LEVELS);
        assert_eq!(metadata(&deepest), (Some(deepest.clone()), false));
    }

    #[test]
    fn of_an_object_that_is_too_long_the_first_entries_are_kept() {
        let long = "x".repeat(METADATA_BYTES);
        let json = format!(r#"{{ "tenant" : "acme", "k\u0065y":[1 ],"blob":"{long}","z":1}}"#);
        let kept = r#"{"tenant":"acme","k\u0065y":[1 ]}"#.to_owned();
        assert_eq!(metadata(&json), (Some(kept), true));
    }

    #[test]
    fn a_value_below_the_last_level_becomes_its_text() {
        let levels = METADATA_LEVELS - 1;
        let (open, close) = (r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let json = format!(r#"{open}{{"b":["{{\"\\"],"c":{{ }},"d":1}}{close}"#);
        let expected = format!(r#"{open}{{"b":"[\"{{\\\"\\\\\"]","c":"{{ }}","d":1}}{close}"#);
        assert_eq!(metadata(&json), (Some(expected), true));
    }

    #[test]
    fn metadata_of_any_depth_is_kept_as_far_as_it_may_go() {
        for levels in [17, 1_000, 2_000] {
            let (kept, truncated) = metadata(&nested(levels));
            let kept: serde_json::Value = serde_json::from_str(&kept.unwrap()).unwrap();
            let path = "/a".repeat(METADATA_LEVELS);
            let text = kept.pointer(&path).unwrap().as_str().unwrap();
            assert!(truncated && text == nested(levels - METADATA_LEVELS));
        }
        assert_eq!(metadata(&nested(100_000)), (None, true));
    }

    proptest! {
        #[test]
        fn any_text_is_a_beginning_of_itself_within_the_bound(text: String, bytes in 0..40_usize) {
            let mut kept = Cow::Borrowed(&*text);
            let is_longer = cut(&mut kept, bytes);
            prop_assert!(text.starts_with(&*kept) && kept.len() <= bytes);
            prop_assert_eq!(is_longer, text.len() > bytes);
        }
    }
}
