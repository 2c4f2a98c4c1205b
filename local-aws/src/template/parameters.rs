//! The template's parameters: defaults, what the command line says, and the rules for both.

use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde_json::{Map, Value};

use super::error::TemplateError;

/// The value of every parameter: text, or a list of texts for list types.
pub(super) type Parameters = BTreeMap<String, Value>;

/// Resolves the section `Parameters` with the values given by the caller, who may have defaults of
/// their own for what is in it.
pub(super) fn read(
    section: &Value,
    given: &BTreeMap<String, String>,
    defaults: &BTreeMap<String, String>,
) -> Result<Parameters, TemplateError> {
    let none = Map::new();
    let declared = match section {
        Value::Null => &none,
        Value::Object(declared) => declared,
        _ => {
            return Err(TemplateError::invalid(
                "Parameters",
                "must be a map of names",
            ));
        }
    };
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        return Err(TemplateError::parameter(
            unknown,
            format!(
                "the template has no such parameter; it has {}",
                known.join(", ")
            ),
        ));
    }
    declared
        .iter()
        .map(|(name, declaration)| {
            let declaration = Declaration::read(name, declaration)?;
            Ok((
                name.clone(),
                declaration.value(given.get(name).or_else(|| defaults.get(name)))?,
            ))
        })
        .collect()
}

/// One entry of the section.
struct Declaration<'a> {
    name: &'a str,
    kind: Kind,
    rules: &'a Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
    TextList,
    NumberList,
}

impl<'a> Declaration<'a> {
    fn read(name: &'a str, value: &'a Value) -> Result<Self, TemplateError> {
        let path = format!("Parameters.{name}");
        let rules = value
            .as_object()
            .ok_or_else(|| TemplateError::invalid(&path, "must be a map"))?;
        let known = [
            "Type",
            "Default",
            "AllowedValues",
            "AllowedPattern",
            "MinLength",
            "MaxLength",
            "MinValue",
            "MaxValue",
            "Description",
            "ConstraintDescription",
            "NoEcho",
        ];
        if let Some(unknown) = rules.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(TemplateError::unsupported(
                &format!("{path}.{unknown}"),
                unknown,
            ));
        }
        let kind = match rules.get("Type").and_then(Value::as_str) {
            Some("String") => Kind::Text,
            Some("Number") => Kind::Number,
            Some("CommaDelimitedList") => Kind::TextList,
            Some("List<Number>") => Kind::NumberList,
            Some(other) => return Err(TemplateError::unsupported(&format!("{path}.Type"), other)),
            None => return Err(TemplateError::invalid(&path, "has no Type")),
        };
        Ok(Self { name, kind, rules })
    }

    fn value(&self, given: Option<&String>) -> Result<Value, TemplateError> {
        let text = match (given, self.rules.get("Default")) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) => scalar_text(default)
                .ok_or_else(|| self.refused("its Default must be text or a number"))?,
            (None, None) => {
                return Err(self.refused(&format!(
                    "has no default: give it with --parameter {}=VALUE",
                    self.name
                )));
            }
        };
        if matches!(self.kind, Kind::Text | Kind::Number) {
            self.check(&text)?;
            return Ok(Value::String(text));
        }
        let items: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect();
        items.iter().try_for_each(|item| self.check(item))?;
        Ok(items.into_iter().map(Value::from).collect())
    }

    fn check(&self, text: &str) -> Result<(), TemplateError> {
        if let Some(allowed) = self.rules.get("AllowedValues") {
            let allowed: Vec<String> = allowed
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(scalar_text)
                .collect();
            if !allowed.iter().any(|value| value == text) {
                return Err(
                    self.refused(&format!("\"{text}\" is not one of {}", allowed.join(", ")))
                );
            }
        }
        if let Some(pattern) = self.rules.get("AllowedPattern").and_then(Value::as_str) {
            // CloudFormation holds the pattern against the whole value.
            let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                self.refused(&format!("its AllowedPattern cannot be read: {error}"))
            })?;
            if !regex.is_match(text).unwrap_or(false) {
                return Err(self.refused(&format!("\"{text}\" does not match {pattern}")));
            }
        }
        let length = text.chars().count() as f64;
        self.check_range(
            "MinLength",
            "MaxLength",
            length,
            &format!("\"{text}\" is {length} characters long"),
        )?;
        if matches!(self.kind, Kind::Number | Kind::NumberList) {
            let number: f64 = text
                .parse()
                .map_err(|_| self.refused(&format!("\"{text}\" is not a number")))?;
            self.check_range("MinValue", "MaxValue", number, text)?;
        }
        Ok(())
    }

    fn check_range(
        &self,
        lowest: &str,
        highest: &str,
        value: f64,
        what: &str,
    ) -> Result<(), TemplateError> {
        let bound = |rule: &str| {
            self.rules
                .get(rule)
                .and_then(scalar_text)
                .and_then(|text| text.parse::<f64>().ok())
        };
        match (bound(lowest), bound(highest)) {
            (Some(bound), _) if value < bound => {
                Err(self.refused(&format!("{what}, which is under {lowest} {bound}")))
            }
            (_, Some(bound)) if value > bound => {
                Err(self.refused(&format!("{what}, which is over {highest} {bound}")))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, problem: &str) -> TemplateError {
        match self
            .rules
            .get("ConstraintDescription")
            .and_then(Value::as_str)
        {
            Some(advice) => TemplateError::parameter(self.name, format!("{problem} ({advice})")),
            None => TemplateError::parameter(self.name, problem),
        }
    }
}

/// Text, numbers and booleans as CloudFormation turns them into text.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(declaration: Value, given: &[(&str, &str)]) -> Result<Value, String> {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut values = read(&json!({ "Shards": declaration }), &given, &BTreeMap::new())
            .map_err(|error| error.to_string())?;
        Ok(values.remove("Shards").unwrap())
    }

    #[test]
    fn a_given_value_replaces_the_default() {
        let declaration = json!({"Type": "Number", "Default": 8});
        assert_eq!(with(declaration.clone(), &[]), Ok(json!("8")));
        assert_eq!(with(declaration, &[("Shards", "4")]), Ok(json!("4")));
    }

    #[test]
    fn a_list_is_split_at_commas() {
        let declaration = json!({"Type": "CommaDelimitedList", "Default": "a, b"});
        assert_eq!(with(declaration.clone(), &[]), Ok(json!(["a", "b"])));
        assert_eq!(with(declaration, &[("Shards", "")]), Ok(json!([])));
    }

    #[test]
    fn a_missing_value_says_how_to_give_it() {
        assert_eq!(
            with(json!({"Type": "String"}), &[]).unwrap_err(),
            "parameter Shards: has no default: give it with --parameter Shards=VALUE"
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        assert_eq!(
            with(json!({"Type": "Number", "Default": 8}), &[("Shard", "4")]).unwrap_err(),
            "parameter Shard: the template has no such parameter; it has Shards"
        );
    }

    #[test]
    fn every_rule_names_the_parameter_and_the_value() {
        let cases = [
            (
                json!({"Type": "String", "AllowedValues": ["arm64", "x86_64"]}),
                "mips",
                "\"mips\" is not one of arm64, x86_64",
            ),
            (
                json!({"Type": "String", "AllowedPattern": "/[a-z]+"}),
                "/a/b",
                "\"/a/b\" does not match /[a-z]+",
            ),
            (
                json!({"Type": "Number"}),
                "many",
                "\"many\" is not a number",
            ),
            (
                json!({"Type": "Number", "MinValue": 1}),
                "0",
                "0, which is under MinValue 1",
            ),
            (
                json!({"Type": "Number", "MaxValue": 9}),
                "10",
                "10, which is over MaxValue 9",
            ),
            (
                json!({"Type": "String", "MinLength": "2"}),
                "a",
                "\"a\" is 1 characters long, which is under MinLength 2",
            ),
        ];
        for (declaration, value, problem) in cases {
            assert_eq!(
                with(declaration, &[("Shards", value)]).unwrap_err(),
                format!("parameter Shards: {problem}")
            );
        }
    }

    #[test]
    fn a_default_must_obey_the_rules_too_and_the_advice_is_passed_on() {
        let declaration = json!({"Type": "Number", "Default": 0, "MinValue": 1, "ConstraintDescription": "it may only grow"});
        assert_eq!(
            with(declaration, &[]).unwrap_err(),
            "parameter Shards: 0, which is under MinValue 1 (it may only grow)"
        );
    }

    #[test]
    fn types_that_need_an_account_are_refused() {
        let declaration = json!({"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"});
        assert!(
            with(declaration, &[])
                .unwrap_err()
                .contains("not understood")
        );
    }
}
