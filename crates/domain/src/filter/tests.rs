mod documented;
mod laws;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::term::fold;
use super::*;
use crate::event::{Detail, Source};

fn filter(text: &str) -> Filter {
    text.parse().unwrap()
}

fn metadata(json: &str) -> Option<Cow<'static, RawValue>> {
    let raw = RawValue::from_string(json.to_owned()).unwrap();
    Some(Cow::Owned(raw))
}

fn click() -> Content<'static> {
    Content {
        message_id: Some("8854AD35".into()),
        recipient: Some("Reader1@Example.net".into()),
        sender: Some("orders@shop.example".into()),
        subject: Some("Ihre Bestellung ist UNTERWEGS: Größe Äpfel (2)".into()),
        tags: vec!["order-shipped".into(), "a, b".into()],
        template: Some("order-shipped-v3".into()),
        metadata: metadata(
            r#" { "order" : 70814, "Tenant":"acme", "vip":true, "note":"say \"hi\" \u00c4", "none":null, "list" : ["a", {"b":"]"}], "order id":"7" } "#,
        ),
        detail: Detail {
            url: Some("https://shop.example/orders?a=1,2".into()),
            ..Detail::default()
        },
        ..Content::new("click", Source::Mandrill)
    }
}

#[track_caller]
fn passes(text: &str) {
    assert!(filter(text).matches(&click()), "{text}");
}

#[track_caller]
fn stops(text: &str) {
    assert!(!filter(text).matches(&click()), "{text}");
}

#[test]
fn the_empty_filter_matches_everything() {
    assert!(filter("").is_empty() && filter(" \t\n").is_empty());
    passes("  ");
}

#[test]
fn commas_are_or_and_spaces_are_and() {
    passes("type:open,click");
    passes("type:click source:mandrill");
    stops("type:open,send");
    stops("type:open type:click");
    passes("type:*c* -type:open");
    stops("type:*c* -type:open,click");
}

#[test]
fn stars_widen_at_either_end_and_case_does_not_matter() {
    passes("recipient:*@EXAMPLE.NET");
    passes("RECIPIENT:reader*");
    passes("url:*/orders*");
    passes("template:ORDER-shipped-v3 message:8854ad35 type:*");
    stops("recipient:example.net");
    stops("template:order");
}

#[test]
fn letters_beyond_ascii_match_in_either_case() {
    passes("größe");
    passes("subject:GRÖßE");
    passes(r#"subject:"äPFEL (2)""#);
    passes("meta.note:*ä");
    stops("äpfe1");
    for same in [
        "Kk\u{212A}",
        "σςΣ",
        "sſS",
        "µμΜ",
        "βϐΒ",
        "θϑϴΘ",
        "ωΩ\u{2126}",
        "åÅ\u{212B}",
        "ßẞ",
        "ıIi",
        "ǆǅǄ",
        "ṡẛṠ",
        "\u{345}ιΙ",
        "ꭰᎠ",
        "ΐ\u{1FD3}",
        "ΰ\u{1FE3}",
        "ﬅﬆ",
        "ⱥȺ",
    ] {
        for (one, other) in same
            .chars()
            .flat_map(|one| same.chars().map(move |two| (one, two)))
        {
            let content = Content {
                subject: Some(format!("a{one}b").into()),
                metadata: metadata(&format!(
                    r#"{{"x{one}":"{one}","\u{:04x}":1}}"#,
                    u32::from(one)
                )),
                ..Content::new(format!("{one}"), Source::Api)
            };
            for text in [
                format!("type:{other}"),
                format!("type:\"{other}\""),
                format!("A{other}B"),
                format!("meta.x{other}:{other}"),
                format!("meta.\"{other}\":1"),
            ] {
                assert!(filter(&text).matches(&content), "{text} {one}");
            }
        }
    }
    let dotted = Content::new("İ", Source::Api);
    assert!(filter("type:İ").matches(&dotted) && !filter("type:i").matches(&dotted));
    assert!(!filter("größe").matches(&Content::new("GRÖSSE", Source::Api)));
}

#[test]
fn a_letter_folds_to_the_same_as_its_other_case_and_to_hardly_more_bytes() {
    let fold = |text: &str| fold(text).collect::<String>();
    // No letter beyond has two cases.
    for c in '\0'..'\u{20000}' {
        let (text, folded) = (c.to_string(), fold(&c.to_string()));
        assert_eq!(fold(&folded), folded, "{c:?}");
        assert!(2 * folded.len() <= 3 * text.len(), "{c:?}");
        for other in [
            c.to_uppercase().collect(),
            c.to_lowercase().collect::<String>(),
        ] {
            if other.chars().count() == 1 {
                assert_eq!(fold(&other), folded, "{c:?}");
            }
        }
    }
}

#[test]
fn a_word_is_found_in_recipient_subject_and_tags() {
    passes("reader1");
    passes("unterwegs");
    passes("shipped");
    passes(r#""ist unterwegs: g""#);
    passes("nowhere,shipped");
    stops("orders@shop");
    stops("-shipped");
    stops("acme");
}

#[test]
fn quotes_hold_spaces_commas_stars_and_escapes() {
    passes(r#"tag:"a, b""#);
    passes(r#"tag:"a, "*"#);
    stops(r#"tag:"a, *""#);
    passes(r#"url:*"1,2""#);
    passes(r#"meta.note:"say \"hi\" ä""#);
    passes(r#"meta."order id":7"#);
    let starred = Content::new(r"a*\", Source::Api);
    assert!(filter(r#"type:"a*\\""#).matches(&starred));
    assert!(filter(r#"type:*"*\\""#).matches(&starred));
}

#[test]
fn metadata_is_compared_by_the_text_of_its_values() {
    passes("meta.order:70814");
    passes("meta.order:708*");
    passes("meta.tenant:ACME");
    passes("META.Tenant:acme");
    passes("meta.vip:true");
    passes(r#"meta.list:*"]"*"#);
    stops("meta.order:7081");
    stops("meta.b:*");
    stops("meta.none:*");
    passes("-meta.none:null");
}

#[test]
fn what_is_absent_has_no_value() {
    stops("subaccount:*");
    stops(r#"subaccount:"""#);
    passes("-subaccount:*");
    passes("-subaccount:x");
    passes("-webhook:main -meta.absent:1");
    let bare = Content::new("blacklist_add", Source::Mandrill);
    assert!(filter("-recipient:x -x -tag:* -url:* -meta.a:*").matches(&bare));
    assert!(!filter("*").matches(&bare));
}

#[test]
fn what_is_not_a_filter_is_refused_with_its_place() {
    let error = |text: &str| text.parse::<Filter>().unwrap_err();
    let unexpected = |found, at| FilterError::Unexpected { found, at };
    for (text, expected) in [
        ("type:open recipent:x", FilterError::UnknownField { at: 10 }),
        ("-colour:red", FilterError::UnknownField { at: 1 }),
        (":x", FilterError::UnknownField { at: 0 }),
        ("ö:x", FilterError::UnknownField { at: 0 }),
        ("meta:x", FilterError::UnknownField { at: 0 }),
        ("meta.:x", FilterError::MissingKey { at: 5 }),
        ("meta.a*:x", unexpected('*', 6)),
        (r#"meta."a"x:x"#, unexpected('x', 8)),
        (r#"meta."a" x"#, FilterError::MissingValue { at: 8 }),
        ("type:", FilterError::MissingValue { at: 5 }),
        ("type: open", FilterError::MissingValue { at: 5 }),
        ("type:open,,click", FilterError::MissingValue { at: 10 }),
        ("größe -", FilterError::MissingValue { at: 9 }),
        ("a,", FilterError::MissingValue { at: 2 }),
        ("type:(open)", unexpected('(', 5)),
        ("(a)", unexpected('(', 0)),
        ("open)", unexpected(')', 4)),
        ("type:op\"en\"", unexpected('"', 7)),
        ("type:\"open\"x", unexpected('x', 11)),
        ("\"open\"\"x\"", unexpected('"', 6)),
        ("type:a \"open", FilterError::UnclosedQuote { at: 7 }),
        (r#""a\""#, FilterError::UnclosedQuote { at: 0 }),
        (r#""a\"#, FilterError::UnclosedQuote { at: 0 }),
        (r#"tag:"a\b""#, FilterError::BadEscape { at: 6 }),
        ("type:a*b", unexpected('*', 6)),
        ("type:***", unexpected('*', 6)),
        ("--a", unexpected('-', 1)),
        ("a,-b", unexpected('-', 2)),
        ("a,tag:b", unexpected(':', 5)),
    ] {
        assert_eq!(error(text), expected, "{text}");
        assert_eq!(error(text).at(), expected.at());
    }
    let many = "type:a ".repeat(MAX_TERMS);
    assert!(many.parse::<Filter>().is_ok());
    let more = format!("{many}b");
    assert_eq!(error(&more), FilterError::TooManyTerms { at: 350 });
    assert!("x".repeat(MAX_BYTES).parse::<Filter>().is_ok());
    assert_eq!(error(&"x".repeat(MAX_BYTES + 1)), FilterError::TooLong);
    assert_eq!(error(&"ä€".repeat(MAX_BYTES)).at(), 0);
    // In lower case it is half as long again, and could not be read back.
    assert_eq!(error(&"Ⱥ".repeat(MAX_BYTES / 2)), FilterError::TooLong);
}

#[test]
fn operators_of_other_languages_are_refused_with_what_stands_for_them_here() {
    for (text, at) in [
        ("type:open OR type:click", 10),
        ("type:open AND type:click", 10),
        ("NOT type:open", 0),
        ("type:open -NOT", 10),
        ("a || b", 2),
        ("a && b", 2),
        ("ä OR", 3),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error, FilterError::Operator { at }, "{text}");
        let text = error.to_string();
        assert!(
            text.contains("commas are OR, spaces are AND, a minus is NOT"),
            "{text}"
        );
    }
    for word in [
        "or",
        "and not",
        "\"OR\"",
        "\"||\"",
        "Order",
        "ANDORRA",
        "subject:OR",
        "a||b",
        "OR,AND",
    ] {
        let filter = filter(word);
        // A filter is kept by its text.
        assert_eq!(filter.to_string().parse(), Ok(filter), "{word}");
    }
}

#[test]
fn a_stored_filter_has_the_meaning_that_it_had_when_it_was_accepted() {
    let stored = |text: &str| Filter::stored(text).unwrap();
    for (text, shortest) in [
        ("sale || order", r#"order sale "||""#),
        ("a && b", r#""&&" a b"#),
        ("type:open OR type:click", "type:click type:open or"),
        ("NOT -AND", "not -and"),
        ("größe", "größe"),
    ] {
        let filter = stored(text);
        assert_eq!(filter.to_string(), shortest, "{text}");
        // What is shown can be sent back, and stored.
        assert_eq!(shortest.parse(), Ok(filter.clone()), "{text}");
        assert_eq!(stored(shortest), filter, "{text}");
    }
    let tagged = Content {
        tags: vec!["a || b".into()],
        ..Content::new("open", Source::Api)
    };
    assert!(stored("a || b").matches(&tagged) && !stored("a && b").matches(&tagged));
    let longest = format!("|| {}", "x".repeat(MAX_BYTES - 3));
    let shown = stored(&longest).to_string();
    assert!(shown.len() > MAX_BYTES);
    assert_eq!(stored(&shown), stored(&longest));
    assert_eq!(
        Filter::stored(&"x".repeat(2 * MAX_BYTES + 1)),
        Err(FilterError::TooLong)
    );
    for text in ["(a)", "colour:red", "a\"b"] {
        assert_eq!(Filter::stored(text), text.parse(), "{text}");
    }
}

#[test]
fn an_error_says_what_was_expected() {
    let error = |text: &str| text.parse::<Filter>().unwrap_err().to_string();
    assert_eq!(
        error("(a or b)"),
        "unexpected '(' at 0: expected no parentheses outside of quotes; commas are OR, spaces are AND"
    );
    assert_eq!(
        error("type:a*b"),
        "unexpected '*' at 6: expected * at either end of a value only; in quotes it stands for itself"
    );
    assert!(error("recipent:x").starts_with("unknown field at 0: expected type, recipient,"));
}

#[test]
fn a_filter_shows_its_shortest_text() {
    for (text, shortest) in [
        (" TYPE:Open,click,open  ", "type:click,open"),
        ("subject:*\"Order\"*", "subject:order"),
        ("subject:\"\" -tag:**", "-tag:* subject:*"),
        ("b a b", "a b"),
        ("\"a\" \"-a\" \"a:b\" \"*\"", r#""*" "-a" a "a:b""#),
        (r#"-meta."Order":"7""#, "-meta.order:7"),
        (r#"meta."a b":"c,d" tag:\a"#, r#"tag:\a meta."a b":"c,d""#),
        (r#"tag:"" url:*"a*""#, r#"tag:"" url:*"a*""#),
    ] {
        assert_eq!(filter(text).to_string(), shortest, "{text}");
    }
}

#[test]
fn both_filters_together_may_be_longer_than_either_may_be() {
    let terms = |from| (from..from + MAX_TERMS).map(|tag| format!("tag:{tag} "));
    let one: Filter = filter(&terms(0).collect::<String>());
    let other: Filter = filter(&terms(MAX_TERMS).collect::<String>());
    let both = one.and(&other);
    assert!(both.to_string().parse::<Filter>().is_err());
    assert_eq!(both, other.and(&one));
    assert_eq!(one.and(&one), one);
    assert_eq!(one.and(&Filter::default()), one);
}

#[test]
fn what_a_masked_holder_may_not_filter_by_is_found() {
    for (text, field) in [
        (
            "type:a -source:b webhook:c subaccount:d template:e tag:g",
            None,
        ),
        ("tag:a -message:x", Some("message")),
        ("", None),
        ("type:a -recipient:x", Some("recipient")),
        ("sender:x", Some("sender")),
        ("subject:x", Some("subject")),
        ("url:x", Some("url")),
        ("meta.a:x", Some("meta")),
        ("tag:a x", Some("words without a field")),
    ] {
        assert_eq!(filter(text).private_field(), field, "{text}");
    }
}
