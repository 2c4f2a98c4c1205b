//! Lambda's event filtering: which records of a stream a mapping passes to its function.

use serde_json::{Map, Value};

/// One filter pattern. A record passes a mapping when it matches any of the mapping's patterns.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterPattern {
    root: Fields,
    text: String,
}

/// Why a pattern is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("filter pattern, at {path}: {problem}")]
pub struct PatternError {
    /// The keys from the top of the pattern, joined by dots.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

/// What is asked of the fields of one object; all must hold.
#[derive(Debug, Clone, PartialEq)]
struct Fields {
    fields: Vec<(String, Field)>,
    /// `$or`: at least one of these must hold too.
    alternatives: Vec<Fields>,
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Inside(Fields),
    /// The value must pass one of these.
    Leaf(Vec<Test>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equals(Value),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    AnythingBut(Vec<Test>),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl FilterPattern {
    /// Parses the JSON text of a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| problem("the top", format!("not JSON: {error}")))?;
        let fields = value
            .as_object()
            .ok_or_else(|| problem("the top", "must be an object"))?;
        if fields.is_empty() {
            return Err(problem("the top", "must name a field"));
        }
        Ok(Self {
            root: parse_fields(fields, "")?,
            text: text.to_owned(),
        })
    }

    /// Whether a record, as the function would get it, passes.
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        self.root.matches(record)
    }

    /// The pattern as the template has it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Fields {
    fn matches(&self, value: &Value) -> bool {
        // A list of objects matches when one of them does.
        if let Value::Array(items) = value {
            return items.iter().any(|item| self.matches(item));
        }
        self.fields
            .iter()
            .all(|(name, field)| field.matches(value.get(name)))
            && (self.alternatives.is_empty()
                || self.alternatives.iter().any(|fields| fields.matches(value)))
    }
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Inside(fields) => fields.matches(value.unwrap_or(&Value::Null)),
            Self::Leaf(tests) => tests.iter().any(|test| test.matches(value)),
        }
    }
}

impl Test {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // Existence is asked of plain values only: an object inside does not count as one.
            (Self::Exists(wanted), value) => {
                value.is_some_and(|value| !value.is_object()) == *wanted
            }
            (_, None | Some(Value::Object(_))) => false,
            (test, Some(Value::Array(items))) => items.iter().any(|item| test.matches(Some(item))),
            (Self::Equals(wanted), Some(value)) => equal(wanted, value),
            (Self::AnythingBut(tests), Some(value)) => {
                !tests.iter().any(|test| test.matches(Some(value)))
            }
            // Numbers in a stream record are text (`{"N":"101"}`), which this never matches.
            (Self::Numeric(comparisons), Some(value)) => value.as_f64().is_some_and(|number| {
                comparisons
                    .iter()
                    .all(|(comparison, bound)| comparison.holds(number, *bound))
            }),
            (Self::EqualsIgnoreCase(wanted), Some(Value::String(text))) => {
                text.to_lowercase() == wanted.to_lowercase()
            }
            (Self::Prefix(prefix), Some(Value::String(text))) => text.starts_with(prefix),
            (Self::Suffix(suffix), Some(Value::String(text))) => text.ends_with(suffix),
            (Self::EqualsIgnoreCase(_) | Self::Prefix(_) | Self::Suffix(_), Some(_)) => false,
        }
    }
}

impl Comparison {
    fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (left, right) => left == right,
    }
}

fn parse_fields(object: &Map<String, Value>, path: &str) -> Result<Fields, PatternError> {
    let mut fields = Fields {
        fields: Vec::new(),
        alternatives: Vec::new(),
    };
    for (name, value) in object {
        let place = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match value {
            Value::Array(alternatives) if name == "$or" => {
                for alternative in alternatives {
                    let object = alternative
                        .as_object()
                        .ok_or_else(|| problem(&place, "must be a list of objects"))?;
                    fields.alternatives.push(parse_fields(object, &place)?);
                }
            }
            Value::Array(tests) if tests.is_empty() => {
                return Err(problem(&place, "the list is empty"));
            }
            Value::Array(tests) => {
                let tests = tests
                    .iter()
                    .map(|test| parse_test(test, &place))
                    .collect::<Result<_, _>>()?;
                fields.fields.push((name.clone(), Field::Leaf(tests)));
            }
            Value::Object(inside) => {
                fields
                    .fields
                    .push((name.clone(), Field::Inside(parse_fields(inside, &place)?)));
            }
            _ => {
                return Err(problem(
                    &place,
                    format!("must be a list, such as [{value}]"),
                ));
            }
        }
    }
    Ok(fields)
}

fn parse_test(value: &Value, path: &str) -> Result<Test, PatternError> {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(_) => return Err(problem(path, "a list may not stand in a list")),
        plain => return Ok(Test::Equals(plain.clone())),
    };
    let mut operators = object.iter();
    let (Some((operator, argument)), None) = (operators.next(), operators.next()) else {
        return Err(problem(path, "a test has one operator"));
    };
    match (operator.as_str(), argument) {
        ("prefix", Value::String(text)) => Ok(Test::Prefix(text.clone())),
        ("suffix", Value::String(text)) => Ok(Test::Suffix(text.clone())),
        ("equals-ignore-case", Value::String(text)) => Ok(Test::EqualsIgnoreCase(text.clone())),
        ("exists", Value::Bool(wanted)) => Ok(Test::Exists(*wanted)),
        ("numeric", Value::Array(terms)) => parse_numeric(terms, path),
        ("anything-but", Value::Array(values)) if !values.is_empty() => values
            .iter()
            .map(|value| parse_test(value, path))
            .collect::<Result<_, _>>()
            .map(Test::AnythingBut),
        ("anything-but", value) if !value.is_array() => {
            Ok(Test::AnythingBut(vec![parse_test(value, path)?]))
        }
        (
            "prefix" | "suffix" | "equals-ignore-case" | "exists" | "numeric" | "anything-but",
            argument,
        ) => Err(problem(
            path,
            format!("{operator} does not take {argument}"),
        )),
        _ => Err(problem(path, format!("{operator} is no operator"))),
    }
}

fn parse_numeric(terms: &[Value], path: &str) -> Result<Test, PatternError> {
    let comparisons: Option<Vec<_>> = terms
        .chunks(2)
        .map(|pair| match pair {
            [sign, bound] => Some((Comparison::parse(sign.as_str()?)?, bound.as_f64()?)),
            _ => None,
        })
        .collect();
    match comparisons {
        Some(comparisons) if (1..=2).contains(&comparisons.len()) => Ok(Test::Numeric(comparisons)),
        _ => Err(problem(
            path,
            "numeric takes comparisons, such as [\">\", 0, \"<=\", 5]",
        )),
    }
}

fn problem(path: &str, problem: impl Into<String>) -> PatternError {
    PatternError {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(pattern: Value, record: Value) -> bool {
        FilterPattern::parse(&pattern.to_string())
            .unwrap()
            .matches(&record)
    }

    fn refusal(pattern: Value) -> String {
        FilterPattern::parse(&pattern.to_string())
            .unwrap_err()
            .to_string()
    }

    fn insert() -> Value {
        json!({"eventName": "INSERT", "dynamodb": {
            "NewImage": {"type": {"S": "hard_bounce"}, "v": {"N": "101"}, "gone": {"NULL": true}, "tags": {"SS": ["a", "b"]}},
            "SizeBytes": 120, "note": null,
        }})
    }

    #[test]
    fn a_value_must_equal_one_of_the_list() {
        assert!(passes(json!({"eventName": ["INSERT"]}), insert()));
        assert!(passes(json!({"eventName": ["REMOVE", "INSERT"]}), insert()));
        assert!(!passes(json!({"eventName": ["REMOVE"]}), insert()));
        assert!(passes(
            json!({"dynamodb": {"NewImage": {"tags": {"SS": ["b"]}}}}),
            insert()
        ));
        assert!(passes(
            json!({"dynamodb": {"SizeBytes": [120.0]}}),
            insert()
        ));
    }

    #[test]
    fn all_keys_must_hold_at_every_depth() {
        assert!(passes(
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"type": {"S": ["hard_bounce"]}}}}),
            insert()
        ));
        assert!(!passes(
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"type": {"S": ["open"]}}}}),
            insert()
        ));
        assert!(!passes(
            json!({"dynamodb": {"OldImage": {"type": {"S": ["open"]}}}}),
            insert()
        ));
    }

    #[test]
    fn prefix_suffix_and_case() {
        let kind = |test| {
            passes(
                json!({"dynamodb": {"NewImage": {"type": {"S": [test]}}}}),
                insert(),
            )
        };
        assert!(kind(json!({"prefix": "hard"})));
        assert!(!kind(json!({"prefix": "soft"})));
        assert!(kind(json!({"suffix": "_bounce"})));
        assert!(kind(json!({"equals-ignore-case": "Hard_Bounce"})));
    }

    #[test]
    fn anything_but_excludes_values_and_prefixes() {
        let kind = |test| {
            passes(
                json!({"dynamodb": {"NewImage": {"type": {"S": [{"anything-but": test}]}}}}),
                insert(),
            )
        };
        assert!(kind(json!(["open", "click"])));
        assert!(!kind(json!(["hard_bounce"])));
        assert!(!kind(json!("hard_bounce")));
        assert!(!kind(json!({"prefix": "hard"})));
        assert!(!passes(
            json!({"absent": [{"anything-but": ["x"]}]}),
            insert()
        ));
    }

    #[test]
    fn existence_is_asked_of_plain_values() {
        assert!(passes(json!({"eventName": [{"exists": true}]}), insert()));
        assert!(passes(
            json!({"userIdentity": {"type": [{"exists": false}]}}),
            insert()
        ));
        assert!(!passes(json!({"eventName": [{"exists": false}]}), insert()));
        assert!(!passes(json!({"dynamodb": [{"exists": true}]}), insert()));
    }

    #[test]
    fn numeric_never_matches_the_text_of_a_stream_number() {
        assert!(passes(
            json!({"dynamodb": {"SizeBytes": [{"numeric": [">", 100, "<=", 120]}]}}),
            insert()
        ));
        assert!(!passes(
            json!({"dynamodb": {"SizeBytes": [{"numeric": ["<", 120]}]}}),
            insert()
        ));
        assert!(!passes(
            json!({"dynamodb": {"NewImage": {"v": {"N": [{"numeric": ["=", 101]}]}}}}),
            insert()
        ));
        assert!(passes(
            json!({"dynamodb": {"NewImage": {"v": {"N": ["101"]}}}}),
            insert()
        ));
    }

    #[test]
    fn null_is_a_value_and_not_an_absence() {
        assert!(passes(json!({"dynamodb": {"note": [null]}}), insert()));
        assert!(!passes(json!({"dynamodb": {"other": [null]}}), insert()));
    }

    #[test]
    fn or_needs_one_of_its_objects() {
        let pattern =
            |name| json!({"$or": [{"eventName": [name]}, {"dynamodb": {"SizeBytes": [1]}}]});
        assert!(passes(pattern("INSERT"), insert()));
        assert!(!passes(pattern("MODIFY"), insert()));
    }

    #[test]
    fn a_malformed_pattern_says_where() {
        assert_eq!(
            refusal(json!({"eventName": "INSERT"})),
            "filter pattern, at eventName: must be a list, such as [\"INSERT\"]"
        );
        assert_eq!(
            refusal(json!({"a": {"b": [{"like": "x"}]}})),
            "filter pattern, at a.b: like is no operator"
        );
        assert_eq!(
            refusal(json!({"a": [{"prefix": 1}]})),
            "filter pattern, at a: prefix does not take 1"
        );
        assert!(refusal(json!({"a": [{"numeric": [">"]}]})).contains("numeric takes comparisons"));
        assert!(refusal(json!({"a": []})).contains("the list is empty"));
        assert!(refusal(json!([])).contains("must be an object"));
        assert!(
            FilterPattern::parse("{")
                .unwrap_err()
                .problem
                .starts_with("not JSON")
        );
    }
}
