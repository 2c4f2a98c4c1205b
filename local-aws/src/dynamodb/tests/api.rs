use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, Put, TransactWriteItem};

use super::*;
use crate::dynamodb::CreateError;

#[tokio::test]
async fn a_table_is_made_once_and_then_left_alone() {
    let test = Database::new().await;
    test.put(item("a", "1", 10)).await;
    test.db
        .create(events_table(), Some("expires_at"))
        .await
        .unwrap();

    let table = test
        .client
        .describe_table()
        .table_name("events")
        .send()
        .await
        .unwrap();
    let table = table.table().unwrap();
    assert_eq!(table.item_count(), Some(1));
    assert_eq!(table.global_secondary_indexes().len(), 2);
    assert_eq!(
        table.table_arn(),
        Some("arn:aws:dynamodb:eu-west-1:000000000000:table/events")
    );
    let view_type = table
        .stream_specification()
        .unwrap()
        .stream_view_type()
        .unwrap();
    assert_eq!(view_type.as_str(), "NEW_IMAGE");
    let stream = test.db.stream_arn("events").await.unwrap();
    assert_eq!(table.latest_stream_arn(), Some(stream.as_str()));
    let ttl = test
        .client
        .describe_time_to_live()
        .table_name("events")
        .send()
        .await
        .unwrap();
    assert_eq!(
        ttl.time_to_live_description().unwrap().attribute_name(),
        Some("expires_at")
    );
}

type Change = fn(&mut Value);

#[tokio::test]
async fn a_table_of_another_template_is_refused_by_name() {
    let test = Database::new().await;
    let changes: [(&str, Change); 4] = [
        ("another key", |table| {
            table["KeySchema"][1]["AttributeName"] = "feed_at".into()
        }),
        ("other key attributes", |table| {
            table["AttributeDefinitions"][0]["AttributeType"] = "N".into()
        }),
        ("other indexes", |table| {
            table["GlobalSecondaryIndexes"][0]["Projection"]["ProjectionType"] = "ALL".into();
        }),
        ("another stream setting", |table| {
            table["StreamSpecification"] = Value::Null
        }),
    ];
    for (what, change) in changes {
        let mut table = events_table();
        change(&mut table);
        let error = test.db.create(table, None).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, CreateError::Different { .. }), "{text}");
        assert!(
            text.contains("the table events") && text.contains(what) && text.contains("--data-dir"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_time_to_live_follows_the_template() {
    let test = Database::new().await;
    test.db
        .create(events_table(), Some("gone_at"))
        .await
        .unwrap();
    let ttl = test
        .client
        .describe_time_to_live()
        .table_name("events")
        .send()
        .await
        .unwrap();
    assert_eq!(
        ttl.time_to_live_description().unwrap().attribute_name(),
        Some("gone_at")
    );
    test.db.create(events_table(), None).await.unwrap();
    let ttl = test
        .client
        .describe_time_to_live()
        .table_name("events")
        .send()
        .await
        .unwrap();
    let status = ttl
        .time_to_live_description()
        .unwrap()
        .time_to_live_status()
        .unwrap();
    assert_eq!(status.as_str(), "DISABLED");
}

#[tokio::test]
async fn items_are_written_once_and_found_by_index() {
    let test = Database::new().await;
    let put = || {
        test.client
            .put_item()
            .table_name("events")
            .set_item(Some(item("a", "1", 10)))
            .condition_expression("attribute_not_exists(pk)")
            .send()
    };
    put().await.unwrap();
    let refused = put().await.unwrap_err();
    assert_eq!(refused.code(), Some("ConditionalCheckFailedException"));

    let writes: Vec<_> = (0..25)
        .map(|n| put_request(item("b", &format!("{n:02}"), 10)))
        .collect();
    let written = test
        .client
        .batch_write_item()
        .request_items("events", writes)
        .send()
        .await
        .unwrap();
    assert!(written.unprocessed_items().unwrap().is_empty());
    let page = query_feed(&test)
        .limit(10)
        .scan_index_forward(false)
        .send()
        .await
        .unwrap();
    let newest: Vec<_> = page
        .items()
        .iter()
        .map(|item| item["sk"].as_s().unwrap().as_str())
        .collect();
    assert_eq!(newest[..3], ["24", "23", "22"]);
    assert!(page.last_evaluated_key().is_some());
    assert!(
        !page.items()[0].contains_key("body"),
        "the index holds keys only"
    );

    let found = KeysAndAttributes::builder()
        .keys(key("a", "1"))
        .keys(key("none", "1"))
        .build()
        .unwrap();
    let found = test
        .client
        .batch_get_item()
        .request_items("events", found)
        .send()
        .await
        .unwrap();
    assert_eq!(found.responses().unwrap()["events"], [item("a", "1", 10)]);
}

fn query_feed(test: &Database) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
    test.client
        .query()
        .table_name("events")
        .index_name("feed")
        .key_condition_expression("feed_shard = :shard")
        .expression_attribute_values(":shard", string("2026-11-22#0"))
}

#[tokio::test]
async fn a_transaction_says_which_of_its_conditions_failed() {
    let test = Database::new().await;
    test.put(item("a", "1", 1)).await;
    let put = |pk: &str| {
        let put = Put::builder()
            .table_name("events")
            .set_item(Some(item(pk, "1", 1)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let transaction = test
        .client
        .transact_write_items()
        .transact_items(put("a"))
        .transact_items(put("b"));
    let error = transaction.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        canceled,
    ) = error
    else {
        panic!("{error:?}");
    };
    let codes: Vec<_> = canceled
        .cancellation_reasons()
        .iter()
        .filter_map(|reason| reason.code())
        .collect();
    assert_eq!(codes, ["ConditionalCheckFailed", "None"]);
}

#[tokio::test]
async fn the_limits_of_aws_hold() {
    let test = Database::new().await;
    let code = |error: Option<&str>| error.unwrap_or("none").to_owned();
    let batch = async |items: Vec<Attributes>| {
        let writes: Vec<_> = items.into_iter().map(put_request).collect();
        let answer = test
            .client
            .batch_write_item()
            .request_items("events", writes)
            .send()
            .await;
        answer.map_or_else(|error| code(error.code()), |_| "written".to_owned())
    };
    let put = async |item: Attributes| {
        let answer = test
            .client
            .put_item()
            .table_name("events")
            .set_item(Some(item))
            .send()
            .await;
        answer.map_or_else(|error| code(error.code()), |_| "written".to_owned())
    };
    let many = |count: usize, bytes: usize| {
        (0..count)
            .map(|n| item("many", &n.to_string(), bytes))
            .collect()
    };
    assert_eq!(batch(many(25, 1)).await, "written");
    assert_eq!(batch(many(26, 1)).await, "ValidationException");
    assert_eq!(batch(vec![]).await, "ValidationException");
    assert_eq!(
        batch(vec![item("a", "1", 1), item("a", "1", 2)]).await,
        "ValidationException"
    );
    assert_eq!(
        batch(vec![item("a", "1", 400 * 1024)]).await,
        "ValidationException"
    );
    let large = test
        .db
        .call("PutItem", Bytes::from(vec![b' '; 16 * 1024 * 1024 + 1]))
        .await;
    assert_eq!(large.unwrap_err().status, 413);

    assert_eq!(put(item("a", "1", 399 * 1024)).await, "written");
    assert_eq!(put(item("a", "1", 400 * 1024)).await, "ValidationException");
    assert_eq!(put(key(&"p".repeat(2048), "1")).await, "written");
    assert_eq!(
        put(key(&"p".repeat(2049), "1")).await,
        "ValidationException"
    );
    assert_eq!(put(key("a", &"s".repeat(1024))).await, "written");
    assert_eq!(
        put(key("a", &"s".repeat(1025))).await,
        "ValidationException"
    );
    assert_eq!(put(key("a", "")).await, "ValidationException");
    let mut indexed = key("a", "1");
    indexed.insert("feed_shard".to_owned(), string("s".repeat(2049)));
    indexed.insert("feed_at".to_owned(), string("1"));
    assert_eq!(put(indexed.clone()).await, "ValidationException");
    assert_eq!(
        batch(vec![item("b", "1", 1), indexed]).await,
        "ValidationException"
    );
    let not_written = test
        .client
        .get_item()
        .table_name("events")
        .set_key(Some(key("b", "1")));
    assert!(not_written.send().await.unwrap().item().is_none());
    let mut wrong_type = key("a", "1");
    wrong_type.insert("feed_shard".to_owned(), number(1));
    assert_eq!(put(wrong_type).await, "ValidationException");

    let grow = test
        .client
        .update_item()
        .table_name("events")
        .set_key(Some(key("a", "1")));
    let grow = grow.update_expression("SET more = :more");
    let grow = grow.expression_attribute_values(":more", string("m".repeat(2 * 1024)));
    assert_eq!(put(item("a", "1", 399 * 1024)).await, "written");
    assert_eq!(
        code(grow.send().await.unwrap_err().code()),
        "ValidationException"
    );
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_as_by_aws() {
    let test = Database::new().await;
    let refused = async |operation: &str, body: &str| {
        let error = test
            .db
            .call(operation, Bytes::copy_from_slice(body.as_bytes()))
            .await
            .unwrap_err();
        let body: Value = serde_json::from_slice(&error.body).unwrap();
        (
            error.status,
            body["__type"]
                .as_str()
                .unwrap()
                .rsplit_once('#')
                .unwrap()
                .1
                .to_owned(),
        )
    };
    let bad = |name: &str| (400, name.to_owned());
    assert_eq!(
        refused("CreateBackup", "{}").await,
        bad("UnknownOperationException")
    );
    assert_eq!(
        refused("PutItem", "not JSON").await,
        bad("SerializationException")
    );
    assert_eq!(
        refused("PutItem", r#"{"TableName":7}"#).await,
        bad("SerializationException")
    );
    assert_eq!(
        refused("PutItem", r#"{"TableName":"events"}"#).await,
        bad("ValidationException")
    );
    let missing = r#"{"TableName":"missing","Key":{"pk":{"S":"a"}}}"#;
    assert_eq!(
        refused("GetItem", missing).await,
        bad("ResourceNotFoundException")
    );
    let view = r#"{"TableName":"streamed","BillingMode":"PAY_PER_REQUEST",
        "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}],
        "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
        "StreamSpecification":{"StreamEnabled":true,"StreamViewType":"OTHER"}}"#;
    assert_eq!(
        refused("CreateTable", view).await,
        bad("ValidationException")
    );
}

#[tokio::test]
async fn an_index_can_lag() {
    let test = Database::new().await;
    test.put(item("a", "1", 1)).await;
    test.db.faults().set_index_lag(Duration::from_millis(300));
    test.put(item("a", "2", 1)).await;
    let writes = vec![
        put_request(item("a", "3", 1)),
        WriteRequest::builder()
            .delete_request(
                DeleteRequest::builder()
                    .set_key(Some(key("b", "1")))
                    .build()
                    .unwrap(),
            )
            .build(),
    ];
    test.client
        .batch_write_item()
        .request_items("events", writes)
        .send()
        .await
        .unwrap();

    let page = query_feed(&test).limit(2).send().await.unwrap();
    assert_eq!(
        (page.items().len(), page.count(), page.scanned_count()),
        (1, 1, 1)
    );
    assert_eq!(page.last_evaluated_key().unwrap()["sk"], string("2"));
    let item = test
        .client
        .get_item()
        .table_name("events")
        .set_key(Some(key("a", "2")));
    assert!(
        item.send().await.unwrap().item().is_some(),
        "the table itself does not lag"
    );

    tokio::time::sleep(Duration::from_millis(320)).await;
    assert_eq!(query_feed(&test).send().await.unwrap().count(), 3);
}

#[tokio::test]
async fn calls_can_be_throttled() {
    let test = Database::new().await;
    let put = async || {
        let put = test
            .client
            .put_item()
            .table_name("events")
            .set_item(Some(item("a", "1", 1)));
        put.send()
            .await
            .err()
            .map(|error| error.code().unwrap().to_owned())
    };
    test.db.faults().throttle_next(1);
    assert_eq!(
        put().await.as_deref(),
        Some("ProvisionedThroughputExceededException")
    );
    assert_eq!(put().await, None);

    test.db.faults().throttle_next(1);
    let writes: Vec<_> = (0..5)
        .map(|n| put_request(item("b", &n.to_string(), 1)))
        .collect();
    let written = test
        .client
        .batch_write_item()
        .request_items("events", writes)
        .send()
        .await
        .unwrap();
    let left = written.unprocessed_items().unwrap().clone();
    assert_eq!(left["events"].len(), 2);
    test.client
        .batch_write_item()
        .set_request_items(Some(left))
        .send()
        .await
        .unwrap();

    test.db.faults().throttle_next(1);
    let keys = (0..5).map(|n| key("b", &n.to_string())).collect();
    let keys = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .projection_expression("pk")
        .build()
        .unwrap();
    let found = test
        .client
        .batch_get_item()
        .request_items("events", keys)
        .send()
        .await
        .unwrap();
    assert_eq!(found.responses().unwrap()["events"].len(), 3);
    let left = &found.unprocessed_keys().unwrap()["events"];
    assert_eq!(
        (left.keys().len(), left.projection_expression()),
        (2, Some("pk"))
    );

    test.db.faults().throttle_share(0.25);
    let mut throttled = 0;
    for _ in 0..12 {
        throttled += usize::from(put().await.is_some());
    }
    assert_eq!(throttled, 3);
}
