//! Every right of the template is needed: some call would be refused without it.

use std::collections::BTreeSet;
use std::time::Duration;

use flows::{DEADLINE, Receiver, Reply, TestStack, eventually, sends};
use local_aws::faults::PostFault;
use platform::clock;
use posthorn::TEMPLATE;
use serde_json::{Value, json};

/// Several times as long as everything takes.
const SOON: Duration = Duration::from_secs(8);

/// A statement of a policy, as it stands in the template.
#[derive(Debug, Clone)]
struct Statement {
    function: String,
    lines: Vec<String>,
    /// The number of its first line.
    start: usize,
}

impl Statement {
    fn grants(&self, action: &str) -> bool {
        self.lines.iter().any(|line| line.contains(action))
    }

    /// The template with a right that nobody uses in its place.
    fn removed(&self) -> String {
        let mut lines: Vec<&str> = TEMPLATE.lines().collect();
        let indent = " ".repeat(indent(lines[self.start]));
        let harmless = format!(
            "{indent}- {{ Effect: Allow, Action: \"dynamodb:DescribeLimits\", Resource: \"*\" }}"
        );
        lines.splice(
            self.start..self.start + self.lines.len(),
            [harmless.as_str()],
        );
        lines.join("\n")
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The statements of all functions.
fn statements() -> Vec<Statement> {
    let lines: Vec<&str> = TEMPLATE.lines().collect();
    let mut function = "";
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        if indent(line) == 2 && line.ends_with(':') {
            function = line.trim().trim_end_matches(':');
        }
        if !line.trim_start().starts_with("- Effect:") || !function.ends_with("Function") {
            continue;
        }
        let rest = lines[start + 1..].iter();
        let inner = rest.take_while(|next| indent(next) > indent(line)).count();
        let lines = lines[start..=start + inner].iter();
        found.push(Statement {
            function: function.to_owned(),
            lines: lines.map(|line| (*line).to_owned()).collect(),
            start,
        });
    }
    found
}

/// Uses every right of every function, and ends when all of it worked.
async fn use_everything(stack: &TestStack) {
    let (mut socket, other, slow) = (
        stack.connect().await,
        stack.connect().await,
        stack.connect().await,
    );
    assert_eq!(socket.ask(json!({ "action": "ping" })).await.kind(), "pong");
    let subscribe = json!({ "action": "subscribe", "filter": "type:send" });
    assert_eq!(socket.ask(subscribe).await.kind(), "subscribed");
    // One message that arrives, one that fails, and one to a connection that is gone.
    let gone = "gone=";
    crate::push::leave_row(stack, gone, 61_000).await;
    stack
        .faults()
        .set_post(slow.id(), Some(PostFault::Throttle));
    stack.mandrill().deliver(sends(0..1)).await;
    socket.hear_events(1).await;
    crate::gaps::wait_until_marked(stack, slow.id()).await;
    wait_until_forgotten(stack, gone).await;

    use_the_api(stack).await;
    use_endpoints(stack).await;
    use_deliveries(stack).await;

    // An event that has to be kept in S3, and is read from there.
    let large = crate::oversized::inbound(600_000);
    stack.mandrill().deliver(flows::batch([large])).await;
    let stored = stack.history().await;
    let is_large = |event: &&Value| event["truncated"] == true && event["type"] == "inbound";
    let oversized = stored.iter().find(is_large).unwrap();
    assert!(crate::oversized::by_id(stack, oversized).await.len() > 600_000);
    for object in stack.objects("OversizedBucket").await.unwrap() {
        let deleted = stack.delete_object("OversizedBucket", &object.key);
        deleted.await.unwrap();
    }
    assert!(crate::oversized::by_id(stack, oversized).await.len() < 2_000);
    socket.resume_last(10).await;
    // From a cursor of an event that may have been pushed late, and so over plain HTTP.
    let from = crate::tail::long_ago(stack);
    socket.resume(&from).await;
    let reader = crate::tail::Reader::of(stack);
    let page = reader.page(&format!("wait=0&after={from}")).await;
    assert!(!page["events"].as_array().unwrap().is_empty());
    let left = other.id().to_owned();
    other.close().await;
    wait_until_forgotten(stack, &left).await;
    crate::tokens::push_closes_who_has_no_rights_any_more(stack).await;
    // A connection that has no row is closed when it speaks.
    forget(stack, socket.id()).await;
    socket.say(json!({ "action": "ping" })).await;
    socket.closed().await;
}

/// What delivering does: an attempt that fails and one that succeeds, an event about an endpoint,
/// events that are in S3 or should be, a record that is parked, a delivery that is due.
async fn use_deliveries(stack: &TestStack) {
    let receiver = Receiver::start().await;
    receiver.script("/a", [Reply::status(500), Reply::status(200)]);
    receiver.reply("/failing", Reply::status(500));
    receiver.script("/due", [Reply::status(500), Reply::status(200)]);
    let endpoint = async |at: &str, filter: &str, schedule: &[u32]| {
        let url = receiver.url(at);
        let body = json!({ "url": url, "filter": filter, "retry_schedule": schedule });
        crate::endpoints::created(stack, &body).await
    };
    let all = endpoint("/a", "type:a", &[1]).await;
    let failing = endpoint("/failing", "type:a", &[]).await;
    let due = endpoint("/due", "type:due", &[600]).await;
    let event = crate::deliver::publish(stack, "a", "1").await;
    crate::deliver::settled(stack, &event, &all, "delivered").await;
    eventually(DEADLINE, async || {
        let page = stack.page("filter=type:delivery.exhausted").await;
        let is_told = !page["events"].as_array().unwrap().is_empty();
        is_told.then_some(()).ok_or("nothing is told".to_owned())
    })
    .await;
    let path = crate::endpoints::path(&failing, "");
    eventually(DEADLINE, async || {
        let health = crate::endpoints::get(stack, &path).await["health"].take();
        let is_noted = health["state"] == "failing";
        is_noted.then_some(()).ok_or(health.to_string())
    })
    .await;

    let large = json!(flows::noise(700_000)).to_string();
    let whole = crate::deliver::publish(stack, "a", &large).await;
    crate::deliver::settled(stack, &whole, &all, "delivered").await;
    stack.pause_shards(true);
    let gone = crate::deliver::publish(stack, "a", &large).await;
    for object in stack.objects("OversizedBucket").await.unwrap() {
        let deleted = stack.delete_object("OversizedBucket", &object.key);
        deleted.await.unwrap();
    }
    stack.pause_shards(false);
    crate::deliver::settled(stack, &gone, &all, "delivered").await;

    let malformed = crate::fixtures::fixture("dispatch/malformed.json");
    let answer = stack.invoke("DispatchFunction", malformed).await;
    assert_eq!(answer.unwrap(), r#"{"batchItemFailures":[]}"#);
    let rows = stack.items("DeliveriesTable").await;
    assert!(rows.iter().any(|row| row["pk"]["S"] == "parked"));

    let event = crate::deliver::publish(stack, "due", "1").await;
    receiver.wait_for("/due", 1).await;
    make_due(stack, &event).await;
    let deleted = note_deleted_long_ago(stack).await;
    let schedule = crate::fixtures::fixture("requeue/schedule.json");
    let answer = stack.invoke("RequeueFunction", schedule).await;
    assert_eq!(answer.unwrap(), r#"{"requeued":1}"#);
    crate::deliver::settled(stack, &event, &due, "delivered").await;
    let left = stack.items("EndpointsTable").await;
    assert!(left.iter().all(|item| item["sk"]["S"] != deleted));
}

/// Leaves the note that an endpoint was deleted, to which nothing is owed any more.
async fn note_deleted_long_ago(stack: &TestStack) -> String {
    let id = domain::EndpointId::new([9; 16]).to_string();
    let request = json!({
        "TableName": stack.table("EndpointsTable"),
        "Item": { "pk": { "S": "deleted" }, "sk": { "S": &id }, "deleted_at": { "N": "1" } },
    });
    stack.dynamo("PutItem", request).await;
    id
}

/// Lets the only delivery of an event be due since long ago, once its attempt is on record.
async fn make_due(stack: &TestStack, event: &str) {
    let row = eventually(DEADLINE, async || {
        let rows = stack.items("DeliveriesTable").await;
        let mut rows = rows.into_iter();
        let row = rows.find(|row| {
            row["sk"]["S"].as_str().unwrap().starts_with("d#")
                && row["recorded"]["N"] == "1"
                && row["state_at"]["S"].as_str().unwrap().contains(event)
        });
        row.ok_or("its attempt is not on record".to_owned())
    })
    .await;
    let request = json!({
        "TableName": stack.table("DeliveriesTable"),
        "Key": { "pk": row["pk"], "sk": row["sk"] },
        "UpdateExpression": "SET due_at = :at, state_at = :state_at",
        "ExpressionAttributeValues": {
            ":at": { "N": "1" },
            ":state_at": { "S": format!("p#{:013}#{event}", 1) },
        },
    });
    stack.dynamo("UpdateItem", request).await;
}

/// What the HTTP API does besides giving events.
async fn use_the_api(stack: &TestStack) {
    let (http, token) = (stack.http(), stack.urls().token.clone());
    let noise = flows::noise(700_000);
    for event in [
        json!({ "type": "a", "message_id": "m" }),
        json!({ "type": "a", "message_id": "m", "data": noise }),
    ] {
        let body = event.to_string();
        let answer = http.post("/v1/events", &token, &[], body).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    let newest = stack.page("limit=1").await;
    let cursor = newest["events"][0]["cursor"].as_str().unwrap();
    stack.page(&format!("after={cursor}")).await;
    for path in ["/v1/messages/m/events", "/v1/event-types"] {
        let answer = http.get(path, &token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Endpoints, and what is owed to them.
async fn use_endpoints(stack: &TestStack) {
    use crate::endpoints::{ask, created, get, path, post};
    use reqwest::Method;
    let body =
        json!({ "url": "http://localhost:9/", "filter": "type:a", "retry_schedule": [3600] });
    let endpoint = created(stack, &body).await;
    let list = get(stack, "/v1/endpoints").await;
    assert_eq!(list["endpoints"].as_array().unwrap().len(), 1);
    // What was published before.
    let since = json!({ "since": clock::now().minus(3_600_000).to_string() });
    let answer = post(stack, &path(&endpoint, "/replay-missing"), &since).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["count"]),
        (200, &json!(2))
    );
    let event = get(stack, "/v1/messages/m/events").await["events"][0]["id"].clone();
    let deliveries = format!("/v1/events/{}/deliveries", event.as_str().unwrap());
    let delivery = get(stack, &deliveries).await["deliveries"][0]["id"].clone();
    let retry = format!("/v1/deliveries/{}/retry", delivery.as_str().unwrap());
    eventually(DEADLINE, async || {
        let answer = post(stack, &retry, &Value::Null).await;
        (answer.status == 202).then_some(()).ok_or(answer.body)
    })
    .await;
    get(stack, "/v1/deliveries").await;
    get(stack, &path(&endpoint, "/attempts")).await;
    let answer = ask(stack, Method::DELETE, &path(&endpoint, ""), &Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn forget(stack: &TestStack, id: &str) {
    let rows = stack.items("ConnectionsTable").await;
    let row = rows.iter().find(|row| row["sk"]["S"] == id).unwrap();
    let key = json!({ "pk": row["pk"], "sk": row["sk"] });
    let request = json!({ "TableName": stack.table("ConnectionsTable"), "Key": key });
    stack.dynamo("DeleteItem", request).await;
}

async fn wait_until_forgotten(stack: &TestStack, id: &str) {
    eventually(DEADLINE, async || {
        let is_there = stack.connection_ids().await.contains(id);
        (!is_there).then_some(()).ok_or(format!("{id} has a row"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_with_all_rights_and_needs_every_one_of_them() {
    let stack = TestStack::start().await;
    use_everything(&stack).await;
    assert_eq!(stack.refused_calls(), BTreeSet::new());
    let needed = stack.needed_rights();
    let mut unneeded = Vec::new();
    for function in &stack.template().functions {
        for (index, statement) in function.policies.iter().enumerate() {
            for action in &statement.actions {
                let id = &function.logical_id;
                let right = (id.clone(), index, action.to_ascii_lowercase());
                if !needed.contains(&right) {
                    unneeded.push(format!("{id}: {action} on {:?}", statement.resources));
                }
            }
        }
    }
    assert_eq!(unneeded, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_statement_its_function_fails() {
    let statements = statements();
    let functions: BTreeSet<_> = statements.iter().map(|it| it.function.as_str()).collect();
    assert_eq!(functions.len(), crate::policies::template().functions.len());
    let of_push = statements
        .into_iter()
        .filter(|statement| statement.function == "PushFunction");
    for statement in of_push {
        fails_without(statement).await;
    }
}

async fn fails_without(statement: Statement) {
    let template = statement.removed();
    let stack = TestStack::start_with(|options| options.local.template = template).await;
    let is_refused = || {
        let mut refused = stack.refused_calls().into_iter();
        refused
            .any(|(function, action)| function == statement.function && statement.grants(&action))
    };
    let refused = eventually(DEADLINE, async || {
        let seen = || format!("{:?}", stack.refused_calls());
        is_refused().then_some(()).ok_or_else(seen)
    });
    let everything = std::panic::AssertUnwindSafe(use_everything(&stack));
    let mut everything = std::pin::pin!(futures::FutureExt::catch_unwind(everything));
    let worked = tokio::select! {
        worked = &mut everything => Some(worked),
        () = refused => None,
    };
    // An answer that is not 200 ends it; a message that never comes, or a row that stays, would
    // only end it much later.
    let worked = match worked {
        Some(worked) => Ok(worked),
        None => tokio::time::timeout(SOON, everything).await,
    };
    assert!(
        worked.is_err() || worked.is_ok_and(|worked| worked.is_err()),
        "everything works without {statement:?}"
    );
    // And not for another reason.
    assert!(is_refused(), "nothing was refused without {statement:?}");
}
