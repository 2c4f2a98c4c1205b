//! A reader of one map of properties that refuses whatever was not asked for.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::TemplateError;
use super::intrinsics::{Scope, function};
use super::parameters::scalar_text;
use super::yaml::below;

/// The properties that have not been read yet. Each is resolved when it is read, so that what is
/// ignored may refer to things that do not exist on a desk.
#[derive(Debug)]
pub(super) struct Properties<'a> {
    path: String,
    rest: Map<String, Value>,
    scope: &'a Scope,
}

impl<'a> Properties<'a> {
    pub(super) fn new(value: &Value, path: &str, scope: &'a Scope) -> Result<Self, TemplateError> {
        let rest = match scope.resolve_top(value, path)? {
            Some(Value::Object(rest)) => rest,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(TemplateError::invalid(path, "must be a map")),
        };
        Ok(Self {
            path: path.to_owned(),
            rest,
            scope,
        })
    }

    /// Where a property stands, for errors.
    pub(super) fn path(&self, name: impl Display) -> String {
        below(&self.path, name)
    }

    pub(super) fn invalid(&self, name: &str, problem: impl Into<String>) -> TemplateError {
        TemplateError::invalid(&self.path(name), problem)
    }

    /// Leaves out properties that change nothing on a desk.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        self.rest.retain(|name, _| !names.contains(&name.as_str()));
    }

    /// Refuses every property that was neither read nor ignored.
    pub(super) fn finish(self) -> Result<(), TemplateError> {
        match self.rest.keys().next() {
            Some(name) => Err(TemplateError::unsupported(&self.path(name), name)),
            None => Ok(()),
        }
    }

    /// The names that have not been read.
    pub(super) fn names(&self) -> Vec<String> {
        self.rest.keys().cloned().collect()
    }

    pub(super) fn value(&mut self, name: &str) -> Result<Option<Value>, TemplateError> {
        match self.rest.remove(name) {
            Some(value) => self.scope.resolve(&value, &self.path(name)),
            None => Ok(None),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, TemplateError> {
        self.scalar(name, "text", scalar_text)
    }

    /// Text that SAM reads before CloudFormation resolves anything, so that it refuses a function there.
    pub(super) fn literal_text(&mut self, name: &str) -> Result<Option<String>, TemplateError> {
        match self.rest.get(name).and_then(function) {
            Some((function, _)) => Err(self.invalid(
                name,
                format!("must be plain text: SAM does not take {function} here"),
            )),
            None => self.text(name),
        }
    }

    /// A number within a range. CloudFormation takes numbers as text too, as parameters are text.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<T>, TemplateError> {
        let kind = format!("a number from {} to {}", range.start(), range.end());
        self.scalar(name, &kind, |value| {
            let number: i64 = scalar_text(value)?.parse().ok()?;
            range
                .contains(&number)
                .then(|| T::try_from(number).ok())
                .flatten()
        })
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, TemplateError> {
        self.scalar(name, "true or false", |value| {
            scalar_text(value)?.parse().ok()
        })
    }

    /// A list of texts; CloudFormation takes a single text for a list of one.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, TemplateError> {
        self.scalar(name, "text or a list of texts", |value| match value {
            Value::Array(items) => items.iter().map(scalar_text).collect(),
            single => scalar_text(single).map(|text| vec![text]),
        })
    }

    /// One of a few words.
    pub(super) fn word(
        &mut self,
        name: &str,
        allowed: &[&str],
    ) -> Result<Option<String>, TemplateError> {
        let text = self.text(name)?;
        match &text {
            Some(word) if !allowed.contains(&word.as_str()) => Err(self.invalid(
                name,
                format!("{word} is not supported here: use {}", allowed.join(" or ")),
            )),
            _ => Ok(text),
        }
    }

    /// A map inside; `None` when it is not there.
    pub(super) fn map(&mut self, name: &str) -> Result<Option<Properties<'a>>, TemplateError> {
        match self.rest.remove(name) {
            Some(value) => Properties::new(&value, &self.path(name), self.scope).map(Some),
            None => Ok(None),
        }
    }

    /// A list of maps; empty when it is not there.
    pub(super) fn maps(&mut self, name: &str) -> Result<Vec<Properties<'a>>, TemplateError> {
        let path = self.path(name);
        let value = match self.rest.remove(name) {
            Some(value) => self.scope.resolve_top(&value, &path)?,
            None => None,
        };
        let items = match value {
            Some(Value::Array(items)) => items,
            Some(single @ Value::Object(_)) => vec![single],
            None => Vec::new(),
            Some(_) => return Err(TemplateError::invalid(&path, "must be a list of maps")),
        };
        let mut maps = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let item_path = below(&path, index);
            if let Some(item) = self.scope.resolve_top(item, &item_path)? {
                maps.push(Properties::new(&item, &item_path, self.scope)?);
            }
        }
        Ok(maps)
    }

    /// What a property gave, or an error that it is missing.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, TemplateError> {
        value.ok_or_else(|| TemplateError::invalid(&self.path, format!("{name} is missing")))
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<String, TemplateError> {
        let text = self.text(name)?;
        self.required(name, text)
    }

    fn scalar<T>(
        &mut self,
        name: &str,
        kind: &str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, TemplateError> {
        match self.value(name)? {
            Some(value) => match convert(&value) {
                Some(converted) => Ok(Some(converted)),
                None => Err(self.invalid(name, format!("must be {kind}, not {value}"))),
            },
            None => Ok(None),
        }
    }
}
