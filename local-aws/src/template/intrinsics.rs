//! CloudFormation's functions: a value with references becomes the plain value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::names::Target;
use super::parameters::{Parameters, scalar_text};
use super::yaml::below;

/// Everything that a reference can lead to.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) parameters: Parameters,
    pub(super) pseudo: BTreeMap<&'static str, String>,
    pub(super) mappings: Value,
    pub(super) conditions: BTreeMap<String, bool>,
    pub(super) targets: BTreeMap<String, Target>,
}

/// The function and its argument, when a value is `{"Ref": …}`, `{"Condition": …}` or `{"Fn::…": …}`.
pub(super) fn function(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (name, argument) = map.iter().next()?;
    // A policy statement has a map named Condition; the function takes a name.
    let is_condition = name == "Condition" && argument.is_string();
    (name == "Ref" || is_condition || name.starts_with("Fn::")).then_some((name, argument))
}

impl Scope {
    /// Replaces every function in a value; `None` is `AWS::NoValue`, for which the property is left out.
    pub(super) fn resolve(
        &self,
        value: &Value,
        path: &str,
    ) -> Result<Option<Value>, TemplateError> {
        if let Some((name, argument)) = function(value) {
            return self.call(name, argument, path);
        }
        Ok(Some(match value {
            Value::Array(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    resolved.extend(self.resolve(item, &below(path, index))?);
                }
                Value::Array(resolved)
            }
            Value::Object(entries) => {
                let mut resolved = Map::new();
                for (key, entry) in entries {
                    if let Some(entry) = self.resolve(entry, &below(path, key))? {
                        resolved.insert(key.clone(), entry);
                    }
                }
                Value::Object(resolved)
            }
            plain => plain.clone(),
        }))
    }

    /// Resolves only a function at the top, so that what is inside can be skipped unresolved.
    pub(super) fn resolve_top(
        &self,
        value: &Value,
        path: &str,
    ) -> Result<Option<Value>, TemplateError> {
        match function(value) {
            Some(("Fn::If", argument)) => self
                .choose(argument, path)
                .and_then(|chosen| self.resolve_top(chosen, path)),
            Some((name, argument)) => self.call(name, argument, path),
            None => Ok(Some(value.clone())),
        }
    }

    fn call(
        &self,
        name: &str,
        argument: &Value,
        path: &str,
    ) -> Result<Option<Value>, TemplateError> {
        match name {
            "Ref" => match text(argument, name, path)? {
                "AWS::NoValue" => Ok(None),
                target => self.reference(target, path).map(Some),
            },
            "Fn::If" => self
                .choose(argument, path)
                .and_then(|chosen| self.resolve(chosen, path)),
            "Fn::GetAtt" => self
                .attribute_call(argument, path)
                .map(|value| Some(value.into())),
            "Fn::Sub" => self
                .substitute(argument, path)
                .map(|value| Some(value.into())),
            "Fn::Join" => self.join(argument, path).map(|value| Some(value.into())),
            "Fn::Split" => {
                let [separator, source] = arguments(argument, name, path)?;
                let source = self.text(source, path)?;
                Ok(Some(
                    source
                        .split(text(separator, name, path)?)
                        .map(Value::from)
                        .collect(),
                ))
            }
            "Fn::Select" => self.select(argument, path).map(Some),
            "Fn::FindInMap" => self.find_in_map(argument, path).map(Some),
            "Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or" | "Condition" => {
                Err(TemplateError::invalid(
                    path,
                    format!("{name} stands only in Conditions; use Fn::If here"),
                ))
            }
            unknown => Err(TemplateError::unsupported(path, unknown)),
        }
    }

    /// What `Ref` gives.
    fn reference(&self, name: &str, path: &str) -> Result<Value, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.pseudo.get(name) {
            return Ok(Value::from(value.as_str()));
        }
        self.target(name, path)?
            .reference(name, path)
            .map(Value::from)
    }

    fn attribute_call(&self, argument: &Value, path: &str) -> Result<String, TemplateError> {
        let (resource, attribute) = get_att(argument).ok_or_else(|| {
            TemplateError::invalid(path, "Fn::GetAtt takes a resource and an attribute")
        })?;
        self.target(resource, path)?
            .attribute(resource, attribute, path)
    }

    fn target(&self, name: &str, path: &str) -> Result<&Target, TemplateError> {
        self.targets.get(name).ok_or_else(|| {
            TemplateError::reference(
                path,
                name,
                "which is no parameter or resource that can be referred to here",
            )
        })
    }

    fn substitute(&self, argument: &Value, path: &str) -> Result<String, TemplateError> {
        let (template, variables) = sub_arguments(argument).ok_or_else(|| {
            TemplateError::invalid(path, "Fn::Sub takes text, or a list of text and variables")
        })?;
        sub_parts(template)
            .into_iter()
            .map(|part| match part {
                SubPart::Text(text) => Ok(text.to_owned()),
                SubPart::Variable(name) => match (
                    variables.and_then(|own| own.get(name)),
                    name.split_once('.'),
                ) {
                    (Some(value), _) => self.text(value, path),
                    (None, Some((resource, attribute))) => self
                        .target(resource, path)?
                        .attribute(resource, attribute, path),
                    (None, None) => scalar_text(&self.reference(name, path)?).ok_or_else(|| {
                        TemplateError::invalid(path, format!("${{{name}}} is a list, not text"))
                    }),
                },
            })
            .collect()
    }

    fn join(&self, argument: &Value, path: &str) -> Result<String, TemplateError> {
        let [separator, parts] = arguments(argument, "Fn::Join", path)?;
        let parts = self.list(parts, "Fn::Join", path)?;
        let parts: Option<Vec<String>> = parts.iter().map(scalar_text).collect();
        let parts = parts.ok_or_else(|| TemplateError::invalid(path, "Fn::Join takes texts"))?;
        Ok(parts.join(text(separator, "Fn::Join", path)?))
    }

    fn select(&self, argument: &Value, path: &str) -> Result<Value, TemplateError> {
        let [index, items] = arguments(argument, "Fn::Select", path)?;
        let index = self.text(index, path)?;
        let items = self.list(items, "Fn::Select", path)?;
        let selected = index
            .parse::<usize>()
            .ok()
            .and_then(|index| items.get(index));
        selected.cloned().ok_or_else(|| {
            TemplateError::invalid(
                path,
                format!(
                    "Fn::Select asks for item {index} of a list of {}",
                    items.len()
                ),
            )
        })
    }

    fn find_in_map(&self, argument: &Value, path: &str) -> Result<Value, TemplateError> {
        let [map, top, second] = arguments(argument, "Fn::FindInMap", path)?;
        let (map, top, second) = (
            self.text(map, path)?,
            self.text(top, path)?,
            self.text(second, path)?,
        );
        let found = self
            .mappings
            .get(&map)
            .and_then(|keys| keys.get(&top))
            .and_then(|keys| keys.get(&second));
        found.cloned().ok_or_else(|| {
            TemplateError::reference(
                path,
                &format!("{map}.{top}.{second}"),
                "which is not in Mappings",
            )
        })
    }

    fn choose<'a>(&self, argument: &'a Value, path: &str) -> Result<&'a Value, TemplateError> {
        let [condition, then, otherwise] = arguments(argument, "Fn::If", path)?;
        let name = text(condition, "Fn::If", path)?;
        match self.conditions.get(name) {
            Some(true) => Ok(then),
            Some(false) => Ok(otherwise),
            None => Err(TemplateError::reference(
                path,
                name,
                "which is not in Conditions",
            )),
        }
    }

    fn list(&self, value: &Value, name: &str, path: &str) -> Result<Vec<Value>, TemplateError> {
        match self.resolve(value, path)? {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(TemplateError::invalid(path, format!("{name} takes a list"))),
        }
    }

    /// The resource of a type that has an attribute with this value.
    pub(super) fn owner(&self, of_kind: &str, attribute: &str, value: &str) -> Option<&str> {
        let owns = |target: &Target| match target {
            Target::Live {
                kind, attributes, ..
            } => kind == of_kind && attributes.get(attribute).is_some_and(|own| own == value),
            Target::Skipped(_) | Target::Absent(_) => false,
        };
        self.targets
            .iter()
            .find(|(_, target)| owns(target))
            .map(|(id, _)| id.as_str())
    }

    /// A value that must come out as text.
    pub(super) fn text(&self, value: &Value, path: &str) -> Result<String, TemplateError> {
        let resolved = self.resolve(value, path)?;
        resolved
            .as_ref()
            .and_then(scalar_text)
            .ok_or_else(|| TemplateError::invalid(path, "must be text"))
    }
}

/// The resource and attribute that a `Fn::GetAtt` names.
pub(super) fn get_att(argument: &Value) -> Option<(&str, &str)> {
    match argument {
        Value::String(text) => text.split_once('.'),
        Value::Array(parts) => match parts.as_slice() {
            [resource, attribute] => Some((resource.as_str()?, attribute.as_str()?)),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a `Fn::Sub` and its own variables.
pub(super) fn sub_arguments(argument: &Value) -> Option<(&str, Option<&Value>)> {
    match argument {
        Value::String(text) => Some((text, None)),
        Value::Array(parts) => match parts.as_slice() {
            [text, variables @ Value::Object(_)] => Some((text.as_str()?, Some(variables))),
            _ => None,
        },
        _ => None,
    }
}

/// A piece of a `Fn::Sub` text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SubPart<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Splits `a${B}c` into its pieces; `${!B}` is the text `${B}`.
pub(super) fn sub_parts(template: &str) -> Vec<SubPart<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, following)) = after.split_once('}') else {
            break;
        };
        parts.push(SubPart::Text(before));
        match name.strip_prefix('!') {
            Some(literal) => parts.extend([
                SubPart::Text("${"),
                SubPart::Text(literal),
                SubPart::Text("}"),
            ]),
            None => parts.push(SubPart::Variable(name.trim())),
        }
        rest = following;
    }
    parts.push(SubPart::Text(rest));
    parts
}

pub(super) fn arguments<'a, const N: usize>(
    argument: &'a Value,
    name: &str,
    path: &str,
) -> Result<&'a [Value; N], TemplateError> {
    let items = argument
        .as_array()
        .and_then(|items| <&[Value; N]>::try_from(items.as_slice()).ok());
    items.ok_or_else(|| TemplateError::invalid(path, format!("{name} takes a list of {N}")))
}

fn text<'a>(value: &'a Value, name: &str, path: &str) -> Result<&'a str, TemplateError> {
    value
        .as_str()
        .ok_or_else(|| TemplateError::invalid(path, format!("{name} takes plain text here")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope {
            parameters: [
                ("Path".into(), json!("/mandrill")),
                ("Names".into(), json!(["a", "b"])),
            ]
            .into(),
            pseudo: [("AWS::Region", "eu-west-1".into())].into(),
            mappings: json!({"Sizes": {"eu-west-1": {"memory": 512}}}),
            conditions: [("Wide".into(), true), ("Narrow".into(), false)].into(),
            targets: [(
                "Table".into(),
                Target::live(
                    "AWS::DynamoDB::Table",
                    "local-Table-X".into(),
                    [("Arn", "arn:table".into())],
                ),
            )]
            .into(),
        }
    }

    fn resolved(value: Value) -> Value {
        scope().resolve(&value, "Here").unwrap().unwrap()
    }

    fn refusal(value: Value) -> String {
        scope().resolve(&value, "Here").unwrap_err().to_string()
    }

    #[test]
    fn references_give_parameters_pseudo_parameters_names_and_attributes() {
        assert_eq!(resolved(json!({"Ref": "Path"})), json!("/mandrill"));
        assert_eq!(resolved(json!({"Ref": "Names"})), json!(["a", "b"]));
        assert_eq!(resolved(json!({"Ref": "AWS::Region"})), json!("eu-west-1"));
        assert_eq!(
            resolved(json!([{"Ref": "Table"}])),
            json!(["local-Table-X"])
        );
        assert_eq!(
            resolved(json!({"Fn::GetAtt": ["Table", "Arn"]})),
            json!("arn:table")
        );
        assert_eq!(
            resolved(json!({"Fn::GetAtt": "Table.Arn"})),
            json!("arn:table")
        );
    }

    #[test]
    fn sub_knows_references_attributes_own_variables_and_literals() {
        assert_eq!(
            resolved(json!({"Fn::Sub": "${Table}|${Table.Arn}|${ AWS::Region }|${!Path}|${open"})),
            json!("local-Table-X|arn:table|eu-west-1|${Path}|${open")
        );
        assert_eq!(
            resolved(json!({"Fn::Sub": ["${A}${Path}", {"A": {"Ref": "Path"}}]})),
            json!("/mandrill/mandrill")
        );
    }

    #[test]
    fn lists_are_joined_split_and_selected_from() {
        assert_eq!(
            resolved(json!({"Fn::Join": ["-", {"Ref": "Names"}]})),
            json!("a-b")
        );
        assert_eq!(
            resolved(json!({"Fn::Split": ["/", {"Ref": "Path"}]})),
            json!(["", "mandrill"])
        );
        assert_eq!(
            resolved(json!({"Fn::Select": [1, {"Ref": "Names"}]})),
            json!("b")
        );
        assert_eq!(
            refusal(json!({"Fn::Select": [2, {"Ref": "Names"}]})),
            "Here: Fn::Select asks for item 2 of a list of 2"
        );
    }

    #[test]
    fn a_condition_chooses_and_no_value_removes_the_property() {
        let value = json!({
            "A": {"Fn::If": ["Wide", 1, 2]},
            "B": {"Fn::If": ["Narrow", 1, {"Ref": "AWS::NoValue"}]},
            "C": [1, {"Ref": "AWS::NoValue"}],
        });
        assert_eq!(resolved(value), json!({"A": 1, "C": [1]}));
        assert_eq!(
            refusal(json!({"Fn::If": ["Absent", 1, 2]})),
            "Here: refers to Absent, which is not in Conditions"
        );
    }

    #[test]
    fn the_branch_not_taken_is_not_looked_at() {
        assert_eq!(
            resolved(json!({"Fn::If": ["Wide", "yes", {"Fn::ImportValue": "x"}]})),
            json!("yes")
        );
    }

    #[test]
    fn maps_are_searched() {
        assert_eq!(
            resolved(json!({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "memory"]})),
            json!(512)
        );
        assert!(
            refusal(json!({"Fn::FindInMap": ["Sizes", "mars", "memory"]}))
                .contains("Sizes.mars.memory")
        );
    }

    #[test]
    fn what_cannot_be_resolved_names_both_ends() {
        assert!(
            refusal(json!({"a": {"Ref": "Tabel"}}))
                .starts_with("Here.a: refers to Tabel, which is no parameter")
        );
        assert_eq!(
            refusal(json!({"Fn::GetAtt": ["Table", "Url"]})),
            "Here: refers to Table.Url, an attribute it does not have; it has Arn"
        );
        assert_eq!(
            refusal(json!({"Fn::ImportValue": "x"})),
            "Here: Fn::ImportValue is not understood by the local stack"
        );
    }

    #[test]
    fn a_policys_condition_map_is_no_function() {
        let value = json!({"Condition": {"StringEquals": {"a": "b"}}});
        assert_eq!(resolved(value.clone()), value);
    }
}
