//! `AWS::S3::Bucket`.

use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::properties::Properties;

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its key in the template.
    pub logical_id: String,
    /// Its physical name, which `Ref` gives.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Which of its objects expire, and when.
    pub expirations: Vec<Expiration>,
}

/// A lifecycle rule that deletes objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiration {
    /// How the keys of the objects begin that it is about.
    pub prefix: String,
    /// Days since an object was written, after which it goes at the next midnight.
    pub days: u32,
}

impl Bucket {
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "BucketEncryption",
            "BucketName",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
        ]);
        let expirations = match properties.map("LifecycleConfiguration")? {
            Some(lifecycle) => expirations(lifecycle)?,
            None => Vec::new(),
        };
        properties.finish()?;
        Ok(Self {
            logical_id: source.id.to_owned(),
            name: source.reference()?,
            arn: source.attribute("Arn")?,
            expirations,
        })
    }
}

fn expirations(mut lifecycle: Properties<'_>) -> Result<Vec<Expiration>, TemplateError> {
    let mut expirations = Vec::new();
    for mut rule in lifecycle.maps("Rules")? {
        // Nothing uploads in parts on a desk, and no bucket there has versions.
        rule.ignore(&[
            "AbortIncompleteMultipartUpload",
            "Id",
            "NoncurrentVersionExpiration",
        ]);
        let status = rule.word("Status", &["Enabled", "Disabled"])?;
        let is_enabled = rule.required("Status", status)? == "Enabled";
        let prefix = rule.text("Prefix")?.unwrap_or_default();
        let days = rule.number("ExpirationInDays", 1..=i64::from(i32::MAX))?;
        rule.finish()?;
        if let Some(days) = days.filter(|_| is_enabled) {
            expirations.push(Expiration { prefix, days });
        }
    }
    lifecycle.finish()?;
    Ok(expirations)
}
