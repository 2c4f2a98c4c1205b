//! Checks that every reference names something, also in what is skipped on a desk.

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::intrinsics::{SubPart, function, get_att, sub_arguments, sub_parts};
use super::yaml::below;

/// Refuses a `Ref`, `Fn::GetAtt`, `Fn::Sub` or `DependsOn` of something that is not declared.
pub(super) fn check(document: &Value, resources: &Map<String, Value>) -> Result<(), TemplateError> {
    let parameters = document["Parameters"].as_object();
    let is_declared = |name: &str| {
        name.starts_with("AWS::")
            || resources.contains_key(name)
            || parameters.is_some_and(|parameters| parameters.contains_key(name))
            || is_made_by_sam(name, resources)
    };
    for section in ["Globals", "Resources", "Outputs"] {
        walk(&document[section], section, &mut |name, path| {
            if is_declared(name) {
                Ok(())
            } else {
                Err(TemplateError::reference(
                    path,
                    name,
                    "which the template does not have",
                ))
            }
        })?;
    }
    for (id, resource) in resources {
        let path = below(&below("Resources", id), "DependsOn");
        let names = match &resource["DependsOn"] {
            Value::Array(names) => names.as_slice(),
            Value::Null => &[],
            name => std::slice::from_ref(name),
        };
        for name in names.iter().map(|name| name.as_str().unwrap_or_default()) {
            if !resources.contains_key(name) {
                return Err(TemplateError::reference(
                    &path,
                    name,
                    "which the template does not have",
                ));
            }
        }
    }
    Ok(())
}

/// The names that a value refers to.
pub(super) fn names(value: &Value) -> impl Iterator<Item = &str> {
    let mut names = Vec::new();
    // This visitor never fails.
    let _ = walk(value, "", &mut |name, _| {
        names.push(name);
        Ok(())
    });
    names.into_iter()
}

/// SAM gives a function a role, event source mappings and a URL, and each API a stage.
fn is_made_by_sam(name: &str, resources: &Map<String, Value>) -> bool {
    let is_mapping = resources.iter().any(|(id, resource)| {
        let event = name
            .strip_prefix(id.as_str())
            .and_then(|event| resource["Properties"]["Events"].get(event));
        event.is_some_and(|event| event["Type"] == "DynamoDB")
    });
    if is_mapping {
        return true;
    }
    let has_url = |id: &str| {
        let properties = resources.get(id).map(|resource| &resource["Properties"]);
        properties.is_some_and(|properties| properties.get("FunctionUrlConfig").is_some())
    };
    if name.strip_suffix("Url").is_some_and(has_url) {
        return true;
    }
    let made = [
        ("AWS::Serverless::Function", "Role"),
        ("AWS::Serverless::HttpApi", "ApiGatewayDefaultStage"),
        ("AWS::Serverless::WebSocketApi", "Stage"),
    ];
    made.iter().any(|(kind, end)| {
        let maker = name.strip_suffix(end);
        // A WebSocket API's stage has the stage's name in the middle: `WebSocketApiliveStage`.
        resources.iter().any(|(id, resource)| {
            resource["Type"] == **kind
                && maker.is_some_and(|maker| {
                    maker == id || (*end == "Stage" && maker.starts_with(id.as_str()))
                })
        })
    })
}

/// Calls `visit` with each name that is referred to and the place where it is.
fn walk<'a>(
    value: &'a Value,
    path: &str,
    visit: &mut impl FnMut(&'a str, &str) -> Result<(), TemplateError>,
) -> Result<(), TemplateError> {
    match function(value) {
        Some(("Ref", Value::String(name))) => return visit(name, path),
        Some(("Fn::GetAtt", argument)) => {
            return get_att(argument).map_or(Ok(()), |(resource, _)| visit(resource, path));
        }
        Some(("Fn::Sub", argument)) => return walk_sub(argument, path, visit),
        _ => {}
    }
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| walk(item, &below(path, index), visit)),
        Value::Object(entries) => entries
            .iter()
            .try_for_each(|(key, entry)| walk(entry, &below(path, key), visit)),
        _ => Ok(()),
    }
}

fn walk_sub<'a>(
    argument: &'a Value,
    path: &str,
    visit: &mut impl FnMut(&'a str, &str) -> Result<(), TemplateError>,
) -> Result<(), TemplateError> {
    // A malformed argument is refused where it is resolved.
    let Some((template, own)) = sub_arguments(argument) else {
        return Ok(());
    };
    for part in sub_parts(template) {
        if let SubPart::Variable(variable) = part
            && own.is_none_or(|own| own.get(variable).is_none())
        {
            visit(variable.split('.').next().unwrap_or(variable), path)?;
        }
    }
    own.map_or(Ok(()), |own| walk(own, path, visit))
}
