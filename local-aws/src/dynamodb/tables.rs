//! Tables as the template wants them, and no silent difference to those of an older template.

use std::collections::{BTreeMap, BTreeSet};

use dynoxide::storage::TableMetadata;
use serde_json::{Value, json};

use super::engine::{Engine, internal};
use super::operation::{DynamoError, Operation};
use crate::worker::Stopped;

/// Why a table of the template is not there.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The data directory is of another template. Adding what is missing would not index the items that exist.
    #[error(
        "the table {table} in this data directory has {what} than the template; \
         start with another --data-dir, or delete this one"
    )]
    Different {
        /// Name of the table.
        table: String,
        /// The part that differs, as in "another key".
        what: &'static str,
    },
    /// The template asks for what DynamoDB refuses.
    #[error("the table was refused")]
    Refused(#[from] DynamoError),
    /// The stack is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Engine {
    pub(super) fn create(
        &mut self,
        mut request: Value,
        ttl: Option<&str>,
    ) -> Result<(), CreateError> {
        // CloudFormation has no StreamEnabled.
        if let Some(stream) = request
            .get_mut("StreamSpecification")
            .and_then(Value::as_object_mut)
        {
            stream.entry("StreamEnabled").or_insert(Value::Bool(true));
        }
        let table = request["TableName"].as_str().unwrap_or_default().to_owned();
        let existing = self.database.get_table_metadata(&table).map_err(internal)?;
        match &existing {
            None => {
                self.call(Operation::CreateTable, request.to_string().as_bytes())?;
            }
            Some(existing) => {
                compare(&request, existing)?;
                // Both images are stored whatever is asked for, so another view needs no other table.
                if let Some(view_type) = request["StreamSpecification"]["StreamViewType"].as_str() {
                    self.keep_view_type(&table, view_type).map_err(internal)?;
                }
            }
        }
        let current = existing
            .filter(|table| table.ttl_enabled)
            .and_then(|table| table.ttl_attribute);
        if current.as_deref() != ttl {
            // As in AWS, one attribute has to be given up before another is taken.
            if let Some(current) = &current {
                self.set_ttl(&table, current, false)?;
            }
            if let Some(ttl) = ttl {
                self.set_ttl(&table, ttl, true)?;
            }
        }
        Ok(())
    }

    fn set_ttl(&mut self, table: &str, attribute: &str, enabled: bool) -> Result<(), DynamoError> {
        let request = json!({
            "TableName": table,
            "TimeToLiveSpecification": { "AttributeName": attribute, "Enabled": enabled },
        });
        self.call(Operation::UpdateTimeToLive, request.to_string().as_bytes())?;
        Ok(())
    }
}

fn compare(request: &Value, existing: &TableMetadata) -> Result<(), CreateError> {
    let stored = |text: Option<&str>| {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or(Value::Null)
    };
    let key_schema = stored(Some(&existing.key_schema));
    let definitions = stored(Some(&existing.attribute_definitions));
    let global = stored(existing.gsi_definitions.as_deref());
    let local = stored(existing.lsi_definitions.as_deref());
    let differs = |what| {
        let table = existing.table_name.clone();
        Err(CreateError::Different { table, what })
    };
    if key_of(&request["KeySchema"]) != key_of(&key_schema) {
        return differs("another key");
    }
    if types(&request["AttributeDefinitions"]) != types(&definitions) {
        return differs("other key attributes");
    }
    if indexes(&request["GlobalSecondaryIndexes"]) != indexes(&global)
        || indexes(&request["LocalSecondaryIndexes"]) != indexes(&local)
    {
        return differs("other indexes");
    }
    let wants_stream = request["StreamSpecification"]["StreamEnabled"] == true;
    if wants_stream != existing.stream_enabled {
        return differs("another stream setting");
    }
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn key_of(schema: &Value) -> BTreeSet<(&str, &str)> {
    list(schema)
        .map(|element| (text(element, "KeyType"), text(element, "AttributeName")))
        .collect()
}

fn types(definitions: &Value) -> BTreeSet<(&str, &str)> {
    list(definitions)
        .map(|definition| {
            (
                text(definition, "AttributeName"),
                text(definition, "AttributeType"),
            )
        })
        .collect()
}

type IndexShape<'a> = (BTreeSet<(&'a str, &'a str)>, &'a str, BTreeSet<&'a str>);

fn indexes(definitions: &Value) -> BTreeMap<&str, IndexShape<'_>> {
    list(definitions)
        .map(|index| {
            let projection = &index["Projection"];
            let projected = list(&projection["NonKeyAttributes"])
                .filter_map(Value::as_str)
                .collect();
            let shape = (
                key_of(&index["KeySchema"]),
                text(projection, "ProjectionType"),
                projected,
            );
            (text(index, "IndexName"), shape)
        })
        .collect()
}
