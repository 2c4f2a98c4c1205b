//! The examples in `docs/API.md` do what it says.

use super::*;

const PAGE: &str = include_str!("../../../../../docs/API.md");

/// The rows of the tables of a section that begin with a code, cell by cell.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let start = PAGE.find(section).unwrap();
    let rest = &PAGE[start + section.len()..];
    let section = &rest[..rest.find("\n##").unwrap_or(rest.len())];
    section
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| (empty)"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn code(cell: &'static str) -> &'static str {
    cell.trim_matches('`')
}

#[test]
fn the_documented_filters_pass_what_they_are_said_to() {
    let json = PAGE.split("```json").nth(1).unwrap();
    let json = json.split("```").next().unwrap();
    let event: Content<'_> = serde_json::from_str(json).unwrap();
    let mut answers = Vec::new();
    for row in rows("\n### Examples\n") {
        let filter = filter(match row[0] {
            "(empty)" => "",
            cell => code(cell),
        });
        let expected = match row[2] {
            "yes" => true,
            "no" => false,
            other => panic!("{other}"),
        };
        assert_eq!(filter.matches(&event), expected, "{}", row[0]);
        answers.push(expected);
    }
    assert!(answers.contains(&true) && answers.contains(&false));
}

/// Filters that the page could show as well.
#[test]
fn variations_of_the_documented_filters_pass_what_they_say() {
    let json = PAGE.split("```json").nth(1).unwrap();
    let json = json.split("```").next().unwrap();
    let event: Content<'_> = serde_json::from_str(json).unwrap();
    for (text, expected) in [
        ("type:open,click", true),
        ("-type:send", true),
        ("recipient:reader1@example.net", true),
        ("shipped", true),
        ("-tag:welcome -tag:order-shipped", false),
        ("url:https://shop.example/orders/70814", true),
        ("meta.order:70814", true),
        ("subaccount:*", false),
        ("message:8854ad35e1b54a1cb1f0c5a4d2f4f0aa", true),
    ] {
        assert_eq!(filter(text).matches(&event), expected, "{text}");
    }
}

#[test]
fn the_documented_mistakes_are_refused_as_documented() {
    let mistakes = rows("\n### What is refused\n");
    assert!(mistakes.len() > 3);
    for row in mistakes {
        let error = code(row[0]).parse::<Filter>().unwrap_err().to_string();
        let documented = code(row[1]);
        let start = documented.trim_end_matches(" …");
        assert!(error.starts_with(start), "{error}");
        assert_eq!(error.len() == start.len(), start == documented, "{error}");
    }
    for (text, message) in [
        (
            "type:open,",
            "a value is missing at 10: expected a word, a text in quotes, or *",
        ),
        (
            r#"tag:order"shipped""#,
            r#"unexpected '"' at 9: expected quotes around a whole value only, and \" inside of it"#,
        ),
        (
            r#"url:"a\b""#,
            r#"a backslash at 6 escapes nothing: expected \" or \\ in quotes"#,
        ),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
}
