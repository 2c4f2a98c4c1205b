//! How endpoints fare is shared by all who deliver.

use std::sync::Arc;

use domain::endpoint::{DisabledReason, EndpointStatus};
use domain::health::{
    Admission, HealthState, NoticeKind, OPENS_AFTER, Outcome, PERMIT_MS, Report, STRAINED_ATTEMPTS,
    Wait,
};
use domain::{Endpoint, EventId, Millis};
use futures::future::join_all;
use serde_json::Value;
use store::{Aftermath, Edited, EndpointCache, KnownEndpoint};

use crate::database::{Database, EVENTS};
use crate::{NOW, endpoint, endpoint_id};

const DAY: u64 = 24 * 3_600_000;

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        is_own: false,
        permit: None,
    }
}

fn failures(count: u32) -> Vec<Report> {
    let failure = report(Outcome::Failure { is_last: false });
    vec![failure; count as usize]
}

async fn known(cache: &EndpointCache, now: Millis) -> Arc<KnownEndpoint> {
    let endpoints = cache.current(now).await.unwrap();
    endpoints.get(endpoint_id(1)).unwrap().clone()
}

/// The events that tell something of the endpoint.
fn told(database: &Database) -> Vec<Value> {
    let partition = EventId::partition_of(&[b"posthorn", &[1; 16]]);
    database.partition(EVENTS, &partition)
}

async fn enable(database: &Database, now: Millis) {
    let enabled = database.editor().enable::<()>(endpoint_id(1), now).await;
    assert!(matches!(enabled, Ok(Edited::Stored(_))));
}

async fn database() -> (Database, Arc<EndpointCache>) {
    let database = Database::new();
    database.editor().create(&endpoint(1)).await.unwrap();
    let cache = Arc::new(database.cache());
    (database, cache)
}

#[tokio::test]
async fn successes_of_a_healthy_endpoint_write_nothing() {
    let (database, cache) = database().await;
    let (keeper, known) = (database.keeper(), known(&cache, NOW).await);
    database.calls();
    assert_eq!(
        keeper.admit(&known, 100, NOW).await.unwrap(),
        Admission::All
    );
    let success = report(Outcome::Success);
    keeper.after(&known, &[success; 3], NOW).await.unwrap();
    assert_eq!(database.calls(), 0);
}

#[tokio::test]
async fn everybody_stops_sending_when_the_breaker_opens_and_goes_on_when_it_closes() {
    let (database, cache) = database().await;
    let (one, other) = (database.keeper(), database.keeper());
    let before = known(&cache, NOW).await;
    let aftermath = one
        .after(&before, &failures(OPENS_AFTER), NOW)
        .await
        .unwrap();
    let kinds: Vec<_> = aftermath.notices.iter().map(|notice| notice.kind).collect();
    assert_eq!(kinds, [NoticeKind::Failing]);

    let until = NOW.plus(30_000);
    let after = known(&cache, NOW).await;
    assert_eq!(after.health.state(NOW), HealthState::Open { until });
    let closed = Admission::Some {
        permits: Vec::new(),
        others: Wait::Until(until),
    };
    database.calls();
    assert_eq!(other.admit(&after, 5, NOW).await.unwrap(), closed);
    assert_eq!(database.calls(), 0);

    // Of all who ask, one probes.
    let probes = [one.admit(&before, 5, until), other.admit(&after, 5, until)];
    let mut permits = Vec::new();
    for admission in join_all(probes).await {
        match admission.unwrap() {
            Admission::Some { permits: some, .. } => permits.extend(some),
            Admission::All => panic!("it is half-open"),
        }
    }
    assert_eq!(permits.len(), 1);
    let success = Report {
        permit: Some(permits[0]),
        ..report(Outcome::Success)
    };
    let aftermath = other.after(&after, &[success], until).await.unwrap();
    assert_eq!(aftermath.notices[0].kind, NoticeKind::Recovered);
    let healthy = known(&cache, until).await;
    assert_eq!(healthy.health.state(until), HealthState::Ok);
    assert_eq!(one.admit(&healthy, 5, until).await.unwrap(), Admission::All);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failures_that_are_noted_at_once_all_count() {
    let (database, cache) = database().await;
    let known_before = known(&cache, NOW).await;
    let note = || {
        let (keeper, known) = (database.keeper(), known_before.clone());
        tokio::spawn(async move { keeper.after(&known, &failures(1), NOW).await.unwrap() })
    };
    let mut notices = 0;
    for aftermath in join_all((0..OPENS_AFTER).map(|_| note())).await {
        notices += aftermath.unwrap().notices.len();
    }
    assert_eq!(notices, 1);
    let known = known(&cache, NOW).await;
    assert_eq!(known.health.consecutive_failures(), OPENS_AFTER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_strained_endpoint_gets_four_attempts_at_once_over_all_environments() {
    let (database, cache) = database().await;
    let healthy = known(&cache, NOW).await;
    database.keeper().strain(&healthy, NOW).await.unwrap();
    let strained = known(&cache, NOW).await;
    assert_eq!(strained.health.state(NOW), HealthState::Strained);
    let ask = |now| {
        let (keeper, known) = (database.keeper(), strained.clone());
        tokio::spawn(async move { keeper.admit(&known, 3, now).await.unwrap() })
    };
    let all = async |now| {
        let mut permits = Vec::new();
        for admission in join_all((0..8).map(|_| ask(now))).await {
            let Admission::Some {
                permits: some,
                others,
            } = admission.unwrap()
            else {
                panic!("it is strained")
            };
            assert_eq!(others, Wait::Soon);
            permits.extend(some);
        }
        permits
    };
    let permits = all(NOW).await;
    assert_eq!(permits.len(), STRAINED_ATTEMPTS);
    assert_eq!(all(NOW.plus(PERMIT_MS - 1)).await, [0; 0]);

    let back = Report {
        permit: Some(permits[0]),
        ..report(Outcome::NotMade)
    };
    database
        .keeper()
        .after(&strained, &[back], NOW)
        .await
        .unwrap();
    assert_eq!(all(NOW).await.len(), 1);
    // Those whose owners died expire.
    let later = NOW.plus(PERMIT_MS);
    assert_eq!(all(later).await.len(), STRAINED_ATTEMPTS);
}

#[tokio::test]
async fn failures_between_which_there_were_successes_are_not_in_a_row() {
    let (database, cache) = database().await;
    let (one, other) = (database.keeper(), database.keeper());
    let clean = known(&cache, NOW).await;
    for n in 0..50 {
        let now = NOW.plus(n * 10);
        // The other environment knows nothing of failures, so it notes no success.
        other
            .after(&clean, &[report(Outcome::Success)], now)
            .await
            .unwrap();
        other
            .after(&clean, &failures(1), now.plus(1))
            .await
            .unwrap();
        one.after(&clean, &failures(1), now.plus(2)).await.unwrap();
    }
    let last = known(&cache, NOW.plus(60_000)).await;
    assert!(last.health.consecutive_failures() < OPENS_AFTER);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_or_only_fails_is_disabled_and_everybody_knows() {
    for (reports, reason, at) in [
        (vec![report(Outcome::Gone)], DisabledReason::Gone, NOW),
        (failures(1), DisabledReason::Failing, NOW.plus(5 * DAY)),
    ] {
        let (database, cache) = database().await;
        let keeper = database.keeper();
        for day in [0, 2, 4] {
            let now = NOW.plus(day * DAY);
            let before = known(&cache, now).await;
            keeper.after(&before, &failures(1), now).await.unwrap();
        }
        let before = known(&cache, at).await;
        let aftermath = keeper.after(&before, &reports, at).await.unwrap();
        assert_eq!(aftermath.disabled, Some(reason.clone()));
        assert_eq!(aftermath.notices[0].kind, NoticeKind::Disabled);
        let disabled = known(&cache, at).await;
        let since = at;
        assert_eq!(
            disabled.endpoint.status,
            EndpointStatus::Disabled { reason, since }
        );
        assert_eq!(disabled.endpoint.version, before.endpoint.version + 1);

        // Who comes with the same a moment later disables nothing, and tells nothing new.
        let other = database.keeper();
        let again = other.after(&before, &reports, at).await.unwrap();
        assert_eq!(again.disabled, None);
        assert_eq!(told(&database).len(), 1);

        // Enabled again, it is as good as new.
        enable(&database, at).await;
        let enabled = known(&cache, at).await;
        assert_eq!(enabled.health.state(at), HealthState::Ok);
        let aftermath = keeper.after(&enabled, &failures(1), at).await.unwrap();
        assert_eq!(aftermath.disabled, None);
        assert!(known(&cache, at).await.endpoint.is_enabled());
    }
}

#[tokio::test]
async fn what_is_told_is_told_once_whatever_fails_after_it() {
    for (reports, operation) in [
        (failures(OPENS_AFTER), "UpdateItem"),
        (vec![report(Outcome::Gone)], "TransactWriteItems"),
    ] {
        let (database, cache) = database().await;
        let before = known(&cache, NOW).await;
        database.set_broken(Some(operation));
        let keeper = database.keeper();
        assert!(keeper.after(&before, &reports, NOW).await.is_err());
        assert!(known(&cache, NOW).await.endpoint.is_enabled());
        assert_eq!(told(&database).len(), 1);

        database.set_broken(None);
        let before = known(&cache, NOW).await;
        let aftermath = keeper.after(&before, &reports, NOW).await.unwrap();
        assert_eq!(aftermath.notices.len(), 1, "{operation}");
        assert_eq!(told(&database).len(), 1, "{operation}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_told_next_time_and_disables_nothing_before() {
    let (database, cache) = database().await;
    let keeper = database.keeper();
    database.set_broken(Some("PutItem"));
    let reports = [failures(OPENS_AFTER), vec![report(Outcome::Gone)]].concat();
    let before = known(&cache, NOW).await;
    let aftermath = keeper.after(&before, &reports, NOW).await.unwrap();
    assert_eq!(aftermath, Aftermath::default());
    // It opens all the same.
    let before = known(&cache, NOW).await;
    assert_eq!(before.health.capacity(NOW), Some(0));
    assert!(before.endpoint.is_enabled());

    database.set_broken(None);
    let gone = [report(Outcome::Gone)];
    let aftermath = keeper.after(&before, &gone, NOW).await.unwrap();
    assert_eq!(aftermath.disabled, Some(DisabledReason::Gone));
    assert_eq!(told(&database).len(), 1);
}

#[tokio::test]
async fn nothing_is_told_that_does_not_follow_any_more() {
    let (database, cache) = database().await;
    let days = |days: u64| NOW.plus(days * DAY);
    let (one, other) = (database.keeper(), database.keeper());
    for day in [0, 2, 4] {
        one.after(&*known(&cache, days(day)).await, &failures(1), days(day))
            .await
            .unwrap();
    }
    // The other knows that it has failed for five days, and not that it has just succeeded.
    let now = days(5);
    let stale = known(&cache, now).await;
    let success = [report(Outcome::Success)];
    one.after(&stale, &success, now).await.unwrap();
    let aftermath = other.after(&stale, &failures(1), now).await.unwrap();
    assert_eq!(aftermath, Aftermath::default());
    assert_eq!(told(&database).len(), 0);
    let known = known(&database.cache(), now).await;
    assert_eq!(known.health.consecutive_failures(), 1);
    assert!(known.endpoint.is_enabled());
}

#[tokio::test]
async fn of_an_endpoint_that_somebody_has_disabled_or_deleted_nothing_is_told() {
    for is_deleted in [false, true] {
        let (database, cache) = database().await;
        let before = known(&cache, NOW).await;
        let editor = database.editor();
        if is_deleted {
            assert!(editor.delete(endpoint_id(1), NOW).await.unwrap());
        } else {
            let disable = |endpoint: &mut Endpoint| {
                let reason = DisabledReason::Asked("moving".to_owned());
                endpoint.status = EndpointStatus::Disabled { reason, since: NOW };
                Ok::<_, std::convert::Infallible>(())
            };
            editor.edit(endpoint_id(1), NOW, disable).await.unwrap();
        }
        let gone = [report(Outcome::Gone)];
        let aftermath = database.keeper().after(&before, &gone, NOW).await.unwrap();
        assert_eq!(aftermath, Aftermath::default());
        assert_eq!(told(&database).len(), 0);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_disabled_twice_in_an_hour_is_told_of_twice() {
    let (database, cache) = database().await;
    for times in 1..=2 {
        let before = known(&cache, NOW).await;
        let gone = [report(Outcome::Gone)];
        let aftermath = database.keeper().after(&before, &gone, NOW).await.unwrap();
        assert_eq!(aftermath.disabled, Some(DisabledReason::Gone));
        assert_eq!(told(&database).len(), times);
        enable(&database, NOW).await;
    }
}

#[tokio::test]
async fn enabling_closes_the_breaker_of_an_endpoint_that_is_enabled() {
    let (database, cache) = database().await;
    let before = known(&cache, NOW).await;
    let keeper = database.keeper();
    keeper
        .after(&before, &failures(OPENS_AFTER), NOW)
        .await
        .unwrap();
    enable(&database, NOW).await;
    let enabled = known(&cache, NOW).await;
    assert_eq!(enabled.health.state(NOW), HealthState::Ok);
    assert_eq!(
        keeper.admit(&enabled, 5, NOW).await.unwrap(),
        Admission::All
    );
}

#[tokio::test]
async fn how_an_endpoint_fares_is_noted_anew_when_it_cannot_be_read() {
    let (database, cache) = database().await;
    let before = known(&cache, NOW).await;
    database
        .keeper()
        .after(&before, &failures(3), NOW)
        .await
        .unwrap();
    database.damage_health(endpoint_id(1));
    let damaged = known(&database.cache(), NOW).await;
    assert_eq!(damaged.health.consecutive_failures(), 0);
    database
        .keeper()
        .after(&damaged, &failures(1), NOW)
        .await
        .unwrap();
    let after = known(&database.cache(), NOW).await;
    assert_eq!(after.health.consecutive_failures(), 1);
}
