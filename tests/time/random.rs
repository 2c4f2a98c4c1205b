//! Clients that come and go, a publisher, and every fault that the stack has, in any order.

use std::time::Instant;

use platform::config;

use crate::world::World;

/// Those that run each time.
const SEEDS: [u64; 2] = [1, 2];
/// How often everything heals, and how much happens before.
const ROUNDS: usize = 2;
const STEPS: usize = 30;

/// `POSTHORN_SEED=7` runs that one, `POSTHORN_SEEDS=20` so many that nobody has chosen.
fn seeds() -> Vec<u64> {
    let number = |name: &str| config::process(name).and_then(|text| text.parse().ok());
    if let Some(seed) = number("POSTHORN_SEED") {
        return vec![seed];
    }
    match number("POSTHORN_SEEDS") {
        Some(count) => (0..count).map(|_| fastrand::u64(..1_000_000)).collect(),
        None => SEEDS.to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_every_client_gets_every_event_that_it_wants_and_once() {
    let mut passed = 0;
    for seed in seeds() {
        let start = Instant::now();
        println!("seed {seed}");
        let (stack, _clock) = crate::start().await;
        let mut world = World::new(&stack, seed);
        for _ in 0..ROUNDS {
            for _ in 0..STEPS {
                world.step().await;
            }
            let chaos = start.elapsed();
            world.settle(seed).await;
            println!("chaos until {chaos:?}, settled {:?}", start.elapsed());
        }
        println!("seed {seed}: {} in {:?}", world.summary(), start.elapsed());
        passed += world.passed();
    }
    // A busy machine may leave no moment for it, and the test would be a weaker one.
    assert!(passed > 0, "no time has passed");
}
