//! Lists of deliveries and attempts, newest first, which stand still while rows change.

use std::collections::BTreeSet;

use domain::{Delivery, DeliveryId, DeliveryStatus, EndpointId, Millis};
use store::deliveries::{AttemptPage, DeliveryPage};
use store::{Claimed, DeliveryCursor};

use crate::database::Database;
use crate::{NOW, answered, delivery_id, endpoint_id, owed};

const FAILED: DeliveryStatus = DeliveryStatus::Failed;

/// Creates a delivery and settles it with this status at this time.
async fn settle(database: &Database, event: u32, endpoint: u8, status: u16, at: Millis) {
    let owed = [owed(event, endpoint)];
    database.creator().create(&owed, NOW).await.unwrap();
    let claimed = database.claims().claim(owed[0].id, 1, at).await.unwrap();
    let Claimed::Ours(pending) = claimed else {
        panic!("{claimed:?}")
    };
    let settled = answered(pending, status, at);
    database.records().record(&[settled]).await.unwrap();
}

fn ids(deliveries: &[Delivery]) -> Vec<DeliveryId> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

/// All pages of a list.
async fn pages(
    database: &Database,
    status: DeliveryStatus,
    endpoints: &[EndpointId],
    limit: usize,
) -> Vec<DeliveryId> {
    let reader = database.reader();
    let (mut all, mut before): (Vec<DeliveryId>, Option<DeliveryCursor>) = (Vec::new(), None);
    loop {
        let page = reader.list(status, endpoints, before, limit, NOW).await;
        let DeliveryPage { deliveries, next } = page.unwrap();
        assert!(deliveries.len() <= limit);
        all.extend(ids(&deliveries));
        let Some(next) = next else {
            return all;
        };
        // As a client has it.
        before = Some(next.to_string().parse().unwrap());
    }
}

#[tokio::test]
async fn failed_deliveries_are_listed_newest_first_over_endpoints() {
    let database = Database::new();
    // 410 is final at once. Some at the same time, for the same event at two endpoints.
    for n in 0..12 {
        settle(&database, n, 1, 410, NOW.plus(u64::from(n / 2))).await;
        settle(&database, n, 2, 410, NOW.plus(u64::from(n / 2))).await;
    }
    settle(&database, 99, 1, 200, NOW).await;
    let endpoints = [endpoint_id(1), endpoint_id(2)];
    let all = pages(&database, FAILED, &endpoints, 100).await;
    assert_eq!(all.len(), 24);
    let mut times = Vec::new();
    for delivery in database.reader().get(&all, NOW).await.unwrap() {
        times.push((delivery.id, delivery.settled_at));
    }
    let at = |id: &DeliveryId| times.iter().find(|(of, _)| of == id).unwrap().1;
    assert!(all.windows(2).all(|pair| at(&pair[0]) >= at(&pair[1])));
    for limit in [1, 2, 5, 23, 24] {
        assert_eq!(
            pages(&database, FAILED, &endpoints, limit).await,
            all,
            "{limit}"
        );
    }
    assert_eq!(pages(&database, FAILED, &endpoints[..1], 5).await.len(), 12);
    assert_eq!(pages(&database, FAILED, &[], 5).await, []);
    let delivered = pages(&database, DeliveryStatus::Delivered, &endpoints, 5).await;
    assert_eq!(delivered, [delivery_id(99, 1)]);
}

#[tokio::test]
async fn a_list_goes_on_where_it_was_while_rows_change() {
    let database = Database::new();
    for n in 0..10 {
        settle(&database, n, 1, 410, NOW.plus(u64::from(n))).await;
    }
    let (reader, endpoints) = (database.reader(), [endpoint_id(1)]);
    let first = reader.list(FAILED, &endpoints, None, 4, NOW).await.unwrap();
    // One of those that were shown and one that was not leave the list; a new one comes.
    for n in [6, 2] {
        database
            .retries()
            .retry(delivery_id(n, 1), 1, NOW)
            .await
            .unwrap();
    }
    settle(&database, 50, 1, 410, NOW.plus(50)).await;
    let second = reader
        .list(FAILED, &endpoints, first.next, 100, NOW)
        .await
        .unwrap();
    let expected = [5, 4, 3, 1, 0].map(|n| delivery_id(n, 1));
    assert_eq!(ids(&second.deliveries), expected);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn pending_deliveries_are_listed_by_when_they_are_due() {
    let database = Database::new();
    for n in 0..3 {
        let (owed, at) = ([owed(n, 1)], NOW.plus(u64::from(n)));
        database.creator().create(&owed, at).await.unwrap();
    }
    let pending = pages(&database, DeliveryStatus::Pending, &[endpoint_id(1)], 2).await;
    assert_eq!(pending, [2, 1, 0].map(|n| delivery_id(n, 1)));
}

#[tokio::test]
async fn what_failed_since_is_listed_oldest_first() {
    let database = Database::new();
    for n in 0..10 {
        settle(&database, n, 1, 410, NOW.plus(u64::from(n))).await;
    }
    settle(&database, 20, 2, 410, NOW.plus(9)).await;
    let reader = database.reader();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = reader.failed_since(endpoint_id(1), NOW.plus(3), after, 2, NOW);
        let page = page.await.unwrap();
        found.extend(ids(&page.deliveries));
        after = page.next;
        // Recovering them as they come disturbs nothing.
        for delivery in &page.deliveries {
            database.retries().retry(delivery.id, 1, NOW).await.unwrap();
        }
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [3, 4, 5, 6, 7, 8, 9].map(|n| delivery_id(n, 1)));
}

#[tokio::test]
async fn attempts_at_an_endpoint_are_listed_newest_first() {
    let database = Database::new();
    let records = database.records();
    for n in 0..4 {
        settle(&database, n, 1, 500, NOW.plus(u64::from(n))).await;
    }
    settle(&database, 9, 2, 500, NOW.plus(9)).await;
    let claimed = database.claims().claim(delivery_id(0, 1), 2, NOW).await;
    let Claimed::Ours(pending) = claimed.unwrap() else {
        panic!("it waits")
    };
    let second = answered(pending, 200, NOW.plus(20));
    records.record(&[second]).await.unwrap();
    let reader = database.reader();
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = reader.attempts(endpoint_id(1), before, 2, NOW).await;
        let AttemptPage { attempts, next } = page.unwrap();
        let named = |attempt: &domain::delivery::Attempt| (attempt.delivery, attempt.number);
        found.extend(attempts.iter().map(named));
        before = next;
        if before.is_none() {
            break;
        }
    }
    let expected = [(0, 2), (3, 1), (2, 1), (1, 1), (0, 1)];
    assert_eq!(
        found,
        expected.map(|(n, number)| (delivery_id(n, 1), number))
    );
    // Each is kept as long as attempts are.
    let after = NOW.plus(73 * 3_600_000);
    let page = reader
        .attempts(endpoint_id(1), None, 10, after)
        .await
        .unwrap();
    assert!(page.attempts.is_empty());
}

#[tokio::test]
async fn a_list_over_many_endpoints_is_as_one_over_few() {
    let database = Database::new();
    let mut expected = Vec::new();
    for endpoint in 0..80u8 {
        let at = NOW.plus(u64::from(endpoint.reverse_bits()));
        settle(&database, 1, endpoint, 410, at).await;
        expected.push((std::cmp::Reverse(at), delivery_id(1, endpoint)));
    }
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    let endpoints: Vec<_> = (0..80).map(endpoint_id).collect();
    for limit in [7, 80, 100] {
        assert_eq!(pages(&database, FAILED, &endpoints, limit).await, expected);
    }
}

#[tokio::test]
async fn the_earliest_of_what_is_due_comes_first_and_no_more_than_wanted() {
    let database = Database::new();
    let many: Vec<_> = (0..40).map(|n| owed(n, 1)).collect();
    for (n, owed) in many.iter().enumerate() {
        let at = NOW.plus(n as u64);
        database
            .creator()
            .create(std::slice::from_ref(owed), at)
            .await
            .unwrap();
    }
    let due = database.due();
    let now = NOW.plus(3_600_000 + 30);
    let found = due.due(endpoint_id(1), None, Some(now), 10).await.unwrap();
    let expected: Vec<_> = many[..10].iter().map(|owed| owed.id).collect();
    assert_eq!(found.iter().map(|due| due.id).collect::<Vec<_>>(), expected);
    let all = due.due(endpoint_id(1), None, Some(now), 100).await.unwrap();
    assert_eq!(all.len(), 31);
    // The index may show them still though they were taken: the next are behind them.
    let last = found.last().copied();
    let next = due.due(endpoint_id(1), last, Some(now), 100).await.unwrap();
    assert_eq!(next, all[10..]);
    let last = all.last().copied();
    assert_eq!(
        due.due(endpoint_id(1), last, Some(now), 100).await.unwrap(),
        []
    );
    let distinct: BTreeSet<_> = all.iter().map(|due| due.id).collect();
    assert_eq!(distinct.len(), 31);
    assert_eq!(
        due.due(endpoint_id(1), None, Some(now), 0).await.unwrap(),
        []
    );
    // All that are pending, whenever they are due.
    let pending = due.due(endpoint_id(1), None, None, 100).await.unwrap();
    assert_eq!(pending.len(), 40);
    assert_eq!(
        due.due(endpoint_id(2), None, Some(now), 10).await.unwrap(),
        []
    );
}
