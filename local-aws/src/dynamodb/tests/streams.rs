use aws_lambda_events::dynamodb::Event;

use super::*;
use crate::dynamodb::{StreamError, parse_sequence, sequence_text, shard_of};

#[tokio::test]
async fn an_insert_has_the_shape_of_a_lambda_record() {
    let test = Database::new().await;
    let mut writes = test.db.subscribe_writes();
    writes.mark_unchanged();
    let mut written = item("a", "1", 3);
    written.insert(
        "quoted \"name\"".to_owned(),
        string("line\nbreak \u{1f4ee}"),
    );
    written.insert(
        "tags".to_owned(),
        AttributeValue::Ss(vec!["x".to_owned(), "y".to_owned()]),
    );
    test.put(written).await;
    assert!(writes.has_changed().unwrap());

    let record = test.the_only_record().await;
    assert_eq!(record["eventName"], "INSERT");
    assert_eq!(record["eventVersion"], "1.1");
    assert_eq!(record["eventSource"], "aws:dynamodb");
    assert_eq!(record["awsRegion"], "eu-west-1");
    assert_eq!(record["eventID"].as_str().unwrap().len(), 32);
    assert_eq!(
        record["eventSourceARN"],
        test.db.stream_arn("events").await.unwrap()
    );
    let change = &record["dynamodb"];
    assert_eq!(
        change["Keys"],
        json!({ "pk": { "S": "a" }, "sk": { "S": "1" } })
    );
    assert_eq!(change["NewImage"]["body"], json!({ "B": "BwcH" }));
    assert_eq!(
        change["NewImage"]["quoted \"name\""],
        json!({ "S": "line\nbreak \u{1f4ee}" })
    );
    assert_eq!(change["StreamViewType"], "NEW_IMAGE");
    assert_eq!(change["SequenceNumber"].as_str().unwrap().len(), 21);
    assert!(change["ApproximateCreationDateTime"].as_u64().unwrap() > 1_700_000_000);

    let text = json!({ "Records": [record] }).to_string();
    let event: Event = serde_json::from_str(&text).unwrap();
    assert_eq!(event.records[0].event_name, "INSERT");
    assert!(event.records[0].user_identity.is_none());
}

#[tokio::test]
async fn a_change_and_a_removal_show_what_the_view_shows() {
    for (view, new, old) in [
        ("NEW_IMAGE", true, false),
        ("OLD_IMAGE", false, true),
        ("NEW_AND_OLD_IMAGES", true, true),
        ("KEYS_ONLY", false, false),
    ] {
        let test = Database::new().await;
        let mut table = events_table();
        table["StreamSpecification"]["StreamViewType"] = view.into();
        test.db.create(table, Some("expires_at")).await.unwrap();
        test.put(item("a", "1", 1)).await;
        test.put(item("a", "1", 2)).await;
        let delete = test
            .client
            .delete_item()
            .table_name("events")
            .set_key(Some(key("a", "1")));
        delete.clone().send().await.unwrap();
        delete.send().await.unwrap();

        let records = test.records().await;
        let text = format!(
            r#"{{"Records":[{}]}}"#,
            records
                .iter()
                .map(|record| record.json.as_str())
                .collect::<Vec<_>>()
                .join(",")
        );
        serde_json::from_str::<Event>(&text).unwrap();
        let records: Value = serde_json::from_str(&text).unwrap();
        let shown: Vec<_> = records["Records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| {
                let has = |image: &str| record["dynamodb"].get(image).is_some();
                assert_eq!(record["dynamodb"]["StreamViewType"], view);
                (
                    record["eventName"].as_str().unwrap(),
                    has("NewImage"),
                    has("OldImage"),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("INSERT", new, false),
                ("MODIFY", new, old),
                ("REMOVE", false, old)
            ]
        );
    }
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_record() {
    let test = Database::new().await;
    let mut same = item("a", "1", 100);
    let set = |order: [&str; 2]| AttributeValue::Ss(order.map(str::to_owned).to_vec());
    same.insert("tags".to_owned(), set(["x", "y"]));
    test.put(same.clone()).await;
    for _ in 0..5 {
        test.put(same.clone()).await;
    }
    same.insert("tags".to_owned(), set(["y", "x"]));
    test.put(same.clone()).await;
    test.the_only_record().await;

    same.insert("tags".to_owned(), set(["x", "z"]));
    test.put(same).await;
    assert_eq!(test.records().await.len(), 2, "as long, but not the same");
}

#[tokio::test]
async fn the_shards_share_the_stream_and_keep_the_order_of_each_item() {
    let test = Database::new().await;
    for version in 0..5 {
        for place in 0..10_u8 {
            let writes = (0..20)
                .map(|n| put_request(item(&format!("{place}-{n}"), "1", version + 1)))
                .collect();
            test.client
                .batch_write_item()
                .request_items("events", writes)
                .send()
                .await
                .unwrap();
        }
    }
    let mut sequences = Vec::new();
    for shard in 0..SHARDS {
        let records = test.shard(shard, 7).await;
        assert!(records.len() > 150, "shard {shard} has {}", records.len());
        assert!(records.is_sorted_by_key(|record| record.sequence));
        let mut sizes: HashMap<String, usize> = HashMap::new();
        for record in &records {
            assert_eq!(shard_of(&record.keys, "pk"), shard);
            let json: Value = serde_json::from_str(&record.json).unwrap();
            let body = json["dynamodb"]["NewImage"]["body"]["B"].as_str().unwrap();
            let keys: Value = serde_json::from_str(&record.keys).unwrap();
            let size = sizes.entry(keys["pk"].to_string()).or_default();
            assert!(body.len() >= *size, "an older image after a newer one");
            *size = body.len();
        }
        sequences.extend(records.into_iter().map(|record| record.sequence));
    }
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), 1_000, "each record is in one shard");
    assert_eq!(
        test.db.latest_position("events").await.unwrap(),
        sequences[999]
    );
}

#[tokio::test]
async fn a_page_stops_below_the_size_of_an_invocation() {
    let test = Database::new().await;
    for n in 0..20 {
        test.put(item("a", &n.to_string(), 380 * 1024)).await;
    }
    let shard = shard_of(r#"{"pk":{"S":"a"},"sk":{"S":"1"}}"#, "pk");
    let page = test
        .db
        .read_records("events", shard, 0, 1_000)
        .await
        .unwrap();
    let bytes: usize = page.records.iter().map(|record| record.json.len()).sum();
    assert!(page.more && bytes <= 6_000_000 && page.records.len() > 8);
    assert_eq!(page.position, page.records.last().unwrap().sequence);
    assert_eq!(test.shard(shard, 1_000).await.len(), 20);
}

#[tokio::test]
async fn positions_and_streams_survive_reopening() {
    let Database { db, client, dir } = Database::new().await;
    assert_eq!(
        db.position("PushFunctionEvents", "events", 1)
            .await
            .unwrap(),
        None
    );
    let put = client
        .put_item()
        .table_name("events")
        .set_item(Some(item("a", "1", 1)));
    put.send().await.unwrap();
    let latest = db.latest_position("events").await.unwrap();
    db.save_position("PushFunctionEvents", "events", 1, 7)
        .await
        .unwrap();
    db.save_position("PushFunctionEvents", "events", 1, latest)
        .await
        .unwrap();
    drop((db, client));

    let db = DynamoDb::open(dir.path(), "eu-west-1").unwrap();
    assert_eq!(
        db.position("PushFunctionEvents", "events", 1)
            .await
            .unwrap(),
        Some(latest)
    );
    assert_eq!(db.latest_position("events").await.unwrap(), latest);
    let client = super::client(&db);
    let found = client
        .get_item()
        .table_name("events")
        .set_key(Some(key("a", "1")));
    assert!(found.send().await.unwrap().item().is_some());
}

#[tokio::test]
async fn a_table_without_a_stream_says_so() {
    let test = Database::new().await;
    let error = test.db.read_records("missing", 0, 0, 10).await.unwrap_err();
    assert!(matches!(error, StreamError::NoStream(table) if table == "missing"));
}

#[test]
fn a_sequence_number_is_21_digits_and_reads_back() {
    for sequence in [0, 1, 1_790_000_000_000_000] {
        let text = sequence_text(sequence);
        assert_eq!((text.len(), parse_sequence(&text)), (21, Some(sequence)));
    }
    assert_eq!(parse_sequence("7"), None);
    assert_eq!(parse_sequence("x"), None);
}
