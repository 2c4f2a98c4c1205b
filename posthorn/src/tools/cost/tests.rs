use clap::Parser;
use local_aws::bill::Item;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn forecast(arguments: &str) -> Forecast {
    let arguments = format!("cost {arguments}");
    let args = Command::try_parse_from(arguments.split_whitespace()).unwrap();
    let args = args.args;
    Forecast::new(&args.workload(), prices().unwrap(), args.free_tier)
}

fn quantity_of(forecast: &Forecast, item: Item) -> f64 {
    forecast.month.all().get(&item).copied().unwrap_or(0.0)
}

#[test]
fn a_million_events_are_stored_for_two_and_a_half_dollars() {
    for events in ["5000", "1e6", "1e8"] {
        let usd = forecast(&format!("--events-per-day {events}")).per_million_stored();
        assert!((1.9..=2.5).contains(&usd), "{events}: {usd}");
    }
}

#[test]
fn a_million_messages_are_pushed_to_a_hundred_viewers_for_a_dollar_and_ten_cents() {
    for events in ["5000", "1e6", "1e8"] {
        let arguments = format!("--events-per-day {events} --viewers 100 --viewer-hours 24");
        let usd = forecast(&arguments).per_million_pushed().unwrap();
        assert!((1.0..=1.1).contains(&usd), "{events}: {usd}");
    }
}

#[test]
fn who_wants_less_is_sent_less() {
    let all = forecast("--events-per-day 1e6 --viewers 100");
    let some = forecast("--events-per-day 1e6 --viewers 100 --wanted 0.01");
    assert!(some.of(Part::Push) < all.of(Part::Push) / 5.0);
}

#[test]
fn nobody_watching_costs_nothing_beside_the_pushes_themselves() {
    let forecast = forecast("--events-per-day 5000");
    assert_eq!(forecast.of(Part::Viewers), 0.0);
    assert_eq!(forecast.per_million_pushed(), None);
    assert_eq!(quantity_of(&forecast, Item::Message), 0.0);
}

#[test]
fn what_is_free_is_taken_off_once() {
    let full = forecast("--events-per-day 5000 --viewers 3");
    let free = forecast("--events-per-day 5000 --viewers 3 --free-tier");
    // 10 alarms, 10 metrics, the dashboard, and all of Lambda, logs and storage.
    assert!((6.9..8.5).contains(&free.free), "{}", free.free);
    assert!((full.usd() - free.usd() - free.free).abs() < 1e-9);
}

#[test]
fn a_million_deliveries_cost_eight_dollars_whatever_else_there_is() {
    for events in ["5000", "1e6"] {
        let with = forecast(&format!("--events-per-day {events} --endpoints 2"));
        let without = forecast(&format!("--events-per-day {events}"));
        let deliveries = 2.0 * with.month.events;
        let usd = (with.of(Part::Deliveries) - without.of(Part::Deliveries)) / deliveries * 1e6;
        assert!((7.5..=8.5).contains(&usd), "{events}: {usd}");
    }
}

#[test]
fn the_examples_in_the_document_are_what_is_printed() {
    const DOCUMENT: &str = include_str!("../../../../docs/COST.md");
    const COMMAND: &str = "```sh\nposthorn cost ";
    let mut examples = 0;
    for example in DOCUMENT.split(COMMAND).skip(1) {
        let (arguments, rest) = example.split_once("\n```\n\n```text\n").unwrap();
        let (text, _) = rest.split_once("\n```\n").unwrap();
        assert_eq!(text, forecast(arguments).to_text(), "cost {arguments}");
        examples += 1;
    }
    assert_eq!(examples, 3);
}

#[test]
fn numbers_are_written_for_people() {
    for (number, text) in [
        (0.25, "0.25"),
        (45.0, "45"),
        (43_200.0, "43.2 k"),
        (1.5e6, "1.5 M"),
    ] {
        assert_eq!(count(number), text);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for arguments in [
        "",
        "--events-per-day 0",
        "--events-per-day 5 --wanted 2",
        "--events-per-day 5 --viewer-hours 25",
        "--events-per-day NaN",
    ] {
        let arguments = format!("cost {arguments}");
        assert!(
            Command::try_parse_from(arguments.split_whitespace()).is_err(),
            "{arguments}"
        );
    }
}
