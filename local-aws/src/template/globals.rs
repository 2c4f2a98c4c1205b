//! SAM's section `Globals`: properties that every resource of a type gets.

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::intrinsics::function;
use super::yaml::below;

/// The types that may stand in the section, and what SAM takes for them there.
const TYPES: &[(&str, &str)] = &[
    ("Function", "AWS::Serverless::Function"),
    ("HttpApi", "AWS::Serverless::HttpApi"),
    ("WebSocketApi", "AWS::Serverless::WebSocketApi"),
];

/// SAM ignores these without a word when they stand in Globals, or refuses them.
const NEVER_GLOBAL: &[&str] = &["Events", "FunctionName", "Policies", "Role", "StageName"];

/// Refuses what SAM would not take.
pub(super) fn check(globals: &Value) -> Result<(), TemplateError> {
    for (name, properties) in globals.as_object().into_iter().flatten() {
        let path = below("Globals", name);
        if !TYPES.iter().any(|(known, _)| known == name) {
            return Err(TemplateError::unsupported(&path, name));
        }
        let properties = properties
            .as_object()
            .ok_or_else(|| TemplateError::invalid(&path, "must be a map"))?;
        if let Some(unknown) = properties
            .keys()
            .find(|key| NEVER_GLOBAL.contains(&key.as_str()))
        {
            return Err(TemplateError::invalid(
                &below(&path, unknown),
                "cannot be global",
            ));
        }
    }
    Ok(())
}

/// A resource's own properties over the global ones.
pub(super) fn merged(kind: &str, own: &Value, globals: &Value) -> Value {
    let section = TYPES
        .iter()
        .find(|(_, known)| *known == kind)
        .and_then(|(name, _)| globals.get(name));
    match (section, own) {
        (None, Value::Null) => Value::Object(Map::new()),
        (None, own) => own.clone(),
        (Some(global), Value::Null) => global.clone(),
        (Some(global), own) => merge(global, own),
    }
}

/// Maps are joined key by key and lists one after the other; of anything else the own value stays.
fn merge(global: &Value, own: &Value) -> Value {
    match (global, own) {
        (Value::Object(global_map), Value::Object(own_map))
            if function(global).is_none() && function(own).is_none() =>
        {
            let mut merged = global_map.clone();
            for (key, value) in own_map {
                let value = merged
                    .get(key)
                    .map_or_else(|| value.clone(), |global| merge(global, value));
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(global), Value::Array(own)) => global.iter().chain(own).cloned().collect(),
        (_, own) => own.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_are_joined_lists_appended_and_own_values_win() {
        let globals = json!({"Function": {
            "Timeout": 3, "MemorySize": 512, "Tags": ["g"], "Environment": {"Variables": {"A": "1", "B": "1"}},
            "CodeUri": {"Ref": "X"},
        }});
        let own = json!({"Timeout": 25, "Tags": ["o"], "Environment": {"Variables": {"B": "2"}}, "CodeUri": {"Ref": "Y"}});
        assert_eq!(
            merged("AWS::Serverless::Function", &own, &globals),
            json!({"Timeout": 25, "MemorySize": 512, "Tags": ["g", "o"],
                   "Environment": {"Variables": {"A": "1", "B": "2"}}, "CodeUri": {"Ref": "Y"}})
        );
        assert_eq!(merged("AWS::SQS::Queue", &Value::Null, &globals), json!({}));
    }

    #[test]
    fn policies_cannot_be_global() {
        let error = check(&json!({"Function": {"Policies": []}})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Globals.Function.Policies: cannot be global"
        );
        assert!(check(&json!({"StateMachine": {}})).is_err());
    }
}
