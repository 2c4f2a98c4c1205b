//! The size of index keys, which dynoxide checks for the table's own key only.

use std::collections::HashMap;

use dynoxide::types::{AttributeValue, Item};
use dynoxide::{Database, DynoxideError};
use serde_json::Value;

const PARTITION_KEY_BYTES: usize = 2048;
const SORT_KEY_BYTES: usize = 1024;

/// The key attributes of each table's indexes with the size allowed.
#[derive(Debug, Default)]
pub(super) struct IndexKeys {
    tables: HashMap<String, Vec<(String, usize)>>,
}

impl IndexKeys {
    /// Refuses an item whose value for an index's key is too long. An update is not checked: what it makes of the
    /// item is known to dynoxide alone.
    pub(super) fn check(
        &mut self,
        database: &Database,
        table: &str,
        item: &Item,
    ) -> Result<(), DynoxideError> {
        let keys = match self.tables.get(table) {
            Some(keys) => keys,
            None => match database.get_table_metadata(table)? {
                Some(metadata) => {
                    let keys = limits(metadata.gsi_definitions.as_deref());
                    self.tables.entry(table.to_owned()).or_insert(keys)
                }
                // Refused by what comes next.
                None => return Ok(()),
            },
        };
        for (attribute, limit) in keys {
            let bytes = match item.get(attribute) {
                Some(AttributeValue::S(text)) => text.len(),
                Some(AttributeValue::B(bytes)) => bytes.len(),
                _ => 0,
            };
            if bytes > *limit {
                return Err(too_long(*limit));
            }
        }
        Ok(())
    }

    /// To be called when tables come or go.
    pub(super) fn forget(&mut self) {
        self.tables.clear();
    }
}

fn limits(definitions: Option<&str>) -> Vec<(String, usize)> {
    let definitions: Value = definitions
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let indexes = definitions.as_array().into_iter().flatten();
    indexes
        .flat_map(|index| index["KeySchema"].as_array().into_iter().flatten())
        .filter_map(|element| {
            let limit = if element["KeyType"] == "HASH" {
                PARTITION_KEY_BYTES
            } else {
                SORT_KEY_BYTES
            };
            Some((element["AttributeName"].as_str()?.to_owned(), limit))
        })
        .collect()
}

fn too_long(limit: usize) -> DynoxideError {
    // The missing space is DynamoDB's.
    let text = if limit == PARTITION_KEY_BYTES {
        "Size of hashkey has exceeded the maximum size limit of2048 bytes"
    } else {
        "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    };
    DynoxideError::ValidationException(format!("One or more parameter values were invalid: {text}"))
}
