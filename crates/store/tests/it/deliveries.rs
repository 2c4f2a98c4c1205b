//! Deliveries are created once, and each of their attempts is made by one.

use domain::delivery::CLAIM_MS;
use domain::delivery::{DeliveryMessage, ErrorClass, Exchange, Pending};
use domain::{Delivery, DeliveryStatus, Millis, RetrySchedule};
use futures::future::join_all;
use store::deliveries::DeliveryWithAttempts;
use store::{Claimed, DeliveryRecord, PutOff, Retried};

use crate::database::Database;
use crate::{HOUR, NOW, answered, delivery_id, endpoint_id, event_id, owed, settled};

async fn create(database: &Database, event: u32, endpoint: u8) -> Delivery {
    let created = database
        .creator()
        .create(&[owed(event, endpoint)], NOW)
        .await;
    created.unwrap().to_send.remove(0)
}

async fn claim(database: &Database, attempt: u16, now: Millis) -> Claimed {
    let claims = database.claims();
    claims.claim(delivery_id(1, 1), attempt, now).await.unwrap()
}

async fn ours(database: &Database, attempt: u16, now: Millis) -> Pending {
    match claim(database, attempt, now).await {
        Claimed::Ours(pending) => pending,
        other => panic!("{other:?}"),
    }
}

async fn row(database: &Database) -> Delivery {
    let rows = database.reader().get(&[delivery_id(1, 1)], NOW).await;
    rows.unwrap().remove(0)
}

/// Fails the attempt of this number, after which there is another.
async fn fail(database: &Database, records: &DeliveryRecord, attempt: u16, now: Millis) {
    let pending = ours(database, attempt, now).await;
    records
        .record(&[answered(pending, 500, now)])
        .await
        .unwrap();
}

#[tokio::test]
async fn creating_twice_makes_no_second() {
    let database = Database::new();
    let creator = database.creator();
    let both = [owed(1, 1), owed(1, 2), owed(1, 1)];
    let first = creator.create(&both, NOW).await.unwrap();
    assert_eq!(first.to_send.len(), 2);
    assert!(first.existing.is_empty() && first.failed.is_empty());

    // As long as none was tried, its message may be lost.
    let again = creator.create(&both, NOW.plus(9)).await.unwrap();
    assert_eq!(again.to_send, first.to_send);

    let pending = ours(&database, 1, NOW).await;
    let again = creator.create(&both, NOW).await.unwrap();
    assert_eq!(again.to_send, first.to_send[1..]);
    assert_eq!(again.existing, [pending.delivery().clone()]);

    let settled = answered(pending, 200, NOW);
    database.records().record(&[settled]).await.unwrap();
    let again = creator.create(&both, NOW).await.unwrap();
    assert_eq!(again.existing[0].status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn many_are_created_though_dynamodb_is_slow() {
    let database = Database::new();
    let many: Vec<_> = (0..60).map(|n| owed(n, 1)).collect();
    database.throttle(2);
    database.halve(3);
    let created = database.creator().create(&many, NOW).await.unwrap();
    assert_eq!((created.to_send.len(), created.failed.len()), (60, 0));
    let ids: Vec<_> = many.iter().map(|owed| owed.id).collect();
    let rows = database.reader().get(&ids, NOW).await.unwrap();
    assert_eq!(rows.len(), 60);
}

#[tokio::test]
async fn what_is_not_stored_is_told() {
    let database = Database::new();
    let many: Vec<_> = (0..3).map(|n| owed(n, 1)).collect();
    database.halve(1);
    database.set_broken(Some("BatchWriteItem"));
    let created = database.creator().create(&many, NOW).await.unwrap();
    assert_eq!((created.to_send.len(), created.failed.len()), (1, 2));
    assert!(!created.failed.contains(&created.to_send[0].id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_who_come_with_a_number_one_makes_the_attempt() {
    let database = Database::new();
    create(&database, 1, 1).await;
    let claims = database.claims();
    for round in 1..=3 {
        let claim = || {
            let claims = claims.clone();
            let claim = async move { claims.claim(delivery_id(1, 1), round, NOW).await.unwrap() };
            tokio::spawn(claim)
        };
        let mut pending = Vec::new();
        for claimed in join_all((0..20).map(|_| claim())).await {
            match claimed.unwrap() {
                Claimed::Ours(ours) => pending.push(ours),
                Claimed::NotOurs => {}
                Claimed::Missing => panic!("it is there"),
            }
        }
        assert_eq!(pending.len(), 1);
        let settled = answered(pending.remove(0), 500, NOW);
        database.records().record(&[settled]).await.unwrap();
    }
}

#[tokio::test]
async fn only_the_attempt_to_come_can_be_claimed() {
    let database = Database::new();
    assert_eq!(claim(&database, 1, NOW).await, Claimed::Missing);
    create(&database, 1, 1).await;
    assert_eq!(claim(&database, 2, NOW).await, Claimed::NotOurs);
    fail(&database, &database.records(), 1, NOW).await;
    assert_eq!(claim(&database, 1, NOW).await, Claimed::NotOurs);
    let pending = ours(&database, 2, NOW).await;
    let settled = answered(pending, 204, NOW);
    database.records().record(&[settled]).await.unwrap();
    assert_eq!(claim(&database, 3, NOW).await, Claimed::NotOurs);
}

#[tokio::test]
async fn a_claim_whose_owner_died_is_taken_over_after_its_minute() {
    let database = Database::new();
    create(&database, 1, 1).await;
    ours(&database, 1, NOW).await;
    assert_eq!(
        claim(&database, 1, NOW.plus(CLAIM_MS)).await,
        Claimed::NotOurs
    );
    assert_eq!(
        claim(&database, 2, NOW.plus(CLAIM_MS + 1)).await,
        Claimed::NotOurs
    );
    let pending = ours(&database, 1, NOW.plus(CLAIM_MS + 1)).await;
    assert_eq!(pending.number(), 1);
    assert_eq!(
        claim(&database, 1, NOW.plus(CLAIM_MS + 2)).await,
        Claimed::NotOurs
    );
}

#[tokio::test]
async fn a_claim_of_a_clock_that_was_ahead_by_an_hour_is_taken_over_and_one_of_minutes_holds() {
    let database = Database::new();
    create(&database, 1, 1).await;
    ours(&database, 1, NOW).await;
    let minutes = NOW.minus(5 * 60_000);
    assert_eq!(claim(&database, 1, minutes).await, Claimed::NotOurs);
    let pending = ours(&database, 1, NOW.minus(3_600_000)).await;
    assert_eq!(pending.number(), 1);
}

#[tokio::test]
async fn each_attempt_is_on_record_and_the_delivery_says_how_it_stands() {
    let database = Database::new();
    let records = database.records();
    create(&database, 1, 1).await;
    create(&database, 1, 2).await;
    fail(&database, &records, 1, NOW).await;
    let waiting = row(&database).await;
    assert_eq!(waiting.status, DeliveryStatus::Pending);
    assert_eq!((waiting.attempts, waiting.recorded), (1, 1));
    // Ten seconds to wait, and ten minutes for the message to get lost.
    assert_eq!(waiting.due_at, Some(NOW.plus(610_000)));
    assert_eq!(
        waiting.message(),
        DeliveryMessage::new(delivery_id(1, 1), 2)
    );

    let pending = ours(&database, 2, NOW.plus(10_000)).await;
    let exchange = Exchange {
        at: NOW.plus(10_000),
        duration_ms: 5_000,
        outcome: Err(ErrorClass::Timeout),
    };
    let schedule = RetrySchedule::new(vec![1]).unwrap();
    let last = settled(pending, exchange, &schedule, NOW.plus(15_000));
    records.record(std::slice::from_ref(&last)).await.unwrap();

    let reader = database.reader();
    let event = reader.of_event(event_id(1), None, 50, NOW).await.unwrap();
    assert_eq!(event.next, None);
    let [DeliveryWithAttempts { delivery, attempts }, other] = &event.deliveries[..] else {
        panic!("{event:?}")
    };
    assert_eq!(delivery.status, DeliveryStatus::Failed);
    assert_eq!(delivery.settled_at, Some(NOW.plus(15_000)));
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(attempts[0], last.attempt);
    assert_eq!(other.delivery.id, delivery_id(1, 2));
    assert!(other.attempts.is_empty());

    let page = reader.of_event(event_id(1), None, 1, NOW).await.unwrap();
    assert_eq!(page.next, Some(endpoint_id(1)));
    let page = reader
        .of_event(event_id(1), page.next, 1, NOW)
        .await
        .unwrap();
    assert_eq!(page.deliveries[0].delivery.id, delivery_id(1, 2));
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn a_delivery_that_is_put_off_burns_no_attempt_and_is_due_then() {
    let database = Database::new();
    let (records, due) = (database.records(), database.due());
    create(&database, 1, 1).await;
    let until = NOW.plus(30_000);
    let off = |attempt| PutOff {
        id: delivery_id(1, 1),
        attempt,
        until,
        keep_ms: HOUR,
    };
    records.put_off(off(2), NOW).await.unwrap();
    assert_eq!(
        due.due(endpoint_id(1), None, Some(until), 10)
            .await
            .unwrap(),
        []
    );
    records.put_off(off(1), NOW).await.unwrap();
    assert_eq!(
        due.due(endpoint_id(1), None, Some(until.minus(1)), 10)
            .await
            .unwrap(),
        []
    );
    let found = due
        .due(endpoint_id(1), None, Some(until), 10)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);

    let again = until.plus(600_000);
    let taken = due.take(found[0], until).await.unwrap().unwrap();
    assert_eq!((taken.next_attempt(), taken.due_at), (1, Some(again)));
    // Nobody else takes it.
    assert_eq!(due.take(found[0], until).await.unwrap(), None);
    assert_eq!(
        due.due(endpoint_id(1), None, Some(until), 10)
            .await
            .unwrap(),
        []
    );
    ours(&database, 1, until).await;
    records.put_off(off(1), until).await.unwrap();
    assert_eq!(row(&database).await.due_at, Some(again));
}

#[tokio::test]
async fn what_nothing_happens_to_is_taken_less_and_less_often() {
    let database = Database::new();
    let (records, due) = (database.records(), database.due());
    create(&database, 1, 1).await;
    let mut now = NOW.plus(HOUR);
    let mut waits = Vec::new();
    let mut take = async |now: Millis| {
        let found = due.due(endpoint_id(1), None, Some(now), 10).await.unwrap();
        due.take(found[0], now).await.unwrap().unwrap();
        let again = row(&database).await.due_at.unwrap();
        waits.push((again.0 - now.0) / 60_000);
        again
    };
    for _ in 0..7 {
        now = take(now).await;
    }
    // Its message has come after all, and it is put off.
    let off = PutOff {
        id: delivery_id(1, 1),
        attempt: 1,
        until: now,
        keep_ms: HOUR,
    };
    records.put_off(off, now).await.unwrap();
    take(now).await;
    assert_eq!(waits, [10, 20, 40, 80, 160, 240, 240, 10]);
}

#[tokio::test]
async fn what_is_taken_and_given_back_is_due_at_once_and_does_not_count() {
    let database = Database::new();
    let due = database.due();
    create(&database, 1, 1).await;
    let now = NOW.plus(HOUR);
    for _ in 0..3 {
        let found = due.due(endpoint_id(1), None, Some(now), 10).await.unwrap();
        let taken = due.take(found[0], now).await.unwrap().unwrap();
        assert_eq!(taken.due_at, Some(now.plus(600_000)));
        assert_eq!(row(&database).await.due_at, taken.due_at);
        due.give_back(&taken, now).await.unwrap();
    }
}

#[tokio::test]
async fn a_delivery_whose_attempt_is_under_way_is_let_alone() {
    let database = Database::new();
    let (records, due) = (database.records(), database.due());
    create(&database, 1, 1).await;
    let later = NOW.plus(HOUR);
    let found = due
        .due(endpoint_id(1), None, Some(later), 10)
        .await
        .unwrap();
    let pending = ours(&database, 1, later).await;
    let claimed = pending.delivery().clone();
    assert_eq!(due.take(found[0], later).await.unwrap(), None);
    records.cancel(delivery_id(1, 1), later).await.unwrap();
    let retried = database
        .retries()
        .retry(delivery_id(1, 1), HOUR, later)
        .await;
    assert_eq!(retried.unwrap(), Retried::UnderWay);
    assert_eq!(row(&database).await, claimed);
    // Its owner died.
    let dead = later.plus(CLAIM_MS + 1);
    assert!(due.take(found[0], dead).await.unwrap().is_some());
}

#[tokio::test]
async fn a_cancelled_delivery_is_not_tried() {
    let database = Database::new();
    create(&database, 1, 1).await;
    database
        .records()
        .cancel(delivery_id(1, 1), NOW)
        .await
        .unwrap();
    let row = row(&database).await;
    assert_eq!((row.status, row.due_at), (DeliveryStatus::Cancelled, None));
    assert_eq!(row.settled_at, Some(NOW));
    assert_eq!(claim(&database, 1, NOW).await, Claimed::NotOurs);
    let later = NOW.plus(2 * HOUR);
    assert_eq!(
        database
            .due()
            .due(endpoint_id(1), None, Some(later), 10)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn a_settled_delivery_can_be_tried_once_more_and_only_once() {
    let database = Database::new();
    let (records, retries) = (database.records(), database.retries());
    create(&database, 1, 1).await;
    let pending = ours(&database, 1, NOW).await;
    let no_more = RetrySchedule::new(Vec::new()).unwrap();
    let refused = Exchange {
        at: NOW,
        duration_ms: 1,
        outcome: Err(ErrorClass::Refused),
    };
    let failed = settled(pending, refused, &no_more, NOW);
    records.record(&[failed]).await.unwrap();

    let Retried::Send(delivery) = retries.retry(delivery_id(1, 1), HOUR, NOW).await.unwrap() else {
        panic!("it is settled")
    };
    assert!(delivery.once && delivery.settled_at.is_none());
    assert_eq!(delivery.message().attempt, 2);
    // Who asks twice, or whose answer was lost, makes no second.
    let again = retries.retry(delivery_id(1, 1), HOUR, NOW).await.unwrap();
    assert_eq!(again, Retried::Send(delivery));
    // By the endpoint's own schedule there would be another.
    fail(&database, &records, 2, NOW).await;
    assert_eq!(row(&database).await.status, DeliveryStatus::Failed);
    let missing = retries.retry(delivery_id(9, 1), HOUR, NOW).await.unwrap();
    assert_eq!(missing, Retried::Missing);
}

#[tokio::test]
async fn a_waiting_delivery_that_is_tried_at_once_keeps_its_schedule() {
    let database = Database::new();
    let records = database.records();
    create(&database, 1, 1).await;
    fail(&database, &records, 1, NOW).await;
    let waiting = row(&database).await;
    let retried = database.retries().retry(delivery_id(1, 1), HOUR, NOW).await;
    assert_eq!(retried.unwrap(), Retried::Send(waiting));
    // Now, and later the message that waited, which finds it made.
    fail(&database, &records, 2, NOW).await;
    assert_eq!(
        claim(&database, 2, NOW.plus(10_000)).await,
        Claimed::NotOurs
    );
    let row = row(&database).await;
    // The third of the steps is a minute, the second half of one.
    assert_eq!(row.due_at, Some(NOW.plus(30_000 + 600_000)));
    assert!(!row.once);
}

#[tokio::test]
async fn an_expired_delivery_is_gone() {
    let database = Database::new();
    let delivery = create(&database, 1, 1).await;
    let after = delivery.expires_at.plus(1_000);
    let reader = database.reader();
    assert_eq!(reader.get(&[delivery.id], after).await.unwrap(), []);
    let event = reader.of_event(event_id(1), None, 9, after).await.unwrap();
    assert!(event.deliveries.is_empty());
    let created = database
        .creator()
        .create(&[owed(1, 1)], after)
        .await
        .unwrap();
    assert_eq!(created.to_send[0].created_at, after);
}

#[tokio::test]
async fn a_delivery_costs_what_the_documents_say() {
    let database = Database::new();
    create(&database, 1, 1).await;
    assert_eq!(database.write_units(), 2, "created");
    let pending = ours(&database, 1, NOW).await;
    assert_eq!(database.write_units(), 1, "claimed");
    let retry = answered(pending, 500, NOW);
    database.records().record(&[retry]).await.unwrap();
    assert_eq!(database.write_units(), 5, "failed, to be tried again");
    for (now, units) in [(NOW.plus(HOUR), 3), (NOW.plus(2 * HOUR), 6)] {
        let due = database.due();
        let found = due.due(endpoint_id(1), None, Some(now), 10).await.unwrap();
        due.take(found[0], now).await.unwrap();
        assert_eq!(database.write_units(), units, "taken");
    }
    let pending = ours(&database, 2, NOW).await;
    database.write_units();
    let delivered = answered(pending, 200, NOW);
    database.records().record(&[delivered]).await.unwrap();
    assert_eq!(database.write_units(), 5, "delivered");
}
