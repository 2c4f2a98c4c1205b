//! Plants the mistakes that are made most often in such a template, where they can be seen only by
//! what the functions do, or where the local stack sees them as well. The others are planted in
//! `infra/test_check.py`.

use local_aws::template::Template;
use posthorn::TEMPLATE;

use crate::{policies, template};

/// The template with one thing wrong in a resource.
fn planted(resource: &str, right: &str, wrong: &str) -> String {
    let start = TEMPLATE.find(&format!("\n  {resource}:\n")).unwrap();
    let (before, after) = TEMPLATE.split_at(start);
    let broken = after.replacen(right, wrong, 1);
    assert_ne!(
        broken, after,
        "{resource} no longer has what this test breaks"
    );
    before.to_owned() + &broken
}

fn read(text: &str) -> Template {
    Template::parse(text, &policies::everything()).unwrap()
}

fn refusal(text: &str) -> String {
    Template::parse(text, &policies::everything())
        .unwrap_err()
        .to_string()
}

fn rights(text: &str) -> String {
    policies::differences(&read(text)).join("\n")
}

fn variables(text: &str) -> String {
    template::differences(&read(text)).join("\n")
}

#[test]
fn a_missing_right_is_seen() {
    let found = rights(&planted(
        "PushFunction",
        "Action: [dynamodb:Query, dynamodb:UpdateItem, dynamodb:DeleteItem]",
        "Action: [dynamodb:Query, dynamodb:UpdateItem]",
    ));
    assert!(
        found.contains("PushFunction calls without a right: {(\"dynamodb:DeleteItem\""),
        "{found}"
    );
}

#[test]
fn a_right_that_is_left_over_is_seen() {
    let found = rights(&planted(
        "DisconnectFunction",
        "Action: dynamodb:DeleteItem",
        "Action: [dynamodb:DeleteItem, dynamodb:Scan]",
    ));
    assert!(
        found.contains("has rights without a call: {(\"dynamodb:Scan\""),
        "{found}"
    );
}

#[test]
fn an_index_that_no_policy_covers_is_seen() {
    for function in ["ApiFunction", "MessageFunction", "TailFunction"] {
        let found = rights(&planted(
            function,
            "Resource: !Sub ${EventsTable.Arn}/index/feed",
            "Resource: !GetAtt EventsTable.Arn",
        ));
        let missing = format!("{function} calls without a right: {{(\"dynamodb:Query\"");
        assert!(
            found.contains(&missing) && found.contains("/index/feed"),
            "{found}"
        );
    }
}

#[test]
fn a_wrong_name_of_a_variable_is_seen() {
    let found = variables(&planted(
        "MessageFunction",
        "EVENTS_TABLE: !Ref",
        "EVENT_TABLE: !Ref",
    ));
    assert!(
        found.contains("MessageFunction: the variable EVENTS_TABLE is not set"),
        "{found}"
    );
}

#[test]
fn a_variable_that_nobody_reads_is_seen() {
    let found = variables(&planted(
        "DisconnectFunction",
        "Variables:\n",
        "Variables:\n          EVENTS_TABLE: !Ref EventsTable\n",
    ));
    assert!(
        found.contains("DisconnectFunction: reads") && found.contains("\"EVENTS_TABLE\""),
        "{found}"
    );
}

#[test]
fn a_filter_without_lists_is_refused_as_lambda_would() {
    let error = refusal(&planted("PushFunction", "[\"INSERT\"]", "\"INSERT\""));
    assert!(error.contains("eventName: must be a list"), "{error}");
}

#[test]
fn a_reference_to_nothing_is_refused() {
    let error = refusal(&planted(
        "PushFunction",
        "!GetAtt EventsTable.StreamArn",
        "!GetAtt EventsTable.Stream",
    ));
    assert!(error.contains("an attribute it does not have"), "{error}");
    let error = refusal(&planted(
        "WebhookFunction",
        "!GetAtt EventsTable.Arn",
        "!GetAtt EventTable.Arn",
    ));
    assert!(error.contains("EventTable"), "{error}");
}
