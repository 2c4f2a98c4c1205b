//! Each function may call what it calls, and nothing else.

use std::collections::BTreeSet;

use local_aws::template::{Effect, Function, Settings, Template};
use platform::{Permission, Resource};

/// An action on a resource's ARN.
type Right = (String, String);

pub(crate) fn template() -> Template {
    Template::parse(posthorn::TEMPLATE, &everything()).unwrap()
}

/// With every function that the template has.
pub(crate) fn everything() -> Settings {
    Settings {
        parameters: [("Tail".to_owned(), "on".to_owned())].into(),
        ..Settings::default()
    }
}

fn permissions(binary: &str) -> Vec<Permission> {
    match binary {
        "webhook" => webhook::permissions(),
        "api" => api::permissions(),
        "connect" => connect::permissions(),
        "disconnect" => disconnect::permissions(),
        "message" => message::permissions(),
        "push" => push::permissions(),
        "dispatch" => dispatch::permissions(),
        "deliver" => deliver::permissions(),
        "requeue" => requeue::permissions(),
        "tail" => tail::permissions(),
        unknown => panic!("the test does not know the function {unknown}"),
    }
}

fn arn(template: &Template, resource: Resource) -> String {
    let table = |id: &str| template.table(id).unwrap().arn.clone();
    let bucket = |id: &str| {
        let mut buckets = template.buckets.iter();
        let bucket = buckets.find(|bucket| bucket.logical_id == id);
        bucket.unwrap().arn.clone()
    };
    let queue = |id: &str| {
        let mut queues = template.queues.iter();
        let queue = queues.find(|queue| queue.logical_id == id);
        queue.unwrap().arn.clone()
    };
    match resource {
        Resource::EventsTable => table("EventsTable"),
        Resource::EventsFeedIndex => format!("{}/index/feed", table("EventsTable")),
        Resource::ConnectionsTable => table("ConnectionsTable"),
        Resource::EndpointsTable => table("EndpointsTable"),
        Resource::DeliveriesTable => table("DeliveriesTable"),
        Resource::DeliveriesIndex => format!("{}/index/by_endpoint", table("DeliveriesTable")),
        Resource::DeliveriesQueue => queue("DeliveriesQueue"),
        Resource::OversizedObjects => format!("{}/oversized/*", bucket("OversizedBucket")),
        Resource::OversizedBucket => bucket("OversizedBucket"),
        Resource::Secret => template.secrets[0].arn.clone(),
        Resource::Connections { method } => {
            let api = template.websocket.as_ref().unwrap();
            let (id, stage) = (&api.api_id, &api.stage);
            let account = local_aws::account::ACCOUNT_ID;
            format!("arn:aws:execute-api:us-east-1:{account}:{id}/{stage}/{method}/@connections/*")
        }
    }
}

/// What the code says.
fn needed(template: &Template, function: &Function) -> BTreeSet<Right> {
    permissions(&function.binary)
        .into_iter()
        .flat_map(|permission| {
            let arn = arn(template, permission.resource);
            permission
                .actions
                .iter()
                .map(move |action| ((*action).to_owned(), arn.clone()))
        })
        .collect()
}

/// What the template says.
fn granted(function: &Function) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for statement in &function.policies {
        assert_eq!(statement.effect, Effect::Allow, "{}", function.logical_id);
        assert!(statement.conditions.is_empty(), "{}", function.logical_id);
        for action in &statement.actions {
            for resource in &statement.resources {
                rights.insert((action.clone(), resource.clone()));
            }
        }
    }
    rights
}

/// Where the template and the code differ.
pub(crate) fn differences(template: &Template) -> Vec<String> {
    let of_function = |function: &Function| {
        let (needed, granted) = (needed(template, function), granted(function));
        let (missing, left_over) = (&needed - &granted, &granted - &needed);
        (!missing.is_empty() || !left_over.is_empty()).then(|| {
            format!(
                "{} calls without a right: {missing:?}, has rights without a call: {left_over:?}",
                function.logical_id
            )
        })
    };
    template.functions.iter().filter_map(of_function).collect()
}

#[test]
fn the_template_grants_each_function_what_it_calls_and_nothing_else() {
    let template = template();
    assert_eq!(template.secrets.len(), 1, "which secret is meant?");
    assert_eq!(differences(&template), [""; 0]);
}

#[test]
fn a_right_that_is_missing_or_left_over_is_found() {
    let template = template();
    let function = template.function("DisconnectFunction").unwrap();
    let mut without = function.clone();
    without.policies.clear();
    assert_ne!(needed(&template, &without), granted(&without));
    let mut more = function.clone();
    more.policies[0].actions.push("dynamodb:Scan".to_owned());
    assert_ne!(needed(&template, &more), granted(&more));
}
