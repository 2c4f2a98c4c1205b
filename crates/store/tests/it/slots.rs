//! A rate limit holds over all environments together.

use std::num::NonZeroU32;

use domain::Millis;
use futures::future::join_all;
use proptest::prelude::*;
use store::Slots;

use crate::database::Database;
use crate::{NOW, endpoint_id};

fn rate(per_second: u32) -> NonZeroU32 {
    NonZeroU32::new(per_second).unwrap()
}

async fn take(database: &Database, per_second: u32, count: usize, now: Millis) -> Vec<Millis> {
    let keeper = database.keeper();
    let slots = keeper.reserve(endpoint_id(1), rate(per_second), count, now);
    match slots.await.unwrap() {
        Slots::Taken(slots) => slots,
        Slots::Full { until } => panic!("full until {until}"),
    }
}

#[tokio::test]
async fn times_are_one_after_the_other_from_now_on() {
    let database = Database::new();
    let at = |ms| NOW.plus(ms);
    assert_eq!(take(&database, 10, 3, NOW).await, [at(0), at(100), at(200)]);
    assert_eq!(take(&database, 10, 2, at(50)).await, [at(300), at(400)]);
    // Time that nobody wanted is not saved up.
    assert_eq!(
        take(&database, 10, 2, at(5_000)).await,
        [at(5_000), at(5_100)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_asks_at_once_gets_other_times() {
    let database = Database::new();
    let ask = || {
        let keeper = database.keeper();
        tokio::spawn(async move { keeper.reserve(endpoint_id(1), rate(100), 5, NOW).await })
    };
    let mut all = Vec::new();
    for slots in join_all((0..20).map(|_| ask())).await {
        match slots.unwrap().unwrap() {
            Slots::Taken(slots) => all.extend(slots),
            Slots::Full { until } => panic!("full until {until}"),
        }
    }
    all.sort_unstable();
    let expected: Vec<_> = (0..100).map(|n| NOW.plus(n * 10)).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn nobody_is_given_a_time_so_far_ahead_that_its_message_is_taken_for_lost() {
    let database = Database::new();
    take(&database, 1, 301, NOW).await;
    let keeper = database.keeper();
    let slots = keeper
        .reserve(endpoint_id(1), rate(1), 1, NOW)
        .await
        .unwrap();
    let until = NOW.plus(301_000);
    assert_eq!(slots, Slots::Full { until });
    assert_eq!(take(&database, 1, 1, NOW.plus(1_000)).await, [until]);
}

#[tokio::test]
async fn times_that_were_taken_by_a_clock_that_was_ahead_by_an_hour_hold_nobody_up() {
    let database = Database::new();
    take(&database, 1, 10, NOW.plus(3_600_000)).await;
    assert_eq!(take(&database, 1, 2, NOW).await, [NOW, NOW.plus(1_000)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn a_rate_is_never_exceeded(
        per_second in 1..1_000u32,
        asked in proptest::collection::vec((0..2_000u64, 1..20usize), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let slots = runtime.block_on(async {
            let (database, mut now, mut slots) = (Database::new(), NOW, Vec::new());
            for (pass, count) in asked {
                now = now.plus(pass);
                let taken = take(&database, per_second, count, now).await;
                assert!(taken.iter().all(|slot| *slot >= now));
                slots.extend(taken);
            }
            slots
        });
        let within_a_second = |from: &Millis| {
            slots.iter().filter(|slot| (from.0..from.0 + 1_000).contains(&slot.0)).count()
        };
        // Rounding to milliseconds may move one more into a second.
        let most = slots.iter().map(within_a_second).max().unwrap();
        prop_assert!(most <= per_second as usize + 1, "{most} of {per_second}");
    }
}
