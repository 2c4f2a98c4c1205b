//! `AWS::Serverless::HttpApi`, the routes to it, and `AWS::Serverless::WebSocketApi`.

use std::collections::BTreeMap;
use std::fmt;

use super::source::Source;
use crate::template::error::TemplateError;
use crate::template::properties::Properties;

/// The HTTP API. It has the stage `$default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpApi {
    /// Its key in the template.
    pub logical_id: String,
    /// What `Ref` gives.
    pub api_id: String,
}

/// A route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// What it takes.
    pub key: RouteKey,
    /// The function that answers.
    pub function: String,
}

/// What a route of an HTTP API takes; as text, the `routeKey` of its invocation payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteKey {
    /// Whatever no other route takes.
    Default,
    /// A method and path.
    Path {
        /// `None` is `ANY`.
        method: Option<String>,
        /// With `{name}` for a segment, and at its end perhaps `{name+}` for all that follow.
        path: String,
    },
}

impl fmt::Display for RouteKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("$default"),
            Self::Path { method, path } => {
                write!(formatter, "{} {path}", method.as_deref().unwrap_or("ANY"))
            }
        }
    }
}

/// The WebSocket API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketApi {
    /// Its key in the template.
    pub logical_id: String,
    /// What `Ref` gives.
    pub api_id: String,
    /// The first segment of its path.
    pub stage: String,
    /// The field of a message that chooses its route, such as `$request.body.action`.
    pub route_selection: String,
    /// Route keys to functions' logical ids; `$connect`, `$disconnect` and `$default` among them.
    pub routes: BTreeMap<String, String>,
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl HttpApi {
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "AccessLogSettings",
            "DefaultRouteSettings",
            "Description",
            "DisableExecuteApiEndpoint",
            "Domain",
            "FailOnWarnings",
            "Name",
            "PropagateTags",
            "RouteSettings",
            "Tags",
        ]);
        // Any other stage would stand in front of the paths.
        properties.word("StageName", &["$default"])?;
        properties.finish()?;
        Ok(Self {
            logical_id: source.id.to_owned(),
            api_id: source.reference()?,
        })
    }
}

impl HttpRoute {
    pub(super) fn read(
        source: &Source<'_>,
        mut properties: Properties<'_>,
    ) -> Result<Self, TemplateError> {
        properties.ignore(&["RouteSettings", "TimeoutInMillis"]);
        properties.word("PayloadFormatVersion", &["2.0"])?;
        let api_id = properties.text("ApiId")?;
        let Some(api_id) = api_id else {
            return Err(properties.invalid(
                "ApiId",
                "is missing, and without it SAM makes another API for this route",
            ));
        };
        if source
            .scope
            .owner("AWS::Serverless::HttpApi", "ApiId", &api_id)
            .is_none()
        {
            return Err(
                properties.invalid("ApiId", format!("{api_id} is no HTTP API of this template"))
            );
        }
        let key = match (
            properties.literal_text("Method")?,
            properties.literal_text("Path")?,
        ) {
            (None, None) => RouteKey::Default,
            (Some(method), Some(path)) => {
                check_path(&path).map_err(|problem| properties.invalid("Path", problem))?;
                RouteKey::Path {
                    method: method_of(&method)
                        .map_err(|problem| properties.invalid("Method", problem))?,
                    path,
                }
            }
            _ => {
                return Err(properties.invalid(
                    "Path",
                    "and Method need each other; a route with neither is $default",
                ));
            }
        };
        properties.finish()?;
        Ok(Self {
            key,
            function: source.id.to_owned(),
        })
    }
}

fn method_of(text: &str) -> Result<Option<String>, String> {
    let method = text.to_ascii_uppercase();
    match method.as_str() {
        "ANY" | "X-AMAZON-APIGATEWAY-ANY-METHOD" => Ok(None),
        known if METHODS.contains(&known) => Ok(Some(method)),
        _ => Err(format!("{text} is no method of an HTTP API")),
    }
}

/// API Gateway refuses the same paths, but only when they are deployed.
fn check_path(path: &str) -> Result<(), String> {
    let Some(inner) = path.strip_prefix('/') else {
        return Err(format!("{path} must start with a slash"));
    };
    if inner.ends_with('/') {
        return Err(format!(
            "{path} ends with a slash, which API Gateway refuses in a route"
        ));
    }
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        let variable = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let is_last = segments.peek().is_none();
        let good = match variable {
            Some(name) => {
                let bare = if is_last {
                    name.strip_suffix('+').unwrap_or(name)
                } else {
                    name
                };
                !bare.is_empty() && !bare.contains(['{', '}', '+'])
            }
            None => !segment.contains(['{', '}']),
        };
        if !good {
            return Err(format!(
                "{segment} in {path} must be text, {{name}}, or {{name+}} at the end"
            ));
        }
    }
    Ok(())
}

impl WebSocketApi {
    pub(in crate::template) fn read(source: &Source<'_>) -> Result<Self, TemplateError> {
        let mut properties = source.properties()?;
        properties.ignore(&[
            "AccessLogSettings",
            "DefaultRouteSettings",
            "Description",
            "DisableExecuteApiEndpoint",
            "DisableSchemaValidation",
            "Domain",
            "IpAddressType",
            "Name",
            "PropagateTags",
            "RouteSettings",
            "Tags",
        ]);
        let routes = properties.map("Routes")?;
        let mut given = properties.required("Routes", routes)?;
        let mut routes = BTreeMap::new();
        for key in given.names() {
            if let Some(route) = given.map(&key)? {
                routes.insert(key, function_of(source, route)?);
            }
        }
        let api = Self {
            logical_id: source.id.to_owned(),
            api_id: source.reference()?,
            // SAM's own default.
            stage: properties
                .text("StageName")?
                .unwrap_or_else(|| "default".to_owned()),
            route_selection: properties.required_text("RouteSelectionExpression")?,
            routes,
        };
        properties.finish()?;
        Ok(api)
    }
}

fn function_of(source: &Source<'_>, mut route: Properties<'_>) -> Result<String, TemplateError> {
    route.ignore(&["IntegrationTimeout", "OperationName"]);
    let arn = route.required_text("FunctionArn")?;
    let owner = source
        .scope
        .owner("AWS::Serverless::Function", "Arn", &arn)
        .map(str::to_owned);
    let function = owner.ok_or_else(|| {
        route.invalid(
            "FunctionArn",
            format!("{arn} is no function of this template"),
        )
    })?;
    route.finish()?;
    Ok(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_hold_names_and_end_with_a_greedy_one() {
        for path in [
            "/",
            "/v1/events",
            "/v1/events/{id}",
            "/v1/events/{id}/deliveries",
            "/{proxy+}",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in [
            "v1",
            "/v1/",
            "/{proxy+}/x",
            "/a{b}",
            "/{}",
            "/{+}",
            "/{a{b}}",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn methods_are_known_words_in_any_case() {
        assert_eq!(method_of("get"), Ok(Some("GET".to_owned())));
        assert_eq!(method_of("Any"), Ok(None));
        assert!(method_of("FETCH").is_err());
    }
}
