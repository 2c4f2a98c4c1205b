//! The template that is deployed.

/// Its text.
pub const TEMPLATE: &str = include_str!("../../infra/template.yaml");

#[cfg(test)]
mod tests;
