//! CloudFormation's YAML as JSON: short tags (`!Ref`) become their long form (`{"Ref": …}`).

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Number, Value, json};

use super::error::TemplateError;
use super::lines::Lines;

/// Functions whose tag is their name without `Fn::`. What the local stack cannot evaluate is
/// refused where it is used, since it may stand in a resource that is skipped.
const FUNCTIONS: &[&str] = &[
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
];

/// A template as JSON, and where its parts stand.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) lines: Lines,
}

/// The path of something inside `path`.
pub(super) fn below(path: &str, key: impl std::fmt::Display) -> String {
    if path.is_empty() {
        key.to_string()
    } else {
        format!("{path}.{key}")
    }
}

/// Reads one YAML document.
pub(super) fn read(text: &str) -> Result<Document, TemplateError> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        lines: Lines::default(),
    };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(..) if document.is_some() => {
                return Err(syntax(
                    span,
                    "a template is one YAML document, and here a second one starts",
                ));
            }
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => document = Some(reader.node(event, span, "")?),
        }
    }
    Ok(Document {
        value: document.unwrap_or(Value::Null),
        lines: reader.lines,
    })
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    lines: Lines,
}

impl<'a> Reader<'a> {
    /// The next event that is not a comment.
    fn next(&mut self) -> Result<(Event<'a>, Span), TemplateError> {
        loop {
            let (event, span) = self
                .events
                .next()
                .unwrap_or_else(|| Ok((Event::StreamEnd, Span::default())))
                .map_err(scan)?;
            let is_content = event.is_node()
                || matches!(
                    event,
                    Event::StreamStart
                        | Event::StreamEnd
                        | Event::DocumentStart(..)
                        | Event::DocumentEnd
                        | Event::SequenceEnd
                        | Event::MappingEnd
                );
            if is_content {
                return Ok((event, span));
            }
        }
    }

    /// One value. The parser bounds the nesting, and with it this recursion.
    fn node(&mut self, event: Event<'a>, span: Span, path: &str) -> Result<Value, TemplateError> {
        let (value, tag) = match event {
            Event::Scalar(text, style, _, tag) => {
                (scalar(&text, style, tag.as_deref(), span)?, tag)
            }
            Event::SequenceStart(_, _, tag) => (self.sequence(path)?, tag),
            Event::MappingStart(_, _, tag) => (self.mapping(path)?, tag),
            Event::Alias(_) => {
                return Err(syntax(span, "CloudFormation does not take YAML aliases"));
            }
            Event::StreamEnd => {
                return Err(syntax(span, "the template ends in the middle of a value"));
            }
            _ => return Err(syntax(span, "a value is missing")),
        };
        match tag {
            Some(tag) if tag.is_custom() => long_form(&tag, value, span),
            _ => Ok(value),
        }
    }

    fn sequence(&mut self, path: &str) -> Result<Value, TemplateError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let item_path = below(path, items.len());
            self.lines.0.insert(item_path.clone(), span.start.line());
            items.push(self.node(event, span, &item_path)?);
        }
    }

    fn mapping(&mut self, path: &str) -> Result<Value, TemplateError> {
        let mut entries = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(syntax(span, "a key must be plain text")),
            };
            if entries.contains_key(&key) {
                return Err(syntax(
                    span,
                    format!("the key {key} stands here a second time"),
                ));
            }
            let value_path = below(path, &key);
            self.lines.0.insert(value_path.clone(), span.start.line());
            let (event, span) = self.next()?;
            let value = self.node(event, span, &value_path)?;
            entries.insert(key, value);
        }
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Value, TemplateError> {
    if style != ScalarStyle::Plain || tag.is_some() {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => {
            return Err(syntax(
                span,
                format!(
                    "{text} is a boolean to some readers of YAML and text to others: write true, false or '{text}'"
                ),
            ));
        }
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    })
}

/// Numbers as JSON has them. Everything else stays text, so that account ids with leading zeros
/// and dates (`2012-10-17`) are what was written.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let starts_like_a_number = digits.starts_with(|first: char| first.is_ascii_digit());
    starts_like_a_number
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

fn long_form(tag: &Tag, value: Value, span: Span) -> Result<Value, TemplateError> {
    let name = tag.suffix();
    match (name, value) {
        ("", value) => Ok(value),
        ("Ref" | "Condition", value) => Ok(json!({ name: value })),
        ("GetAtt", Value::String(text)) => match text.split_once('.') {
            Some((resource, attribute)) => Ok(json!({ "Fn::GetAtt": [resource, attribute] })),
            None => Err(syntax(
                span,
                format!("!GetAtt {text} needs the form Resource.Attribute"),
            )),
        },
        (name, value) if FUNCTIONS.contains(&name) => Ok(json!({ format!("Fn::{name}"): value })),
        (name, _) => Err(syntax(
            span,
            format!("!{name} is no function of CloudFormation"),
        )),
    }
}

fn syntax(span: Span, problem: impl Into<String>) -> TemplateError {
    TemplateError::Syntax {
        line: span.start.line(),
        problem: problem.into(),
    }
}

fn scan(error: ScanError) -> TemplateError {
    TemplateError::Syntax {
        line: error.marker().line(),
        problem: error.info().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        read(text).unwrap().value
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn short_tags_become_their_long_form() {
        assert_eq!(value("a: !Ref X"), json!({"a": {"Ref": "X"}}));
        assert_eq!(
            value("a: !GetAtt X.Outputs.Y"),
            json!({"a": {"Fn::GetAtt": ["X", "Outputs.Y"]}})
        );
        assert_eq!(
            value("a: !Sub '${X}-1'"),
            json!({"a": {"Fn::Sub": "${X}-1"}})
        );
        assert_eq!(
            value("a: !If [C, !Ref X, !Ref AWS::NoValue]"),
            json!({"a": {"Fn::If": ["C", {"Ref": "X"}, {"Ref": "AWS::NoValue"}]}})
        );
        assert_eq!(
            value("a: !Join\n  - ','\n  - - x\n    - !Ref Y"),
            json!({"a": {"Fn::Join": [",", ["x", {"Ref": "Y"}]]}})
        );
        assert_eq!(
            value("a: !Not [!Condition C]"),
            json!({"a": {"Fn::Not": [{"Condition": "C"}]}})
        );
    }

    #[test]
    fn plain_text_becomes_what_json_has_for_it() {
        assert_eq!(
            value(
                "{a: 12, b: true, c: 2012-10-17, d: 000000000000, e: '12', f: , g: 0.5, h: -1, i: 1.2.3, j: 1e3}"
            ),
            json!({"a": 12, "b": true, "c": "2012-10-17", "d": "000000000000", "e": "12", "f": null,
                   "g": 0.5, "h": -1, "i": "1.2.3", "j": 1e3})
        );
    }

    #[test]
    fn a_line_is_known_for_every_key_and_item() {
        let lines = read("A:\n  B:\n    - x\n    - C: 1\n").unwrap().lines;
        assert_eq!(lines.of("A.B.1.C"), Some(4));
        assert_eq!(lines.of("A.B.0"), Some(3));
        assert_eq!(lines.of("A.B.unwritten.deeper"), Some(2));
        assert_eq!(lines.of("Z"), None);
    }

    #[test]
    fn refuses_what_cloudformation_does_not_take() {
        assert_eq!(
            refusal("a: 1\nb: 2\na: 3"),
            "line 3: the key a stands here a second time"
        );
        assert_eq!(
            refusal("a: &x 1\nb: *x"),
            "line 2: CloudFormation does not take YAML aliases"
        );
        assert_eq!(
            refusal("a: !Reference X"),
            "line 1: !Reference is no function of CloudFormation"
        );
        assert_eq!(
            refusal("a: !GetAtt X"),
            "line 1: !GetAtt X needs the form Resource.Attribute"
        );
        assert!(refusal("a: yes").starts_with("line 1: yes is a boolean to some"));
        assert!(refusal("a: 1\n---\nb: 2").contains("a second one starts"));
        assert!(refusal("a: [1").starts_with("line "));
    }
}
