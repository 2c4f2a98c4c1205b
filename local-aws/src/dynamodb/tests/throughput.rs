use super::*;

/// 20,000 items of 1 KB with two indexes and a stream, and how long a batch took in each quarter.
#[tokio::test]
async fn twenty_thousand_writes_do_not_slow_down() {
    let test = Database::new().await;
    let mut batches = Vec::new();
    for batch in 0..800 {
        batches.push(test.fill(&batch.to_string()).await);
    }
    let total: Duration = batches.iter().sum();
    // The median, as whatever else runs on the machine slows some batches down.
    let medians: Vec<_> = batches
        .chunks_mut(200)
        .map(|quarter| *quarter.select_nth_unstable(100).1)
        .collect();
    println!(
        "{:.0} items/s; 25 items in {medians:.1?}",
        20_000.0 / total.as_secs_f64()
    );
    assert!(medians[3] < medians[0] * 3, "{medians:?}");

    let start = Instant::now();
    let latest = test.db.latest_position("events").await.unwrap();
    for _ in 0..100 {
        assert!(
            test.db
                .read_records("events", 0, latest, 100)
                .await
                .unwrap()
                .records
                .is_empty()
        );
    }
    println!("an empty poll takes {:?}", start.elapsed() / 101);
    let start = Instant::now();
    let read = test.records().await.len();
    println!("{read} records read in {:?}", start.elapsed());
    assert_eq!(read, 20_000);
    let start = Instant::now();
    for position in 0..100 {
        test.db
            .save_position("push", "events", 0, position)
            .await
            .unwrap();
    }
    println!("a position is saved in {:?}", start.elapsed() / 100);
}
