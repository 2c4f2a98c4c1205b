//! Who may call what: each function's policy in the template, as IAM evaluates it.
//!
//! A call is allowed when a statement allows it and none denies it. ("Policy evaluation logic".)

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::account::ACCOUNT_ID;
use crate::template::{Effect, Function, Statement, Template};

/// Somebody who calls: a function, or Lambda on its behalf, under the function's role.
#[derive(Debug)]
pub struct Caller {
    /// The function's logical id.
    pub name: String,
    arn: String,
    statements: Vec<Statement>,
    /// The actions that were refused so far.
    refused: Mutex<BTreeSet<String>>,
    needed: Mutex<BTreeSet<(usize, String)>>,
}

/// What Lambda needs beside what a function calls: AWS's managed policies, which SAM adds to the role
/// that it makes (and leaves out of one that a template brings). `AWSLambdaBasicExecutionRole` for
/// every function, `AWSLambdaDynamoDBExecutionRole` for one that reads a stream,
/// `AWSXrayWriteOnlyAccess` for one that is traced.
const LOGS: &[&str] = &[
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
];
const STREAM: &[&str] = &[
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
];
/// `AWSLambdaSQSQueueExecutionRole`, for one that reads a queue.
const QUEUE: &[&str] = &[
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
];
const TRACING: &[&str] = &["xray:PutTelemetryRecords", "xray:PutTraceSegments"];

/// A call that is not allowed, in AWS's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("User: {caller} is not authorized to perform: {action} on resource: {resource} {reason}")]
pub struct Denied {
    caller: String,
    action: String,
    resource: String,
    reason: String,
}

impl Denied {
    /// In S3's words, which are the same with the resource in quotes.
    #[must_use]
    pub fn by_s3(&self) -> String {
        let resource = format!("\"{}\"", self.resource);
        Denied {
            resource,
            caller: self.caller.clone(),
            action: self.action.clone(),
            reason: self.reason.clone(),
        }
        .to_string()
    }
}

impl Caller {
    /// A function, with the rights that its policy in the template gives it, and those that SAM adds.
    #[must_use]
    pub fn function(template: &Template, function: &Function) -> Caller {
        let statements = function.policies.iter().cloned();
        Caller::new(
            &template.stack_name,
            &function.logical_id,
            &function.name,
            statements.chain(added_by_sam(template, function)).collect(),
        )
    }

    /// A developer who runs functions from outside, with the rights of all of them.
    #[must_use]
    pub fn developer(template: &Template) -> Caller {
        let policies = template
            .functions
            .iter()
            .flat_map(|function| function.policies.clone());
        Caller::new(
            &template.stack_name,
            "Developer",
            "developer",
            policies.collect(),
        )
    }

    fn new(stack: &str, role: &str, session: &str, statements: Vec<Statement>) -> Caller {
        let arn = format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{stack}-{role}Role/{session}");
        Caller {
            name: role.to_owned(),
            arn,
            statements,
            refused: Mutex::default(),
            needed: Mutex::default(),
        }
    }

    /// `SenderId` of what it sends: its role's id and its session.
    #[must_use]
    pub fn id(&self) -> String {
        let role = self.name.to_ascii_uppercase();
        format!(
            "AROA{role}:{}",
            self.arn.rsplit('/').next().unwrap_or_default()
        )
    }

    /// Whether an action on a resource is allowed. A refusal is also told on the terminal, once for
    /// each action: it is a mistake in the template or in the function, and not every function says
    /// so.
    ///
    /// # Errors
    /// When it is not.
    pub fn authorize(&self, action: &str, resource: &str) -> Result<(), Denied> {
        self.evaluate(action, resource).inspect_err(|denied| {
            if self.refused().insert(action.to_owned()) {
                tracing::warn!("{denied}");
            }
        })
    }

    /// The actions that were refused so far.
    pub fn refused(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The statements, by their index, without which a call so far would have been refused, each with
    /// the action in lower case.
    pub fn needed(&self) -> MutexGuard<'_, BTreeSet<(usize, String)>> {
        self.needed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evaluate(&self, action: &str, resource: &str) -> Result<(), Denied> {
        let applying = |effect| {
            let statements = self.statements.iter().enumerate();
            statements.filter(move |(_, statement)| {
                statement.effect == effect && covers(statement, action, resource)
            })
        };
        let mut allowing = applying(Effect::Allow);
        let reason = match (applying(Effect::Deny).next(), allowing.next()) {
            (Some(_), _) => "with an explicit deny in an identity-based policy".to_owned(),
            (None, None) => {
                format!("because no identity-based policy allows the {action} action")
            }
            (None, Some((index, _))) => {
                if allowing.next().is_none() {
                    self.needed().insert((index, action.to_ascii_lowercase()));
                }
                return Ok(());
            }
        };
        Err(Denied {
            caller: self.arn.clone(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            reason,
        })
    }
}

/// The statements that SAM adds to a function's role by itself.
#[must_use]
pub fn added_by_sam(template: &Template, function: &Function) -> Vec<Statement> {
    let mut added = vec![allow(LOGS, "*")];
    if function.is_traced {
        added.push(allow(TRACING, "*"));
    }
    let mut reads_queues = template.queue_mappings.iter();
    if reads_queues.any(|mapping| mapping.function == function.logical_id) {
        added.push(allow(QUEUE, "*"));
    }
    let own = template.mappings.iter();
    for mapping in own.filter(|mapping| mapping.function == function.logical_id) {
        added.push(allow(STREAM, "*"));
        match mapping.on_failure_arn.as_deref() {
            Some(arn) if template.queue(arn).is_some() => {
                added.push(allow(&["sqs:SendMessage"], arn));
            }
            // A bucket.
            Some(arn) => {
                added.push(allow(&["s3:PutObject"], &format!("{arn}/*")));
                added.push(allow(&["s3:ListBucket"], arn));
            }
            None => {}
        }
    }
    added
}

fn allow(actions: &[&str], resource: &str) -> Statement {
    Statement {
        effect: Effect::Allow,
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        resources: vec![resource.to_owned()],
        conditions: Vec::new(),
    }
}

/// A statement with conditions never allows: the local stack has no value to compare with, and none
/// of the template's needs one. One that denies does so whatever its conditions are.
fn covers(statement: &Statement, action: &str, resource: &str) -> bool {
    let is_open = statement.conditions.is_empty() || statement.effect == Effect::Deny;
    is_open
        // Actions are compared without regard to case, resources are not.
        && statement.actions.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
        && statement.resources.iter().any(|pattern| matches(pattern, resource))
}

/// `*` stands for anything, `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and what it stands for so far: on a mismatch it takes one more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// What a call of DynamoDB is about.
#[derive(Deserialize)]
struct DynamoDbCall<'b> {
    #[serde(rename = "TableName", borrow)]
    table: Option<Cow<'b, str>>,
    #[serde(rename = "IndexName", borrow)]
    index: Option<Cow<'b, str>>,
    #[serde(rename = "RequestItems", borrow, default)]
    items: BTreeMap<Cow<'b, str>, IgnoredAny>,
    #[serde(rename = "TransactItems", borrow, default)]
    transaction: Vec<BTreeMap<Cow<'b, str>, OfTable<'b>>>,
}

#[derive(Deserialize)]
struct OfTable<'b> {
    #[serde(rename = "TableName", borrow)]
    table: Cow<'b, str>,
}

/// The actions that a call of DynamoDB has to be allowed, each with its resource. A transaction has
/// no action of its own: it needs those of its items, each on the item's table. ("Using IAM with
/// DynamoDB transactions".)
#[must_use]
pub fn dynamodb_actions(region: &str, operation: &str, body: &[u8]) -> Vec<(String, String)> {
    let own = format!("dynamodb:{operation}");
    let table = |name: &str| format!("arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{name}");
    let mut actions = Vec::new();
    if let Ok(call) = serde_json::from_slice::<DynamoDbCall<'_>>(body) {
        let batch = call.items.keys().map(|name| (own.clone(), table(name)));
        actions.extend(batch);
        actions.extend(call.table.map(|name| match call.index {
            Some(index) => (own.clone(), format!("{}/index/{index}", table(&name))),
            None => (own.clone(), table(&name)),
        }));
        let items = call.transaction.iter().flatten();
        actions.extend(items.map(|(kind, item)| (item_action(kind), table(&item.table))));
    }
    // What cannot be read is about nothing, or about everything.
    if actions.is_empty() {
        actions.push((own, "*".to_owned()));
    }
    actions
}

fn item_action(kind: &str) -> String {
    match kind {
        "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
        kind => format!("dynamodb:{kind}Item"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller(statements: &[(Effect, &str, &str)]) -> Caller {
        let statements = statements
            .iter()
            .map(|(effect, action, resource)| Statement {
                effect: *effect,
                actions: vec![(*action).to_owned()],
                resources: vec![(*resource).to_owned()],
                conditions: Vec::new(),
            });
        Caller::new("local", "PushFunction", "push", statements.collect())
    }

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/local-EventsTable-X";

    #[test]
    fn only_what_a_statement_allows_is_allowed() {
        let caller = caller(&[(Effect::Allow, "dynamodb:Query", TABLE)]);
        assert_eq!(caller.authorize("dynamodb:Query", TABLE), Ok(()));
        assert_eq!(caller.authorize("DynamoDB:query", TABLE), Ok(()));
        assert!(caller.authorize("dynamodb:PutItem", TABLE).is_err());
        // A right on the table is none on its indexes.
        let denied = caller
            .authorize("dynamodb:Query", &format!("{TABLE}/index/feed"))
            .unwrap_err();
        assert_eq!(
            denied.to_string(),
            "User: arn:aws:sts::000000000000:assumed-role/local-PushFunctionRole/push is not authorized to perform: \
             dynamodb:Query on resource: arn:aws:dynamodb:us-east-1:000000000000:table/local-EventsTable-X/index/feed \
             because no identity-based policy allows the dynamodb:Query action"
        );
    }

    #[test]
    fn a_deny_wins() {
        let caller = caller(&[
            (Effect::Allow, "dynamodb:*", "*"),
            (Effect::Deny, "dynamodb:Delete*", TABLE),
        ]);
        assert_eq!(caller.authorize("dynamodb:PutItem", TABLE), Ok(()));
        let denied = caller.authorize("dynamodb:DeleteItem", TABLE).unwrap_err();
        assert!(
            denied
                .to_string()
                .ends_with("with an explicit deny in an identity-based policy"),
            "{denied}"
        );
    }

    #[test]
    fn stars_and_question_marks_stand_for_what_iam_says() {
        assert!(
            matches("a*c", "abbbc")
                && matches("*", "")
                && matches("a?c", "abc")
                && matches("*a*b*", "xxaxxbxx")
        );
        assert!(
            !matches("a?c", "ac")
                && !matches("a*c", "abd")
                && !matches("", "a")
                && !matches("a", "A")
        );
    }

    #[test]
    fn a_batch_is_about_all_its_tables_and_a_query_about_its_index() {
        let of = |operation, body: &str| dynamodb_actions("r", operation, body.as_bytes());
        let on = |action: &str, resource: &str| {
            let resource = format!("arn:aws:dynamodb:r:000000000000:table/{resource}");
            (format!("dynamodb:{action}"), resource)
        };
        let batch = r#"{"RequestItems":{"one":[{"PutRequest":{}}],"two":[]}}"#;
        let both = [on("BatchWriteItem", "one"), on("BatchWriteItem", "two")];
        assert_eq!(of("BatchWriteItem", batch), both);
        let query = r#"{"TableName":"one","IndexName":"feed"}"#;
        assert_eq!(of("Query", query), [on("Query", "one/index/feed")]);
        let all = [("dynamodb:Query".to_owned(), "*".to_owned())];
        assert_eq!(of("Query", "nonsense"), all);
    }

    #[test]
    fn a_transaction_needs_the_actions_of_its_items() {
        let items = r#"{"TransactItems":[{"Put":{"TableName":"one","Item":{}}},{"Update":{"TableName":"two"}},
            {"Delete":{"TableName":"one"}},{"ConditionCheck":{"TableName":"three"}}]}"#;
        let actions = dynamodb_actions("r", "TransactWriteItems", items.as_bytes());
        let named: Vec<_> = actions
            .iter()
            .map(|(action, resource)| (action.as_str(), resource.rsplit('/').next().unwrap()))
            .collect();
        assert_eq!(
            named,
            [
                ("dynamodb:PutItem", "one"),
                ("dynamodb:UpdateItem", "two"),
                ("dynamodb:DeleteItem", "one"),
                ("dynamodb:ConditionCheckItem", "three"),
            ]
        );
    }

    proptest! {
        #[test]
        fn a_pattern_without_wildcards_matches_itself_only(text in "[a-z:/]{0,20}", other in "[a-z:/]{0,20}") {
            prop_assert!(matches(&text, &text));
            prop_assert_eq!(matches(&text, &other), text == other);
        }
    }
}
