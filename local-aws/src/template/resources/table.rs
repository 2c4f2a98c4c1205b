//! `AWS::DynamoDB::Table`.

use serde_json::{Value, json};

use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::properties::Properties;

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its key in the template.
    pub logical_id: String,
    /// Its physical name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The ARN of its stream, if it has one.
    pub stream_arn: Option<String>,
    /// What the stream's records hold, if the table has a stream.
    pub stream_view_type: Option<String>,
    /// The hash key first.
    pub key_schema: Vec<KeyElement>,
    /// The types of the attributes that are keys of the table or of an index.
    pub attributes: Vec<AttributeDefinition>,
    /// Its global secondary indexes.
    pub indexes: Vec<Index>,
    /// The attribute after whose time an item is deleted.
    pub ttl_attribute: Option<String>,
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyElement {
    /// The attribute's name.
    pub attribute: String,
    /// `HASH` or `RANGE`.
    pub kind: String,
}

/// The type of a key attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeDefinition {
    /// The attribute's name.
    pub name: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// The hash key first.
    pub key_schema: Vec<KeyElement>,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// The attributes besides keys, when the projection is `INCLUDE`.
    pub included: Vec<String>,
}

impl Table {
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "ContributorInsightsSpecification",
            "DeletionProtectionEnabled",
            "OnDemandThroughput",
            "PointInTimeRecoverySpecification",
            "SSESpecification",
            "TableClass",
            "TableName",
            "Tags",
            "WarmThroughput",
        ]);
        // Provisioned tables throttle, which the local stack would have to do as well.
        let billing = properties.word("BillingMode", &["PAY_PER_REQUEST"])?;
        properties.required("BillingMode", billing)?;
        let attributes = properties.maps("AttributeDefinitions")?;
        let indexes = properties.maps("GlobalSecondaryIndexes")?;
        let stream_view_type = stream_view_type(&mut properties)?;
        let table = Self {
            logical_id: source.id.to_owned(),
            name: source.reference()?,
            arn: source.attribute("Arn")?,
            stream_arn: stream_view_type
                .is_some()
                .then(|| source.attribute("StreamArn"))
                .transpose()?,
            stream_view_type,
            key_schema: key_schema(&mut properties)?,
            attributes: attributes
                .into_iter()
                .map(attribute)
                .collect::<Result<_, _>>()?,
            indexes: indexes.into_iter().map(index).collect::<Result<_, _>>()?,
            ttl_attribute: ttl_attribute(&mut properties)?,
        };
        table.check_attributes(&properties)?;
        properties.finish()?;
        Ok(table)
    }

    /// DynamoDB wants exactly the attributes that are keys to be defined.
    fn check_attributes(&self, properties: &Properties<'_>) -> Result<(), TemplateError> {
        let schemas = std::iter::once(&self.key_schema)
            .chain(self.indexes.iter().map(|index| &index.key_schema));
        let keys: Vec<&str> = schemas
            .flatten()
            .map(|element| element.attribute.as_str())
            .collect();
        if let Some(key) = keys.iter().find(|key| {
            !self
                .attributes
                .iter()
                .any(|attribute| attribute.name == **key)
        }) {
            return Err(properties.invalid(
                "AttributeDefinitions",
                format!("the key {key} is not defined"),
            ));
        }
        if let Some(unused) = self
            .attributes
            .iter()
            .find(|attribute| !keys.contains(&attribute.name.as_str()))
        {
            return Err(properties.invalid(
                "AttributeDefinitions",
                format!("{} is defined but no key", unused.name),
            ));
        }
        Ok(())
    }

    /// The JSON of DynamoDB's `CreateTable`. Time to live is a call of its own (`UpdateTimeToLive`).
    #[must_use]
    pub fn create_table_request(&self) -> Value {
        let attributes: Vec<Value> = self
            .attributes
            .iter()
            .map(|attribute| json!({"AttributeName": attribute.name, "AttributeType": attribute.kind}))
            .collect();
        let mut request = json!({
            "TableName": self.name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": schema_json(&self.key_schema),
            "AttributeDefinitions": attributes,
        });
        if !self.indexes.is_empty() {
            request["GlobalSecondaryIndexes"] = self.indexes.iter().map(Index::json).collect();
        }
        if let Some(view_type) = &self.stream_view_type {
            request["StreamSpecification"] =
                json!({"StreamEnabled": true, "StreamViewType": view_type});
        }
        request
    }
}

impl Index {
    fn json(&self) -> Value {
        let mut projection = json!({"ProjectionType": self.projection});
        if !self.included.is_empty() {
            projection["NonKeyAttributes"] = json!(self.included);
        }
        json!({"IndexName": self.name, "KeySchema": schema_json(&self.key_schema), "Projection": projection})
    }
}

fn schema_json(schema: &[KeyElement]) -> Value {
    schema
        .iter()
        .map(|element| json!({"AttributeName": element.attribute, "KeyType": element.kind}))
        .collect()
}

fn key_schema(properties: &mut Properties<'_>) -> Result<Vec<KeyElement>, TemplateError> {
    let schema = properties
        .maps("KeySchema")?
        .into_iter()
        .map(|mut element| {
            let kind = element.word("KeyType", &["HASH", "RANGE"])?;
            let key = KeyElement {
                attribute: element.required_text("AttributeName")?,
                kind: element.required("KeyType", kind)?,
            };
            element.finish()?;
            Ok(key)
        })
        .collect::<Result<Vec<_>, TemplateError>>()?;
    match schema
        .iter()
        .map(|element| element.kind.as_str())
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["HASH"] | ["HASH", "RANGE"] => Ok(schema),
        _ => Err(properties.invalid(
            "KeySchema",
            "must have a HASH key, and after it at most a RANGE key",
        )),
    }
}

fn attribute(mut properties: Properties<'_>) -> Result<AttributeDefinition, TemplateError> {
    let kind = properties.word("AttributeType", &["S", "N", "B"])?;
    let definition = AttributeDefinition {
        name: properties.required_text("AttributeName")?,
        kind: properties.required("AttributeType", kind)?,
    };
    properties.finish()?;
    Ok(definition)
}

fn index(mut properties: Properties<'_>) -> Result<Index, TemplateError> {
    properties.ignore(&[
        "ContributorInsightsSpecification",
        "OnDemandThroughput",
        "WarmThroughput",
    ]);
    let projection = properties.map("Projection")?;
    let mut projection = properties.required("Projection", projection)?;
    let kind = projection.word("ProjectionType", &["ALL", "KEYS_ONLY", "INCLUDE"])?;
    let index = Index {
        name: properties.required_text("IndexName")?,
        key_schema: key_schema(&mut properties)?,
        projection: projection.required("ProjectionType", kind)?,
        included: projection.texts("NonKeyAttributes")?.unwrap_or_default(),
    };
    projection.finish()?;
    properties.finish()?;
    Ok(index)
}

fn stream_view_type(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut stream) = properties.map("StreamSpecification")? else {
        return Ok(None);
    };
    let view_type = stream.word(
        "StreamViewType",
        &["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"],
    )?;
    let view_type = stream.required("StreamViewType", view_type)?;
    stream.finish()?;
    Ok(Some(view_type))
}

fn ttl_attribute(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut ttl) = properties.map("TimeToLiveSpecification")? else {
        return Ok(None);
    };
    let enabled = ttl.flag("Enabled")?;
    let enabled = ttl.required("Enabled", enabled)?;
    let attribute = ttl.text("AttributeName")?;
    if enabled && attribute.is_none() {
        return Err(ttl.invalid("AttributeName", "is missing"));
    }
    ttl.finish()?;
    Ok(attribute.filter(|_| enabled))
}
