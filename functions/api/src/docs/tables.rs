//! The tables of `docs/API.md` and `docs/API-REFERENCE.md`, rendered from the OpenAPI document.
//!
//! `UPDATE_DOCS=1 cargo test -p api tables` writes them.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value};

use super::written;

/// A route whose errors are those of every route with a token.
const PLAIN: &str = "/v1/event-types";
/// Schemas that every error has, explained in the text.
const ERRORS: [&str; 3] = ["Error", "ErrorInner", "GatewayMessage"];

struct Document(Value);

struct Route<'d> {
    name: String,
    operation: &'d Value,
}

impl Document {
    fn new() -> Document {
        // Any address: the tables don't show it.
        let document = written(Some("https://stream.example"));
        Document(serde_json::from_str(&document).unwrap())
    }

    fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        object(&self.0["paths"]).iter().flat_map(|(path, item)| {
            let operations = object(item).iter();
            let operations = operations.filter(|(_, operation)| operation["responses"].is_object());
            operations.map(move |(method, operation)| Route {
                name: format!("`{} {path}`", method.to_uppercase()),
                operation,
            })
        })
    }

    /// What the schema with this name says, if `schema` is a reference.
    fn referenced<'d>(&'d self, schema: &'d Value) -> Option<(&'d str, &'d Value)> {
        let name = schema["$ref"].as_str()?.rsplit('/').next()?;
        Some((name, &self.0["components"]["schemas"][name]))
    }

    /// A schema in words; objects with fields by a link to their table.
    fn kind(&self, schema: &Value) -> String {
        if let Some((name, target)) = self.referenced(schema) {
            return match has_fields(target) {
                true => link(&format!("`{name}`")),
                false => self.kind(target),
            };
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let mut choices: Vec<_> = choices.iter().map(|choice| self.kind(choice)).collect();
            choices.sort_by_key(|choice| choice == "null");
            return choices.join(" or ");
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<_> = values
                .iter()
                .map(|value| format!("`{}`", text(value)))
                .collect();
            return values.join(", ");
        }
        let mut types = match &schema["type"] {
            Value::Array(types) => types.iter().map(text).collect(),
            Value::String(kind) => vec![kind.as_str()],
            _ => return "any JSON".to_owned(),
        };
        types.sort_by_key(|kind| *kind == "null");
        let types: Vec<_> = types.iter().map(|kind| self.plain(kind, schema)).collect();
        types.join(" or ")
    }

    /// A type without null.
    fn plain(&self, kind: &str, schema: &Value) -> String {
        match kind {
            "string" if schema["format"] == "date-time" => "time".to_owned(),
            "string" => format!("string{}", bounds(schema, "Length", " characters")),
            "integer" => format!("integer{}", bounds(schema, "imum", "")),
            "array" => {
                let items = self.kind(&schema["items"]);
                format!("array{} of {items}", bounds(schema, "Items", " items"))
            }
            "object" if schema["additionalProperties"].is_object() => {
                format!("object of {}", self.kind(&schema["additionalProperties"]))
            }
            other => other.to_owned(),
        }
    }

    fn overview(&self) -> String {
        let mut table = "| route | scope | |\n|---|---|---|\n".to_owned();
        for route in self.routes() {
            let scope = match scope(route.operation) {
                Some(scope) => format!("`{scope}`"),
                None => "none".to_owned(),
            };
            let target = format!("API-REFERENCE.md#{}", anchor(&route.name));
            let summary = text(&route.operation["summary"]);
            row(
                &mut table,
                &[&format!("[{}]({target})", route.name), &scope, summary],
            );
        }
        table
    }

    fn common(&self) -> &Map<String, Value> {
        object(&self.0["paths"][PLAIN]["get"]["responses"])
    }

    fn reference(&self) -> String {
        let mut page = "## Every route with a token\n\n".to_owned();
        let errors = self.common().iter();
        let errors = errors.filter(|(status, _)| !is_success(status));
        self.answers(&mut page, errors);
        page.push_str("\n## Routes\n");
        for route in self.routes() {
            self.route(&mut page, &route);
        }
        page.push_str("\n## Objects\n");
        for (name, schema) in object(&self.0["components"]["schemas"]) {
            if has_fields(schema) && !ERRORS.contains(&name.as_str()) {
                self.object(&mut page, name, schema);
            }
        }
        page
    }

    fn route(&self, page: &mut String, route: &Route<'_>) {
        let operation = route.operation;
        let _ = write!(
            page,
            "\n### {}\n\n{}\n",
            route.name,
            text(&operation["summary"])
        );
        if let Some(scope) = scope(operation) {
            let _ = writeln!(page, "Scope `{scope}`.");
        }
        if let Some(description) = operation["description"].as_str() {
            let _ = write!(page, "\n{}\n", sentences(description));
        }
        let parameters = operation["parameters"].as_array();
        if let Some(parameters) = parameters {
            page.push_str("\n| parameter | in | type | |\n|---|---|---|---|\n");
            for parameter in parameters {
                let name = format!("`{}`", text(&parameter["name"]));
                // Absent and null are the same in a query.
                let kind = self.kind(&parameter["schema"]).replace(" or null", "");
                let place = text(&parameter["in"]);
                row(
                    page,
                    &[&name, place, &kind, text(&parameter["description"])],
                );
            }
        }
        for content in content(&operation["requestBody"]) {
            let kind = self.kind(&content["schema"]).replace(" or null", "");
            let is_required = operation["requestBody"]["required"] == true;
            let optional = if is_required { "" } else { " (optional)" };
            let _ = write!(page, "\nBody{optional}: {kind}.\n");
        }
        page.push('\n');
        let common = self.common();
        let responses = object(&operation["responses"]).iter();
        let is_own =
            |status: &str, answer| is_success(status) || common.get(status) != Some(answer);
        let own = responses.filter(|(status, answer)| is_own(status, answer));
        self.answers(page, own);
    }

    fn answers<'v>(
        &self,
        page: &mut String,
        answers: impl Iterator<Item = (&'v String, &'v Value)>,
    ) {
        page.push_str("| status | |\n|---|---|\n");
        for (status, answer) in answers {
            let mut meaning = sentences(text(&answer["description"])).replace('\n', " ");
            let body = content(answer).map(|content| self.kind(&content["schema"]));
            for body in body.filter(|_| is_success(status)) {
                let _ = write!(meaning, ": {body}");
            }
            row(page, &[status, &meaning]);
        }
    }

    fn object(&self, page: &mut String, name: &str, schema: &Value) {
        let _ = write!(
            page,
            "\n### `{name}`\n\n{}\n",
            sentences(text(&schema["description"]))
        );
        let mut parts = vec![schema];
        if let Some(all) = schema["allOf"].as_array() {
            parts = all.iter().collect();
        }
        for part in parts {
            if self.referenced(part).is_some() {
                let _ = write!(page, "\nThe fields of {}, and:\n", self.kind(part));
                continue;
            }
            page.push_str("\n| field | type | |\n|---|---|---|\n");
            for (field, property) in object(&part["properties"]) {
                let is_required = part["required"].as_array().is_some_and(|it| {
                    it.iter()
                        .any(|required| required.as_str() == Some(field.as_str()))
                });
                let optional = if is_required { "" } else { "optional " };
                let kind = format!("{optional}{}", self.kind(property));
                row(page, &[&format!("`{field}`"), &kind, description(property)]);
            }
        }
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn has_fields(schema: &Value) -> bool {
    schema["properties"].is_object() || schema["allOf"].is_array()
}

fn is_success(status: &str) -> bool {
    status.starts_with('2')
}

fn scope(operation: &Value) -> Option<&str> {
    operation["security"][0]["token"][0].as_str()
}

/// The description of a field; utoipa moves that of an optional reference to the reference.
fn description(property: &Value) -> &str {
    let choices = property["oneOf"].as_array().into_iter().flatten();
    let mut described = choices.chain([property]).map(|it| text(&it["description"]));
    described.find(|text| !text.is_empty()).unwrap_or_default()
}

fn content(value: &Value) -> impl Iterator<Item = &Value> {
    value["content"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
}

/// ` (1 to 1,000 characters)`, from the limits that the schema has.
fn bounds(schema: &Value, what: &str, unit: &str) -> String {
    let bound = |end: &str| schema[format!("{end}{what}")].as_u64();
    match (bound("min"), bound("max")) {
        (Some(least), Some(most)) => format!(" ({least} to {}{unit})", grouped(most)),
        (None, Some(most)) => format!(" (up to {}{unit})", grouped(most)),
        _ => String::new(),
    }
}

/// A number below a million with a comma after its thousands.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}

/// The anchor of a heading on GitHub.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let anchor = heading.to_lowercase().replace(' ', "-");
    anchor.chars().filter(kept).collect()
}

fn link(heading: &str) -> String {
    format!("[{heading}](#{})", anchor(heading))
}

/// A text of a doc comment, with one sentence on a line.
fn sentences(text: &str) -> String {
    let joined = text.replace("\n\n", "\u{0}").replace('\n', " ");
    joined.replace('\u{0}', "\n\n").replace(". ", ".\n")
}

fn row(table: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('\n', " ")).collect();
    let _ = writeln!(table, "| {} |", cells.join(" | "));
}

/// The page with this table between its markers.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let (start, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->\n");
    let (before, rest) = page.split_once(&start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    format!("{before}{start}\n{table}\n{end}{after}")
}

#[test]
fn the_tables_in_the_docs_are_those_of_the_openapi_document() {
    let document = Document::new();
    for (file, name, table) in [
        ("API.md", "routes", document.overview()),
        ("API-REFERENCE.md", "reference", document.reference()),
    ] {
        let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        let page = fs::read_to_string(&path).unwrap();
        let current = with_table(&page, name, &table);
        if platform::config::process("UPDATE_DOCS").is_some() {
            fs::write(path, current).unwrap();
        } else {
            let hint = "run `UPDATE_DOCS=1 cargo test -p api tables` and review the difference";
            assert!(page == current, "docs/{file} is out of date: {hint}");
        }
    }
}
