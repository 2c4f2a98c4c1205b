//! The template's conditions, which know only parameters, mappings and each other.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::intrinsics::{Scope, arguments, function};
use super::yaml::below;

/// Evaluates the section `Conditions`.
pub(super) fn read(
    section: &Value,
    scope: &Scope,
) -> Result<BTreeMap<String, bool>, TemplateError> {
    let none = Map::new();
    let conditions = match section {
        Value::Null => &none,
        Value::Object(conditions) => conditions,
        _ => {
            return Err(TemplateError::invalid(
                "Conditions",
                "must be a map of names",
            ));
        }
    };
    let reader = Reader { conditions, scope };
    conditions
        .keys()
        .map(|name| {
            Ok((
                name.clone(),
                reader.named(name, "Conditions", &mut Vec::new())?,
            ))
        })
        .collect()
}

struct Reader<'a> {
    conditions: &'a Map<String, Value>,
    scope: &'a Scope,
}

impl<'a> Reader<'a> {
    /// `visited` are the conditions on the way here, to notice a circle.
    fn named(
        &self,
        name: &'a str,
        path: &str,
        visited: &mut Vec<&'a str>,
    ) -> Result<bool, TemplateError> {
        let Some(value) = self.conditions.get(name) else {
            return Err(TemplateError::reference(
                path,
                name,
                "which is not in Conditions",
            ));
        };
        if visited.contains(&name) {
            return Err(TemplateError::reference(
                path,
                name,
                "which refers back to itself",
            ));
        }
        visited.push(name);
        let outcome = self.evaluate(value, &below("Conditions", name), visited);
        visited.pop();
        outcome
    }

    fn evaluate(
        &self,
        value: &'a Value,
        path: &str,
        visited: &mut Vec<&'a str>,
    ) -> Result<bool, TemplateError> {
        let Some((name, argument)) = function(value) else {
            return Err(TemplateError::invalid(
                path,
                "must be Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition",
            ));
        };
        match name {
            "Fn::Equals" => {
                let [left, right] = arguments(argument, name, path)?;
                Ok(self.scope.text(left, path)? == self.scope.text(right, path)?)
            }
            "Fn::Not" => {
                let [inner] = arguments(argument, name, path)?;
                Ok(!self.evaluate(inner, path, visited)?)
            }
            "Fn::And" => self
                .each(argument, path, visited)
                .map(|outcomes| outcomes.iter().all(|outcome| *outcome)),
            "Fn::Or" => self
                .each(argument, path, visited)
                .map(|outcomes| outcomes.contains(&true)),
            "Condition" => self.named(argument.as_str().unwrap_or_default(), path, visited),
            unknown => Err(TemplateError::unsupported(path, unknown)),
        }
    }

    fn each(
        &self,
        argument: &'a Value,
        path: &str,
        visited: &mut Vec<&'a str>,
    ) -> Result<Vec<bool>, TemplateError> {
        match argument.as_array() {
            Some(items) if (2..=10).contains(&items.len()) => items
                .iter()
                .map(|item| self.evaluate(item, path, visited))
                .collect(),
            _ => Err(TemplateError::invalid(
                path,
                "Fn::And and Fn::Or take a list of 2 to 10",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluated(section: Value) -> Result<BTreeMap<String, bool>, String> {
        let scope = Scope {
            parameters: [("Path".into(), json!("/x")), ("Shards".into(), json!("8"))].into(),
            ..Scope::default()
        };
        read(&section, &scope).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_compare_combine_and_refer_to_each_other() {
        let outcome = evaluated(json!({
            "Eight": {"Fn::Equals": [{"Ref": "Shards"}, 8]},
            "Rooted": {"Fn::Equals": [{"Ref": "Path"}, "/"]},
            "Both": {"Fn::And": [{"Condition": "Eight"}, {"Condition": "Rooted"}]},
            "One": {"Fn::Or": [{"Condition": "Eight"}, {"Condition": "Rooted"}]},
            "Neither": {"Fn::Not": [{"Condition": "One"}]},
        }));
        let expected = [
            ("Eight", true),
            ("Rooted", false),
            ("Both", false),
            ("One", true),
            ("Neither", false),
        ];
        assert_eq!(
            outcome.unwrap(),
            expected
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()
        );
    }

    #[test]
    fn a_circle_and_an_unknown_name_are_refused() {
        assert_eq!(
            evaluated(json!({"A": {"Condition": "B"}, "B": {"Condition": "A"}})).unwrap_err(),
            "Conditions.B: refers to A, which refers back to itself"
        );
        assert_eq!(
            evaluated(json!({"A": {"Condition": "Z"}})).unwrap_err(),
            "Conditions.A: refers to Z, which is not in Conditions"
        );
        assert!(
            evaluated(json!({"A": {"Fn::Equals": [{"Ref": "Table"}, "x"]}}))
                .unwrap_err()
                .contains("refers to Table")
        );
    }
}
