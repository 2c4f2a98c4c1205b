//! Events that are too large for an item are kept whole in S3.

use flows::{Message, TestStack, batch, noise, send};
use serde_json::{Value, json};

/// Inbound mail with an attachment that hardly compresses.
pub(crate) fn inbound(bytes: usize) -> String {
    format!(
        concat!(
            r#"{{"event":"inbound","ts":1795300000,"msg":{{ "subject":"Large","email":"to@example.net","n":1.50,"#,
            r#""attachments":{{"a.bin":{{"type":"application\/octet-stream","base64":true,"content":"{}"}}}}}}}}"#
        ),
        noise(bytes)
    )
}

pub(crate) async fn the_oversized(stack: &TestStack) -> Value {
    let stored = stack.history().await;
    let mut oversized = stored.iter().filter(|event| event["truncated"] == true);
    let event = oversized.next().expect("an oversized event").clone();
    assert!(oversized.next().is_none());
    event
}

/// The text of an event by its id.
pub(crate) async fn by_id(stack: &TestStack, event: &Value) -> String {
    let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
    let answer = stack.http().get(&path, &stack.urls().token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// That an event is given whole by its id, and is otherwise what it is elsewhere.
async fn assert_whole(stack: &TestStack, event: &Value, data: &str) {
    let text = by_id(stack, event).await;
    assert!(text.contains(&format!(r#","data":{data},"cursor":""#)));
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    whole["data"] = Value::Null;
    whole["truncated"] = json!(true);
    assert_eq!(&whole, event);
}

fn assert_truncated(event: &Value) {
    assert_eq!(
        (&event["data"], &event["truncated"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(
        (&event["subject"], &event["recipient"]),
        (&json!("Large"), &json!("to@example.net"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_an_item_is_whole_by_its_id_and_truncated_elsewhere() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    socket
        .ask(json!({ "action": "subscribe", "data": true }))
        .await;
    let large = inbound(2_000_000);
    stack
        .mandrill()
        .deliver(batch([&send(0), &large, &send(1)]))
        .await;

    let pushed = socket.hear_events(3).await;
    let replayed = socket.resume_last(10).await;
    let replayed: Vec<Value> = replayed
        .iter()
        .flat_map(|message: &Message| message.events().to_vec())
        .collect();
    for events in [&pushed, &replayed, &stack.history().await] {
        let is_whole = |event: &&Value| event["data"].is_object() && event["truncated"].is_null();
        assert_eq!(
            (events.len(), events.iter().filter(is_whole).count()),
            (3, 2)
        );
        assert_truncated(
            events
                .iter()
                .find(|event| event["type"] == "inbound")
                .unwrap(),
        );
    }
    let event = the_oversized(&stack).await;
    assert_whole(&stack, &event, &large).await;

    // The item says where the whole is, and nothing else has an object.
    let objects = stack.objects("OversizedBucket").await.unwrap();
    let keys: Vec<_> = objects.iter().map(|object| object.key.as_str()).collect();
    let key = format!("oversized/{}", event["id"].as_str().unwrap());
    assert_eq!(keys, [&key]);
    let items = stack.items("EventsTable").await;
    let named = items.iter().filter_map(|item| item["object"]["S"].as_str());
    assert_eq!(named.collect::<Vec<_>>(), [&key]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_mail_that_gets_in_is_given_back_byte_for_byte_also_after_a_restart() {
    let mut stack = TestStack::start().await;
    // Lambda takes 6 MB, which is 4.5 MB before base64; some letters are three in a form.
    let large = inbound(4_000_000);
    stack.mandrill().deliver(batch([&large])).await;
    let event = the_oversized(&stack).await;
    assert_whole(&stack, &event, &large).await;
    stack.stop().await;
    stack.start_again().await;
    assert_whole(&stack, &event, &large).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_fields_are_too_large_has_them_cut_and_its_data_whole() {
    let stack = TestStack::start().await;
    let subject = noise(700_000);
    let long = format!(
        r#"{{"event":"click","_id":"long","ts":1795300000,"msg":{{"subject":"{subject}"}}}}"#
    );
    stack.mandrill().deliver(batch([&long])).await;
    let event = the_oversized(&stack).await;
    let whole: Value = serde_json::from_str(&by_id(&stack, &event).await).unwrap();
    for shown in [&event, &whole] {
        assert_eq!(shown["subject"], subject[..domain::event::FIELD_BYTES]);
        assert_eq!(
            (&shown["type"], &shown["message_id"]),
            (&json!("click"), &json!("long"))
        );
        assert_eq!(shown["truncated"], true);
    }
    assert_eq!(whole["data"], serde_json::from_str::<Value>(&long).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_larger_than_a_page_is_truncated_in_it_and_whole_by_its_id() {
    let stack = TestStack::start().await;
    // It fits an item, as it compresses.
    let large = inbound(10).replace("\"n\":1.50", &format!(r#""n":"{}""#, "x".repeat(3_000_000)));
    stack
        .mandrill()
        .deliver(batch([&send(0), &large, &send(1)]))
        .await;
    assert_eq!(stack.page("").await["events"].as_array().unwrap().len(), 3);
    let event = the_oversized(&stack).await;
    assert_truncated(&event);
    assert_whole(&stack, &event, &large).await;
    assert!(stack.objects("OversizedBucket").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_s3_fails_nothing_of_the_batch_is_told_and_the_retry_stores_it_once() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let large = inbound(1_000_000);
    let events = batch([&send(0), &large]);
    stack.faults().set_s3_fails(true);
    let answer = stack.mandrill().post(&events).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    // What needs no S3 is stored.
    stack.mandrill().deliver(batch([send(1)])).await;
    assert_eq!(stack.history().await.len(), 1);
    assert_eq!(socket.hear_events(1).await.len(), 1);

    stack.faults().set_s3_fails(false);
    for _ in 0..2 {
        stack.mandrill().deliver(&events).await;
    }
    assert_eq!(stack.history().await.len(), 3);
    assert_eq!(stack.record_names().await, ["INSERT"; 3]);
    assert_eq!(socket.hear_events(2).await.len(), 2);
    let event = the_oversized(&stack).await;
    assert_whole(&stack, &event, &large).await;

    stack.faults().set_s3_fails(true);
    let path = format!("/v1/events/{}", event["id"].as_str().unwrap());
    let answer = stack.http().get(&path, &stack.urls().token).await;
    assert_eq!(answer.error(), (503, "unavailable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_object_is_gone_is_given_as_far_as_it_is_there() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(batch([&inbound(1_000_000)])).await;
    let event = the_oversized(&stack).await;
    let key = format!("oversized/{}", event["id"].as_str().unwrap());
    stack.delete_object("OversizedBucket", &key).await.unwrap();
    let text = by_id(&stack, &event).await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), event);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_write_objects_no_oversized_event_is_accepted() {
    let template = posthorn::TEMPLATE.replace("s3:PutObject", "s3:GetObject");
    let stack = TestStack::start_with(|options| options.local.template = template).await;
    let answer = stack.mandrill().post(batch([&inbound(1_000_000)])).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(stack.history().await.is_empty());
    stack.mandrill().deliver(batch([send(0)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_read_by_its_id_by_who_has_the_token() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(batch([send(0)])).await;
    let event = stack.history().await.remove(0);
    let text = by_id(&stack, &event).await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), event);

    let token = &stack.urls().token;
    let id = event["id"].as_str().unwrap();
    let unknown = format!("evt_{}", "0".repeat(39));
    for (path, token, expected) in [
        (id, "wrong", (401, "unauthorized")),
        ("evt_1", token, (400, "bad_id")),
        (&id.to_uppercase(), token, (400, "bad_id")),
        (&format!("{id}?data=1"), token, (400, "unknown_parameter")),
        (&unknown, token, (404, "not_found")),
    ] {
        let answer = stack.http().get(&format!("/v1/events/{path}"), token).await;
        assert_eq!(
            answer.error(),
            (expected.0, expected.1.to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_kept_any_more_is_not_found_even_if_it_is_still_there() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(batch([send(0)])).await;
    let event = stack.history().await.remove(0);
    let id = event["id"].as_str().unwrap();
    let item = stack.items("EventsTable").await.remove(0);
    let old = platform::clock::now().minus(31 * 24 * 60 * 60 * 1_000);
    let update = json!({
        "TableName": stack.table("EventsTable"),
        "Key": { "pk": item["pk"], "sk": item["sk"] },
        "UpdateExpression": "SET feed_at = :at",
        "ExpressionAttributeValues": { ":at": { "S": format!("{:013}#{}", old.0, &id[4..]) } },
    });
    stack.dynamo("UpdateItem", update).await;
    let path = format!("/v1/events/{id}");
    let answer = stack.http().get(&path, &stack.urls().token).await;
    assert_eq!(answer.error(), (404, "not_found".into()));
}
