//! What calls use is counted, and callers see no more of it than they asked for.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, ReturnConsumedCapacity, TransactWriteItem};

use super::super::Consumed;
use super::*;

fn consumed(database: &Database, name: &str) -> Consumed {
    let consumed = database.db.consumed();
    consumed.get(name).copied().unwrap_or_default()
}

/// An item of about so many bytes.
fn item(key: &str, bytes: usize) -> Attributes {
    let text = |text: String| AttributeValue::S(text);
    HashMap::from([
        ("pk".to_owned(), text(key.to_owned())),
        ("sk".to_owned(), text("1".to_owned())),
        ("feed_shard".to_owned(), text("2026-11-22#1".to_owned())),
        ("feed_at".to_owned(), text(format!("1#{key}"))),
        ("body".to_owned(), text("x".repeat(bytes))),
    ])
}

fn put(item: Attributes) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
    WriteRequest::builder().put_request(put).build()
}

#[tokio::test]
async fn a_batch_costs_its_items_and_their_index_entries() {
    let database = Database::new().await;
    let batch = database
        .client
        .batch_write_item()
        .request_items("events", vec![put(item("a", 500)), put(item("b", 1_500))]);
    let answer = batch.send().await.unwrap();
    assert!(answer.consumed_capacity().is_empty());
    assert_eq!(consumed(&database, "events").write_units, 1.0 + 2.0);
    assert_eq!(consumed(&database, "events/feed").write_units, 2.0);
}

#[tokio::test]
async fn a_read_costs_by_what_is_read_and_not_by_what_is_answered() {
    let database = Database::new().await;
    database.put(item("a", 5_000)).await;
    let key = |key: &str| {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(key.to_owned())),
            ("sk".to_owned(), AttributeValue::S("1".to_owned())),
        ])
    };
    let keys = KeysAndAttributes::builder()
        .keys(key("a"))
        .keys(key("absent"))
        .projection_expression("pk")
        .consistent_read(true)
        .build()
        .unwrap();
    let get = database
        .client
        .batch_get_item()
        .request_items("events", keys);
    get.send().await.unwrap();
    assert_eq!(consumed(&database, "events").read_units, 2.0 + 1.0);
}

#[tokio::test]
async fn a_write_whose_condition_does_not_hold_is_billed() {
    let database = Database::new().await;
    let put = database
        .client
        .put_item()
        .table_name("events")
        .set_item(Some(item("a", 10)))
        .condition_expression("attribute_exists(pk)");
    put.send().await.unwrap_err();
    assert_eq!(consumed(&database, "events").write_units, 1.0);
}

#[tokio::test]
async fn a_caller_is_told_of_its_use_as_it_asked() {
    let database = Database::new().await;
    let put = |asked| {
        let put = database.client.put_item().table_name("events");
        let put = put.set_item(Some(item("a", 10)));
        async move {
            let answer = put.return_consumed_capacity(asked).send().await;
            answer.unwrap().consumed_capacity
        }
    };
    assert!(put(ReturnConsumedCapacity::None).await.is_none());
    let total = put(ReturnConsumedCapacity::Total).await.unwrap();
    assert!(total.capacity_units.is_some() && total.table.is_none());
    assert!(total.global_secondary_indexes.is_none());
    let all = put(ReturnConsumedCapacity::Indexes).await.unwrap();
    assert!(all.table.is_some());
}

#[tokio::test]
async fn a_transaction_costs_twice_and_makes_records_and_is_throttled() {
    let database = Database::new().await;
    let transact = || {
        let put = |key| {
            let put = Put::builder().table_name("events");
            let put = put.set_item(Some(item(key, 500))).build().unwrap();
            TransactWriteItem::builder().put(put).build()
        };
        let transaction = database.client.transact_write_items();
        transaction
            .transact_items(put("a"))
            .transact_items(put("b"))
            .send()
    };
    database.db.faults().throttle_next(1);
    let throttled = transact().await.unwrap_err();
    let code = throttled.as_service_error().unwrap().code();
    assert_eq!(code, Some("ProvisionedThroughputExceededException"));
    assert!(database.records().await.is_empty());
    transact().await.unwrap();
    assert_eq!(consumed(&database, "events").write_units, 2.0 * 2.0);
    assert_eq!(database.records().await.len(), 2);
}

#[tokio::test]
async fn a_transaction_whose_condition_does_not_hold_is_billed() {
    let database = Database::new().await;
    let put = Put::builder().table_name("events");
    let put = put
        .set_item(Some(item("a", 10)))
        .condition_expression("attribute_exists(pk)");
    let put = TransactWriteItem::builder()
        .put(put.build().unwrap())
        .build();
    let transaction = database.client.transact_write_items().transact_items(put);
    transaction.send().await.unwrap_err();
    assert_eq!(consumed(&database, "events").write_units, 2.0);
}
