//! What a function may do: the statements under `Policies`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::error::TemplateError;
use crate::template::parameters::scalar_text;
use crate::template::properties::Properties;

/// One statement of a function's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whether it allows or denies.
    pub effect: Effect,
    /// IAM actions such as `dynamodb:Query`, perhaps with `*`.
    pub actions: Vec<String>,
    /// ARNs, perhaps with `*`.
    pub resources: Vec<String>,
    /// All of these must hold.
    pub conditions: Vec<PolicyCondition>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The call is allowed unless a statement denies it.
    Allow,
    /// The call is refused.
    Deny,
}

/// A test of one condition key, such as `ForAllValues:StringLike` of `dynamodb:LeadingKeys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCondition {
    /// How the key is compared.
    pub operator: String,
    /// The condition key.
    pub key: String,
    /// The key must compare with one of these.
    pub values: Vec<String>,
}

/// All statements of a function. Only written-out statements are taken: SAM's policy templates
/// and managed policies grant more than a function uses, and nobody sees what.
pub(super) fn statements(properties: &mut Properties<'_>) -> Result<Vec<Statement>, TemplateError> {
    let mut statements = Vec::new();
    for mut document in properties.maps("Policies")? {
        document.ignore(&["Version"]);
        for statement in document.maps("Statement")? {
            statements.push(read(statement)?);
        }
        document.finish()?;
    }
    Ok(statements)
}

fn read(mut properties: Properties<'_>) -> Result<Statement, TemplateError> {
    properties.ignore(&["Sid"]);
    let effect = properties.word("Effect", &["Allow", "Deny"])?;
    let actions = properties.texts("Action")?;
    let resources = properties.texts("Resource")?;
    let conditions = conditions(&mut properties)?;
    let statement = Statement {
        effect: if properties.required("Effect", effect)? == "Deny" {
            Effect::Deny
        } else {
            Effect::Allow
        },
        actions: properties.required("Action", actions)?,
        resources: properties.required("Resource", resources)?,
        conditions,
    };
    properties.finish()?;
    Ok(statement)
}

fn conditions(properties: &mut Properties<'_>) -> Result<Vec<PolicyCondition>, TemplateError> {
    let Some(value) = properties.value("Condition")? else {
        return Ok(Vec::new());
    };
    let operators: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_value(value)
        .map_err(|_| {
            properties.invalid(
                "Condition",
                "must be a map of operators, each a map of condition keys",
            )
        })?;
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        for (key, value) in keys {
            let values = match &value {
                Value::Array(items) => items.iter().map(scalar_text).collect(),
                single => scalar_text(single).map(|text| vec![text]),
            };
            let values = values.ok_or_else(|| {
                properties.invalid(
                    "Condition",
                    format!("{operator}.{key} must be text or a list of texts"),
                )
            })?;
            conditions.push(PolicyCondition {
                operator: operator.clone(),
                key,
                values,
            });
        }
    }
    Ok(conditions)
}
