use std::time::UNIX_EPOCH;

use aws_lambda_events::dynamodb::Event;

use super::*;
use crate::dynamodb::Maintenance;

const DAY: u64 = 24 * 60 * 60;

/// The clock of the stream, which is that of the machine.
async fn now(test: &Database) -> u64 {
    test.put(item("clock", "1", 1)).await;
    let written =
        UNIX_EPOCH + Duration::from_micros(test.db.latest_position("events").await.unwrap());
    written.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn expired_items_go_and_say_who_removed_them() {
    let test = Database::new().await;
    let now = now(&test).await;
    let times = [
        ("kept", now + 100),
        ("gone", now - 100),
        ("long gone", now - 6 * 365 * DAY),
    ];
    for (pk, expires_at) in times {
        let mut expiring = item(pk, "1", 1);
        expiring.insert("expires_at".to_owned(), number(expires_at));
        test.put(expiring).await;
    }
    let before = test.db.latest_position("events").await.unwrap();
    let mut writes = test.db.subscribe_writes();
    writes.mark_unchanged();
    let done = test.db.maintain(now).await.unwrap();
    assert_eq!(
        done,
        Maintenance {
            expired: 1,
            trimmed: 0
        }
    );
    assert!(writes.has_changed().unwrap());
    assert_eq!(test.db.maintain(now).await.unwrap(), Maintenance::default());

    let removals: Vec<_> = test
        .records()
        .await
        .into_iter()
        .filter(|record| record.sequence > before)
        .collect();
    assert_eq!(removals.len(), 1);
    let text = format!(r#"{{"Records":[{}]}}"#, removals[0].json);
    let event: Event = serde_json::from_str(&text).unwrap();
    let identity = event.records[0].user_identity.as_ref().unwrap();
    assert_eq!(event.records[0].event_name, "REMOVE");
    assert_eq!(identity.principal_id.as_str(), "dynamodb.amazonaws.com");
    assert_eq!(identity.type_.as_str(), "Service");
    let keys: Value = serde_json::from_str(&removals[0].keys).unwrap();
    assert_eq!(keys["pk"]["S"], "gone");

    let deleted = test
        .client
        .delete_item()
        .table_name("events")
        .set_key(Some(key("kept", "1")));
    deleted.send().await.unwrap();
    let last = test
        .records()
        .await
        .into_iter()
        .max_by_key(|record| record.sequence)
        .unwrap();
    assert!(
        !last.json.contains("userIdentity"),
        "a removal by a caller bears no identity"
    );
}

#[tokio::test]
async fn many_expired_items_go_in_one_round() {
    let test = Database::new().await;
    let now = now(&test).await;
    for chunk in 0..20 {
        let expiring = (0..25).map(|n| {
            let mut expiring = item(&format!("{chunk}"), &n.to_string(), 1);
            expiring.insert("expires_at".to_owned(), number(now - 1));
            put_request(expiring)
        });
        let writes: Vec<_> = expiring.collect();
        test.client
            .batch_write_item()
            .request_items("events", writes)
            .send()
            .await
            .unwrap();
    }
    assert_eq!(test.db.maintain(now).await.unwrap().expired, 500);
}

#[tokio::test]
async fn records_go_after_a_day_but_the_numbers_go_on() {
    let test = Database::new().await;
    let now = now(&test).await;
    for n in 0..300 {
        test.put(item("a", &n.to_string(), 1)).await;
    }
    let newest = test.db.latest_position("events").await.unwrap();
    assert_eq!(test.db.maintain(now + DAY - 60).await.unwrap().trimmed, 0);
    assert_eq!(test.db.maintain(now + DAY + 60).await.unwrap().trimmed, 300);
    assert_eq!(test.db.latest_position("events").await.unwrap(), newest);
    assert_eq!(test.records().await.len(), 1);
    test.put(item("b", "1", 1)).await;
    assert!(test.db.latest_position("events").await.unwrap() > newest);
}

#[tokio::test]
async fn records_that_all_mappings_have_read_go_but_for_the_newest_ten_thousand() {
    let test = Database::new().await;
    for chunk in 0..420 {
        test.fill(&chunk.to_string()).await;
    }
    let now = now(&test).await;
    let latest = test.db.latest_position("events").await.unwrap();
    for shard in 0..SHARDS {
        assert_eq!(
            test.db.maintain(now).await.unwrap().trimmed,
            0,
            "shard {shard} is not read yet"
        );
        test.db
            .save_position("push", "events", shard, latest)
            .await
            .unwrap();
    }
    test.db
        .save_position("dispatch", "events", 0, latest)
        .await
        .unwrap();
    assert_eq!(
        test.db.maintain(now).await.unwrap().trimmed,
        0,
        "another mapping is not so far"
    );
    for shard in 1..SHARDS {
        test.db
            .save_position("dispatch", "events", shard, latest)
            .await
            .unwrap();
    }
    assert_eq!(test.db.maintain(now).await.unwrap().trimmed, 500);
    assert_eq!(test.records().await.len(), 10_001);
}
