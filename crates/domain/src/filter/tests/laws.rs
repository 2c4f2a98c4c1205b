//! What holds for any filter and any event, with a plain and slow reference to compare with.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::metadata as scanner;
use super::*;
use crate::event::{FIELD_BYTES, METADATA_BYTES};

/// A filter as its parts, from which its text is written without any finesse.
#[derive(Debug, Clone)]
struct Plain {
    field: &'static str,
    key: String,
    negated: bool,
    values: Vec<(bool, String, bool)>,
}

const FIELDS: [&str; 13] = [
    "type:",
    "recipient:",
    "sender:",
    "subject:",
    "tag:",
    "subaccount:",
    "template:",
    "message:",
    "source:",
    "webhook:",
    "url:",
    "meta.",
    "",
];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

impl Plain {
    fn text(&self) -> String {
        let minus = if self.negated { "-" } else { "" };
        let key = match self.field {
            "meta." => format!("{}:", quoted(&self.key)),
            _ => String::new(),
        };
        let star = |is_open| if is_open { "*" } else { "" };
        let values: Vec<_> = self
            .values
            .iter()
            .map(|(start, text, end)| format!("{}{}{}", star(*start), quoted(text), star(*end)))
            .collect();
        format!("{minus}{}{key}{}", self.field, values.join(","))
    }

    fn matches(&self, event: &PlainEvent) -> bool {
        let content = &event.content;
        let seen = |text: &Cow<'static, str>| lower(first(text, FIELD_BYTES));
        let one = |text: &Option<Cow<'static, str>>| text.iter().map(seen).collect::<Vec<_>>();
        let tags = || content.tags.iter().map(seen);
        let texts: Vec<String> = match self.field {
            "type:" => vec![seen(&content.kind)],
            "recipient:" => one(&content.recipient),
            "sender:" => one(&content.sender),
            "subject:" => one(&content.subject),
            "tag:" => tags().collect(),
            "subaccount:" => one(&content.subaccount),
            "template:" => one(&content.template),
            "message:" => one(&content.message_id),
            "source:" => vec!["mandrill".to_owned()],
            "webhook:" => one(&content.webhook),
            "url:" => one(&content.detail.url),
            "meta." => {
                let values = event.metadata(&self.key).into_iter();
                values
                    .map(|value| first(&value, FIELD_BYTES).to_owned())
                    .collect()
            }
            _ => [
                one(&content.recipient),
                one(&content.subject),
                tags().collect(),
            ]
            .concat(),
        };
        let is_searched = matches!(self.field, "subject:" | "");
        let is_found = texts.iter().any(|text| {
            self.values.iter().any(|(start, wanted, end)| {
                let wanted = lower(wanted);
                match (*start || is_searched, *end || is_searched) {
                    (false, false) => *text == wanted,
                    (false, true) => text.starts_with(&wanted),
                    (true, false) => text.ends_with(&wanted),
                    (true, true) => text.contains(&wanted),
                }
            })
        });
        is_found != self.negated
    }
}

fn lower(text: impl AsRef<str>) -> String {
    let capital = |c: char| match c.to_uppercase().len() {
        1 => c.to_uppercase().next().unwrap(),
        _ => c,
    };
    let capitals = text.as_ref().chars().map(capital);
    capitals.flat_map(char::to_lowercase).collect()
}

/// As much of a text as is looked at.
fn first(text: &str, bytes: usize) -> &str {
    let ends = (0..=bytes.min(text.len())).rev();
    let mut ends = ends.filter(|end| text.is_char_boundary(*end));
    &text[..ends.next().unwrap()]
}

/// An event, with its metadata before they became text.
#[derive(Debug, Clone)]
struct PlainEvent {
    content: Content<'static>,
    metadata: Vec<(String, Json)>,
}

impl PlainEvent {
    fn metadata(&self, key: &str) -> Vec<String> {
        let same = self
            .metadata
            .iter()
            .filter(|(name, _)| lower(name) == lower(key));
        same.filter(|(_, value)| !value.is_null())
            .map(|(_, value)| {
                lower(
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned),
                )
            })
            .collect()
    }
}

/// Texts that often are, or hold, one another, of letters that are hard in some way.
fn word() -> impl Strategy<Value = String> {
    let hard = "[aAbßẞ\u{212A}kKſsµμİi\u{307}ⱥȺΣσς\u{1F600}\" ,*()\\\\:-]{0,3}";
    prop_oneof![4 => "[aAbB]{0,3}", 1 => hard, 1 => Just("mandrill".to_owned())]
}

/// A text of a few letters around the length up to which texts are looked at.
fn long() -> impl Strategy<Value = String> {
    let around = FIELD_BYTES - 6..FIELD_BYTES + 6;
    ("[aAß]{1,2}", "[abAİ]{0,9}", around).prop_map(|(often, end, bytes)| {
        let count = bytes.saturating_sub(end.len()) / often.len();
        often.repeat(count) + &end
    })
}

fn text_of_field() -> impl Strategy<Value = String> {
    prop_oneof![30 => word(), 1 => long()]
}

fn plain_term() -> impl Strategy<Value = Plain> {
    let value = (any::<bool>(), word(), any::<bool>());
    (0..FIELDS.len(), word(), any::<bool>(), vec(value, 1..4)).prop_map(
        |(field, key, negated, values)| Plain {
            field: FIELDS[field],
            key,
            negated,
            values,
        },
    )
}

fn json_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        3 => word().prop_map(Json::from),
        1 => any::<i64>().prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        1 => Just(Json::Null),
        1 => vec(word(), 0..3).prop_map(Json::from),
        1 => (word(), word()).prop_map(|(key, value)| serde_json::json!({ key: [value] })),
    ]
}

/// A string with each character escaped or not, as the bits say.
fn json_string(text: &str, escapes: u32) -> String {
    let units = |c: char| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units
            .map(|unit| format!("\\u{unit:04X}"))
            .collect::<String>()
    };
    let inside: String = text
        .chars()
        .enumerate()
        .map(|(index, c)| match c {
            '"' | '\\' => format!("\\{c}"),
            c if escapes >> (index % 32) & 1 == 1 => units(c),
            c => c.to_string(),
        })
        .collect();
    format!("\"{inside}\"")
}

fn object(entries: &[(String, Json)], escapes: u32) -> String {
    let space = [" ", "\n\t", "", ""][escapes as usize % 4];
    let text = |value: &Json| {
        let string = value.as_str().map(|text| json_string(text, escapes / 2));
        string.unwrap_or_else(|| value.to_string())
    };
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| {
            let key = json_string(key, escapes);
            format!("{space}{key}{space}:{space}{}{space}", text(value))
        })
        .collect();
    format!("{space}{{{}}}", entries.join(","))
}

fn plain_event() -> impl Strategy<Value = PlainEvent> {
    let texts = proptest::array::uniform8(proptest::option::of(text_of_field()));
    let metadata = vec((word(), json_value()), 0..4);
    let tags = vec(text_of_field(), 0..3);
    (text_of_field(), texts, tags, metadata, any::<u32>()).prop_map(
        |(kind, texts, tags, metadata, escapes)| {
            let json = object(&metadata, escapes);
            let [
                recipient,
                sender,
                subject,
                subaccount,
                template,
                message_id,
                webhook,
                url,
            ] = texts.map(|text| text.map(Cow::Owned));
            let content = Content {
                webhook,
                message_id,
                recipient,
                sender,
                subject,
                tags: tags.into_iter().map(Cow::Owned).collect(),
                subaccount,
                template,
                metadata: super::metadata(&json),
                detail: Detail {
                    url,
                    ..Detail::default()
                },
                ..Content::new(kind, Source::Mandrill)
            };
            PlainEvent { content, metadata }
        },
    )
}

fn text(terms: &[Plain]) -> String {
    terms.iter().map(Plain::text).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_matcher_agrees_with_the_reference(terms in vec(plain_term(), 0..4), events in vec(plain_event(), 1..6)) {
        let filter = filter(&text(&terms));
        for event in events {
            let expected = terms.iter().all(|term| term.matches(&event));
            prop_assert_eq!(filter.matches(&event.content), expected, "{} {:?}", filter, event);
        }
    }

    #[test]
    fn a_filter_shows_a_text_that_parses_to_itself(terms in vec(plain_term(), 0..5)) {
        let parsed = filter(&text(&terms));
        let shown = parsed.to_string();
        prop_assert_eq!(&filter(&shown), &parsed, "{}", shown);
        prop_assert_eq!(filter(&shown).to_string(), shown);
        let again: Vec<_> = terms.iter().rev().chain(&terms).cloned().collect();
        prop_assert_eq!(filter(&text(&again)), parsed);
    }

    #[test]
    fn a_negated_term_passes_what_the_term_does_not(mut term in plain_term(), event in plain_event()) {
        let matches = |term: &Plain| filter(&term.text()).matches(&event.content);
        let before = matches(&term);
        term.negated = !term.negated;
        prop_assert_eq!(matches(&term), !before);
    }

    #[test]
    fn filters_together_pass_what_each_passes(one in vec(plain_term(), 0..3), other in vec(plain_term(), 0..3), event in plain_event()) {
        let (first, second) = (filter(&text(&one)), filter(&text(&other)));
        let both = first.and(&second);
        let each = first.matches(&event.content) && second.matches(&event.content);
        prop_assert_eq!(both.matches(&event.content), each);
        prop_assert_eq!(&both, &second.and(&first));
        prop_assert_eq!(&both, &filter(&text(&[one, other].concat())));
    }

    #[test]
    fn a_comma_passes_what_either_value_passes(mut term in plain_term(), event in plain_event()) {
        term.negated = false;
        let whole = filter(&term.text()).matches(&event.content);
        let alone = |value: &(bool, String, bool)| {
            let term = Plain { values: vec![value.clone()], ..term.clone() };
            filter(&term.text()).matches(&event.content)
        };
        prop_assert_eq!(whole, term.values.iter().any(alone));
    }

    #[test]
    fn no_text_panics_and_an_error_points_into_it(text in prop_oneof![
        ".{0,200}",
        "([a-cİ:,*()\"\\\\ -]|meta\\.|type:|tag:){0,40}",
    ]) {
        match text.parse::<Filter>() {
            Ok(filter) => prop_assert_eq!(filter.to_string().parse::<Filter>(), Ok(filter)),
            Err(error) => prop_assert!(text.is_char_boundary(error.at()), "{} {}", text, error),
        }
    }

    #[test]
    fn no_bytes_in_the_place_of_metadata_panic(json in prop_oneof![
        ".{0,100}",
        "[{}\\[\\]\",:\\\\ua0-9dDnul ]{0,60}",
    ]) {
        for value in scanner::values(&json, "a") {
            if let scanner::Value::Escaped(inside) = value {
                scanner::unescape(inside).for_each(drop);
            }
        }
    }

    #[test]
    fn escapes_are_read_as_serde_reads_them(text in ".{0,12}", escapes in any::<u32>()) {
        let string = json_string(&text, escapes);
        let inside = &string[1..string.len() - 1];
        prop_assert_eq!(scanner::unescape(inside).collect::<String>(), text);
    }
}

#[test]
fn a_value_is_found_as_far_as_a_text_is_looked_at_and_not_behind() {
    for letter in ["a", "ä"] {
        let text = |bytes: usize| letter.repeat(bytes / letter.len()) + "end";
        let finds = |text: String, value: &str| {
            let content = Content {
                subject: Some(text.into()),
                ..Content::new("send", Source::Api)
            };
            filter(&format!("subject:{value}")).matches(&content)
        };
        assert!(finds(text(FIELD_BYTES - 4), "END"), "{letter}");
        assert!(!finds(text(FIELD_BYTES - 2), "end"), "{letter}");
        assert!(finds(text(FIELD_BYTES - 2), "en"), "{letter}");
        // As long as a filter may be, without the letters in front of it.
        let whole = letter.repeat((MAX_BYTES - 100) / letter.len());
        assert!(finds(text(FIELD_BYTES), &whole), "{letter}");
        assert!(!finds(text(FIELD_BYTES), &format!("{whole}b")), "{letter}");
    }
}

#[test]
fn of_metadata_the_entries_count_that_end_within_what_is_looked_at() {
    let finds = |filler: usize| {
        let json = format!(
            r#"{{"filler":"{}","k":"v\u0061","l":[1]}}"#,
            "x".repeat(filler)
        );
        let content = Content {
            metadata: super::metadata(&json),
            ..Content::new("send", Source::Api)
        };
        ["meta.k:va", "meta.l:[1]"].map(|text| filter(text).matches(&content))
    };
    let around = r#"{"filler":"","k":"v\u0061","l":[1]"#.len();
    assert_eq!(finds(METADATA_BYTES - around), [true, true]);
    assert_eq!(finds(METADATA_BYTES - around + 1), [true, false]);
    assert_eq!(finds(METADATA_BYTES), [false, false]);
}

#[test]
fn what_a_filter_has_looked_at_is_counted_and_bounded() {
    let content = click();
    let subject = content.subject.clone().unwrap().len() + 1;
    let one = filter("subject:nowhere");
    let mut left = 1_000;
    assert_eq!(one.matches_within(&content, &mut left), Some(false));
    assert_eq!(left, 1_000 - subject);
    let mut left = subject - 1;
    assert_eq!(one.matches_within(&content, &mut left), None);
    assert_eq!(left, 0);
    // Each value counts, and what need not be looked at does not.
    let values = filter("subject:nowhere,never type:x");
    let mut left = 1_000;
    assert_eq!(values.matches_within(&content, &mut left), Some(false));
    assert_eq!(left, 1_000 - "click ".len());
    assert_eq!(values.values(), 3);
}

#[test]
fn half_a_surrogate_pair_is_read_as_a_replacement() {
    let read = |inside: &str| scanner::unescape(inside).collect::<String>();
    assert_eq!(read(r"\ud83d\ude00"), "\u{1F600}");
    assert_eq!(read(r"\ud83dx"), "\u{FFFD}x");
    assert_eq!(read(r"\ud83d\u0041"), "\u{FFFD}A");
    assert_eq!(read(r"\ude00\n\/"), "\u{FFFD}\n/");
}
