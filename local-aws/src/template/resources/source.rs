//! What a resource is read from.

use serde_json::{Value, json};

use crate::template::error::TemplateError;
use crate::template::intrinsics::Scope;
use crate::template::properties::Properties;
use crate::template::yaml::below;

/// One resource of the template, before it is read.
#[derive(Debug)]
pub(in crate::template) struct Source<'a> {
    pub(in crate::template) id: &'a str,
    pub(in crate::template) kind: &'a str,
    /// Its physical name, where its type has one.
    pub(in crate::template) name: String,
    pub(in crate::template) properties: &'a Value,
    pub(in crate::template) metadata: &'a Value,
    pub(in crate::template) scope: &'a Scope,
}

impl<'a> Source<'a> {
    pub(in crate::template) fn path(&self) -> String {
        format!("Resources.{}", self.id)
    }

    pub(super) fn properties(&self) -> Result<Properties<'a>, TemplateError> {
        Properties::new(
            self.properties,
            &below(&self.path(), "Properties"),
            self.scope,
        )
    }

    /// What `Ref` gives for this resource.
    pub(super) fn reference(&self) -> Result<String, TemplateError> {
        self.scope.text(&json!({ "Ref": self.id }), &self.path())
    }

    /// What `Fn::GetAtt` gives for this resource.
    pub(super) fn attribute(&self, name: &str) -> Result<String, TemplateError> {
        self.scope
            .text(&json!({ "Fn::GetAtt": [self.id, name] }), &self.path())
    }

    pub(in crate::template) fn second(&self, first: &str) -> TemplateError {
        TemplateError::invalid(
            &self.path(),
            format!(
                "is a second {} beside {first}; the local stack has one",
                self.kind
            ),
        )
    }
}
