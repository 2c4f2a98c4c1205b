//! Laws of the state machine.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::endpoint::{
    CustomHeaders, Endpoint, EndpointId, EndpointStatus, Secrets, Settings, Subscription, TargetUrl,
};
use crate::redacted::Redacted;
use crate::retry::RetrySchedule;
use crate::signing::SigningSecret;

const NOW: Millis = Millis(1_795_300_000_000);
const HOUR: u64 = 3_600_000;
const SCALE: fn() -> TimeScale = TimeScale::default;

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        is_own: false,
        permit: None,
    }
}

fn failure() -> Report {
    report(Outcome::Failure { is_last: false })
}

/// The state after these reports, and what was told.
fn after(health: &Health, reports: &[Report], now: Millis) -> (Health, Vec<NoticeKind>) {
    match health.after(reports, now, SCALE()) {
        Some(turn) => {
            let kinds = turn.notices.iter().map(|notice| notice.kind);
            (turn.health, kinds.collect())
        }
        None => (health.clone(), Vec::new()),
    }
}

fn open() -> Health {
    after(&Health::default(), &[failure(); 10], NOW).0
}

#[test]
fn ten_failures_in_a_row_open_the_breaker() {
    let (nine, told) = after(&Health::default(), &[failure(); 9], NOW);
    assert_eq!((nine.state(NOW), told), (HealthState::Failing, Vec::new()));
    assert_eq!(nine.admit(5, NOW, SCALE()), (None, Admission::All));
    let (ten, told) = after(&nine, &[failure()], NOW);
    let until = NOW.plus(30_000);
    assert_eq!(ten.state(NOW), HealthState::Open { until });
    assert_eq!(told, [NoticeKind::Failing]);
    let (ok, _) = after(&nine, &[report(Outcome::Success), failure()], NOW);
    assert_eq!(ok.consecutive_failures(), 1);
}

#[test]
fn times_of_a_clock_that_was_ahead_hold_nobody_up() {
    let ahead = NOW.plus(HOUR);
    let (open, _) = after(&Health::default(), &[failure(); 10], ahead);
    assert_eq!(open.state(NOW), HealthState::HalfOpen);
    assert_eq!(open.capacity(NOW), Some(1));
    let strained = Health::default().strain(ahead).unwrap().health;
    assert_eq!(strained.state(NOW), HealthState::Ok);
    // Nor permits that nobody gives back.
    let (held, _) = strained.admit(STRAINED_ATTEMPTS, ahead, SCALE());
    let slow = held.unwrap().strain(NOW).unwrap().health;
    let (_, admission) = slow.admit(1, NOW, SCALE());
    assert!(matches!(admission, Admission::Some { permits, .. } if permits.len() == 1));
    // A clock that is some minutes ahead is believed.
    let (open, _) = after(&Health::default(), &[failure(); 10], NOW.plus(5 * 60_000));
    assert!(matches!(open.state(NOW), HealthState::Open { .. }));
}

#[test]
fn one_delivery_alone_does_not_open_it_by_the_default_schedule() {
    let attempts = crate::retry::RetrySchedule::default().steps().len() + 1;
    let (health, _) = after(&Health::default(), &vec![failure(); attempts], NOW);
    assert_eq!(health.capacity(NOW), None);
}

#[test]
fn nothing_is_sent_while_it_is_open_and_then_one_probe() {
    let health = open();
    let until = NOW.plus(30_000);
    let refused = Admission::Some {
        permits: Vec::new(),
        others: Wait::Until(until),
    };
    assert_eq!(health.admit(5, until.minus(1), SCALE()), (None, refused));
    let (probing, admission) = health.admit(5, until, SCALE());
    let Admission::Some { permits, others } = admission else {
        panic!("it is half-open")
    };
    assert_eq!(
        (permits.len(), others),
        (1, Wait::Until(until.plus(30_000)))
    );
    let (_, admission) = probing.unwrap().admit(5, until, SCALE());
    assert!(matches!(admission, Admission::Some { permits, .. } if permits.is_empty()));
}

#[test]
fn each_probe_that_fails_opens_it_for_twice_as_long_up_to_five_minutes() {
    let (mut health, mut now, mut waits) = (open(), NOW, Vec::new());
    for _ in 0..7 {
        let HealthState::Open { until } = health.state(now) else {
            panic!("it is open")
        };
        waits.push((until.0 - now.0) / 1_000);
        now = until;
        health = after(&health, &[failure()], now).0;
    }
    assert_eq!(waits, [30, 60, 120, 240, 300, 300, 300]);
    let (closed, told) = after(&health, &[report(Outcome::Success)], now);
    assert_eq!(closed.state(now), HealthState::Ok);
    assert_eq!(told, [NoticeKind::Recovered]);
    let (again, _) = after(&closed, &[failure(); 10], now);
    let until = now.plus(30_000);
    assert_eq!(again.state(now), HealthState::Open { until });
}

#[test]
fn a_failure_of_before_it_opened_does_not_prolong_it() {
    let (health, _) = after(&open(), &[failure()], NOW.plus(5));
    let until = NOW.plus(30_000);
    assert_eq!(health.state(NOW.plus(5)), HealthState::Open { until });
}

#[test]
fn five_days_of_nothing_but_failure_disable_it() {
    let days = |days: u64| NOW.plus(days * 24 * HOUR);
    let mut health = Health::default();
    for day in [0, 2, 4] {
        health = after(&health, &[failure()], days(day)).0;
    }
    let turn = health
        .after(&[failure()], days(5).minus(1), SCALE())
        .unwrap();
    assert_eq!(turn.disable, None);
    let turn = health.after(&[failure()], days(5), SCALE()).unwrap();
    assert_eq!(turn.disable, Some(DisabledReason::Failing));
    assert_eq!(turn.notices[0].kind, NoticeKind::Disabled);
    health = after(&health, &[report(Outcome::Success)], days(4)).0;
    for day in 5..=9 {
        let turn = health.after(&[failure()], days(day), SCALE()).unwrap();
        assert_eq!(turn.disable, None);
        health = turn.health;
    }
    assert!(
        health
            .after(&[failure()], days(10), SCALE())
            .unwrap()
            .disable
            .is_some()
    );
}

#[test]
fn the_five_days_pass_faster_where_time_does() {
    let scale = TimeScale::new(60);
    let mut health = Health::default();
    for minutes in [0, 40, 80, 119] {
        let turn = health
            .after(&[failure()], NOW.plus(minutes * 60_000), scale)
            .unwrap();
        assert_eq!(turn.disable, None);
        health = turn.health;
    }
    let turn = health
        .after(&[failure()], NOW.plus(2 * HOUR), scale)
        .unwrap();
    assert_eq!(turn.disable, Some(DisabledReason::Failing));
}

#[test]
fn a_failure_a_week_disables_nothing() {
    let mut health = Health::default();
    for week in 0..10 {
        let now = NOW.plus(week * 7 * 24 * HOUR);
        let turn = health.after(&[failure()], now, SCALE()).unwrap();
        assert_eq!(
            (turn.disable, turn.health.failing_since()),
            (None, Some(now))
        );
        health = turn.health;
    }
}

#[test]
fn gone_disables_it_at_once() {
    let turn = Health::default()
        .after(&[report(Outcome::Gone); 3], NOW, SCALE())
        .unwrap();
    assert_eq!(turn.disable, Some(DisabledReason::Gone));
    assert_eq!(turn.notices.len(), 1);
}

#[test]
fn failures_of_our_own_events_tell_nothing_but_that_it_is_disabled() {
    let own = |outcome| Report {
        is_own: true,
        ..report(outcome)
    };
    let last = own(Outcome::Failure { is_last: true });
    let (health, told) = after(&Health::default(), &[last; 30], NOW);
    assert_eq!(told, []);
    assert_eq!(health.capacity(NOW), Some(0));
    let (health, told) = after(&health, &[last], NOW.plus(2 * 24 * HOUR));
    assert_eq!(told, []);
    let (health, told) = after(&health, &[last], NOW.plus(4 * 24 * HOUR));
    assert_eq!(told, []);
    let (_, told) = after(&health, &[last], NOW.plus(5 * 24 * HOUR));
    assert_eq!(told, [NoticeKind::Disabled]);
    let (_, told) = after(&health, &[own(Outcome::Gone)], NOW);
    assert_eq!(told, [NoticeKind::Disabled]);
}

#[test]
fn what_happens_often_is_told_once_an_hour_with_how_often() {
    let last = report(Outcome::Failure { is_last: true });
    let counts = |health: &Health, now| -> (Health, Vec<u32>) {
        let turn = health.after(&[last; 5], now, SCALE()).unwrap();
        let told = turn.notices.iter();
        let exhausted = told.filter(|notice| notice.kind == NoticeKind::Exhausted);
        (
            turn.health.clone(),
            exhausted.map(|notice| notice.count).collect(),
        )
    };
    let (health, told) = counts(&Health::default(), NOW);
    assert_eq!(told, [1]);
    let (health, told) = counts(&health, NOW);
    assert_eq!(told, [0u32; 0]);
    // 4 and 5 from before, and this one.
    let (_, told) = counts(&health, NOW.plus(HOUR));
    assert_eq!(told, [10]);
}

#[test]
fn what_could_not_be_told_is_told_next_time_and_disables_nothing_before() {
    let last = report(Outcome::Failure { is_last: true });
    let before = Health::default();
    let turn = before
        .after(&[last, report(Outcome::Gone)], NOW, SCALE())
        .unwrap();
    let untold = turn.untold(&before);
    assert_eq!((untold.notices.len(), untold.disable), (0, None));
    assert_eq!(untold.health.consecutive_failures(), 2);
    let reports = [last, report(Outcome::Gone)];
    let next = untold.health.after(&reports, NOW, SCALE()).unwrap();
    let told = next
        .notices
        .iter()
        .map(|notice| (notice.kind, notice.count));
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [(NoticeKind::Exhausted, 2), (NoticeKind::Disabled, 1)]
    );
}

#[test]
fn an_endpoint_whose_recovery_could_not_be_told_recovers_once_more() {
    let (open, later) = (open(), NOW.plus(OPEN_MS));
    let success = [report(Outcome::Success)];
    let turn = open.after(&success, later, SCALE()).unwrap();
    assert_eq!(turn.health.state(later), HealthState::Ok);
    let untold = turn.untold(&open);
    assert_eq!(untold.health.state(later), HealthState::HalfOpen);
    let next = untold.health.after(&success, later, SCALE()).unwrap();
    let told = next
        .notices
        .iter()
        .map(|notice| (notice.kind, notice.count));
    assert_eq!(told.collect::<Vec<_>>(), [(NoticeKind::Recovered, 1)]);
    assert_eq!(next.health.state(later), HealthState::Ok);
}

#[test]
fn a_permit_of_before_it_was_forgotten_is_none_of_those_after() {
    let strained = |health: Health| health.strain(NOW).unwrap().health;
    let permits = |health: &Health| match health.admit(3, NOW, SCALE()).1 {
        Admission::Some { permits, .. } => permits,
        Admission::All => panic!("it is strained"),
    };
    let before = permits(&strained(Health::default()));
    let after = permits(&strained(Health::forgotten(NOW)));
    assert!(before.iter().all(|number| !after.contains(number)));
}

#[test]
fn a_slow_endpoint_gets_four_at_once_for_a_minute() {
    let turn = Health::default().strain(NOW).unwrap();
    assert!(turn.is_urgent);
    let strained = turn.health;
    assert_eq!(strained.capacity(NOW.plus(59_999)), Some(STRAINED_ATTEMPTS));
    assert_eq!(strained.capacity(NOW.plus(60_000)), None);
    // Seen again, it is prolonged now and then, which nobody has to know at once.
    assert_eq!(strained.strain(NOW.plus(29_999)), None);
    let longer = strained.strain(NOW.plus(30_000)).unwrap();
    assert!(!longer.is_urgent);
    assert_eq!(
        longer.health.capacity(NOW.plus(89_999)),
        Some(STRAINED_ATTEMPTS)
    );
}

#[test]
fn a_notice_becomes_an_event_with_one_id_an_hour() {
    let notice = |kind, at| Notice { kind, count: 1, at };
    let (one, health) = (endpoint(1), Health::default());
    let hour = Millis(NOW.0 / HOUR * HOUR);
    let ids: HashSet<_> = [0, 1, HOUR - 1]
        .map(|ms| notice(NoticeKind::Failing, hour.plus(ms)).event_id(&one, &health, None))
        .into();
    assert_eq!(ids.len(), 1);
    let mut all: HashSet<_> = NoticeKind::ALL
        .map(|kind| notice(kind, hour).event_id(&one, &health, None))
        .into();
    all.insert(notice(NoticeKind::Failing, hour.plus(HOUR)).event_id(&one, &health, None));
    all.insert(notice(NoticeKind::Failing, hour).event_id(&endpoint(2), &health, None));
    assert_eq!(all.len(), 6);
}

#[test]
fn that_it_was_disabled_is_told_each_time_and_once_by_all_who_disable_it() {
    let told = |health: &Health, endpoint: &Endpoint, outcome, now| {
        let turn = health.after(&[report(outcome)], now, SCALE()).unwrap();
        let disabled = |notice: &&Notice| notice.kind == NoticeKind::Disabled;
        let notice = turn.notices.iter().find(disabled).unwrap();
        let id = notice.event_id(endpoint, &turn.health, turn.disable.as_ref());
        (turn.health, id)
    };
    let mut endpoint = endpoint(1);
    let new = Health::default();
    let (health, first) = told(&new, &endpoint, Outcome::Gone, NOW);
    let (_, again) = told(&health, &endpoint, Outcome::Gone, NOW.plus(1));
    let (_, other) = told(&new, &endpoint, Outcome::Gone, NOW.plus(2));
    assert_eq!((again, other), (first, first));

    let failing = |since: u64| {
        let (first, next) = (NOW.plus(since), NOW.plus(since + 3 * 24 * HOUR));
        let health = after(&new, &[failure()], first).0;
        after(&health, &[failure()], next).0
    };
    let failure = Outcome::Failure { is_last: false };
    let later = NOW.plus(6 * 24 * HOUR);
    let (_, of_one) = told(&failing(0), &endpoint, failure, later);
    let (_, of_other) = told(&failing(5), &endpoint, failure, later);
    let (_, at_once) = told(&failing(0), &endpoint, failure, later.plus(9));
    assert_eq!(of_one, at_once);
    assert!(of_one != of_other && of_one != first);

    // Enabled again in the same second.
    endpoint.version += 2;
    assert_ne!(told(&new, &endpoint, Outcome::Gone, NOW).1, first);
}

fn endpoint(id: u8) -> Endpoint {
    Endpoint {
        id: EndpointId::new([id; 16]),
        settings: Settings {
            url: TargetUrl::stored("https://a.example/".to_owned()),
            description: String::new(),
            subscription: Subscription::default(),
            headers: CustomHeaders::default(),
            schedule: RetrySchedule::default(),
            rate_limit: None,
        },
        status: EndpointStatus::Enabled,
        secrets: Secrets::new(SigningSecret::generate([1; 32]), NOW),
        ingest_secret: Redacted(String::new()),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    }
}

#[test]
fn a_state_is_read_as_it_was_stored_and_an_older_one_too() {
    let mut health = open();
    health = health.strain(NOW).unwrap().health;
    health = health.admit(1, NOW.plus(30_000), SCALE()).0.unwrap();
    let json = serde_json::to_string(&health).unwrap();
    assert_eq!(serde_json::from_str::<Health>(&json).unwrap(), health);
    assert_eq!(
        serde_json::from_str::<Health>("{}").unwrap(),
        Health::default()
    );
}

/// Something that happens to an endpoint.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Report(Outcome, bool),
    Admit(usize),
    Strain,
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        6 => any::<bool>().prop_map(|is_last| Outcome::Failure { is_last }),
        1 => Just(Outcome::Success),
        1 => Just(Outcome::NotMade),
        1 => Just(Outcome::Gone),
    ];
    prop_oneof![
        3 => (0..400_000u64).prop_map(Step::Pass),
        8 => (outcome, any::<bool>()).prop_map(|(outcome, is_own)| Step::Report(outcome, is_own)),
        3 => (1..9usize).prop_map(Step::Admit),
        1 => Just(Step::Strain),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_laws_hold(steps in proptest::collection::vec(any_step(), 1..300)) {
        let (mut health, mut now) = (Health::default(), NOW);
        let mut in_a_row = 0;
        // Permits that were given and not given back, with their ends.
        let mut held: Vec<(u64, Millis)> = Vec::new();
        let mut told = HashSet::new();
        for step in steps {
            held.retain(|(_, until)| *until > now);
            match step {
                Step::Pass(ms) => now = now.plus(ms),
                Step::Strain => {
                    if let Some(turn) = health.strain(now) {
                        health = turn.health;
                    }
                    prop_assert!(health.capacity(now).is_some());
                }
                Step::Admit(wanted) => {
                    let (next, admission) = health.admit(wanted, now, SCALE());
                    if let Admission::Some { permits, .. } = admission {
                        prop_assert!(permits.len() <= wanted);
                        held.extend(permits.iter().map(|number| (*number, now.plus(PERMIT_MS))));
                        let numbers: HashSet<_> = held.iter().map(|(number, _)| number).collect();
                        prop_assert_eq!(numbers.len(), held.len(), "a permit was given twice");
                        if !permits.is_empty() {
                            // More may be held only from when there was more room.
                            prop_assert!(held.len() <= STRAINED_ATTEMPTS);
                        }
                    } else {
                        prop_assert_eq!(health.capacity(now), None);
                    }
                    health = next.unwrap_or(health);
                }
                Step::Report(outcome, is_own) => {
                    let was_open = matches!(health.state(now), HealthState::Open { .. });
                    let permit = held.pop().map(|(number, _)| number);
                    let report = Report { outcome, is_own, permit };
                    let turn = health.after(&[report], now, SCALE());
                    let notices = turn.as_ref().map(|turn| turn.notices.clone()).unwrap_or_default();
                    for notice in &notices {
                        let hour = notice.at.0 / HOUR;
                        let is_first = told.insert((notice.kind, hour));
                        prop_assert!(is_first || notice.kind == NoticeKind::Disabled, "told twice in an hour");
                        prop_assert!(notice.count > 0);
                    }
                    let is_told = |kind| notices.iter().any(|notice| notice.kind == kind);
                    prop_assert!(!is_own || !is_told(NoticeKind::Failing) && !is_told(NoticeKind::Exhausted));
                    health = turn.map_or(health, |turn| turn.health);
                    match outcome {
                        Outcome::Success => {
                            in_a_row = 0;
                            prop_assert!(health.is_clean(), "a success closes it");
                        }
                        Outcome::Failure { .. } => {
                            in_a_row += 1;
                            let is_open = matches!(health.state(now), HealthState::Open { .. });
                            prop_assert_eq!(is_open, was_open || in_a_row >= OPENS_AFTER);
                        }
                        Outcome::Gone => in_a_row += 1,
                        Outcome::NotMade => {}
                    }
                    prop_assert_eq!(health.consecutive_failures(), in_a_row);
                    if let HealthState::Open { until } = health.state(now) {
                        prop_assert!(until <= now.plus(5 * 60_000), "never for longer");
                    }
                }
            }
            prop_assert_eq!(health.failing_since().is_some(), in_a_row > 0);
        }
    }
}
