//! `AWS::S3::Bucket`.

use super::Source;
use crate::template::error::TemplateError;

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its key in the template.
    pub logical_id: String,
    /// Its physical name, which `Ref` gives.
    pub name: String,
    /// Its ARN.
    pub arn: String,
}

impl Bucket {
    pub(super) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "BucketEncryption",
            "BucketName",
            "LifecycleConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
        ]);
        properties.finish()?;
        Ok(Self {
            logical_id: source.id.to_owned(),
            name: source.reference()?,
            arn: source.attribute("Arn")?,
        })
    }
}
