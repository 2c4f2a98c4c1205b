use std::collections::{BTreeMap, BTreeSet, HashSet};

use clap::ValueEnum as _;
use mandrill::Form;
use serde_json::Value;

use super::*;
use crate::tools::post::form_body;

fn settings(seed: u64) -> Settings {
    Settings {
        seed,
        start: 1_795_300_000,
        rate: 5.0,
        kinds: vec![],
    }
}

fn json(event: &Event) -> Value {
    serde_json::from_str(&event.json).unwrap()
}

#[test]
fn a_seed_makes_the_same_batches_again_and_another_seed_does_not() {
    let batches = |seed| Batches::new(settings(seed), 10, Some(500)).collect::<Vec<_>>();
    assert_eq!(batches(7), batches(7));
    assert_ne!(batches(7), batches(8));
}

#[test]
fn every_kind_occurs() {
    let kinds: BTreeSet<Kind> = Generator::new(settings(1))
        .take(5_000)
        .map(|event| event.kind)
        .collect();
    let missing: Vec<_> = Kind::value_variants()
        .iter()
        .filter(|kind| !kinds.contains(kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn only_the_wanted_kinds_are_made_when_some_are_named() {
    let kinds = vec![Kind::Click, Kind::WhitelistRemove];
    let made = Generator::new(Settings {
        kinds,
        ..settings(1)
    })
    .take(300);
    let kinds: BTreeSet<Kind> = made.map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Click, Kind::WhitelistRemove].into());
}

#[test]
fn no_two_events_have_the_same_identity() {
    // As dense as it gets, over several seeds from the same second.
    let mut seen = HashSet::new();
    for seed in 0..3 {
        for event in Generator::new(Settings {
            rate: 0.0,
            ..settings(seed)
        })
        .take(5_000)
        {
            let value = json(&event);
            let identity = match event.kind {
                Kind::Inbound => value["msg"]["raw_msg"].to_string(),
                kind if kind.action().is_some() => {
                    let email = value
                        .pointer("/reject/email")
                        .or(value.pointer("/entry/email"));
                    format!("{kind} {} {}", email.unwrap(), value["ts"])
                }
                kind => format!(
                    "{kind} {} {} {} {}",
                    value["_id"], value["ts"], value["url"], value["ip"]
                ),
            };
            assert!(seen.insert(identity), "{}", event.json);
        }
    }
}

#[test]
fn a_message_lives_in_order() {
    let mut lives: BTreeMap<String, Vec<(i64, Kind)>> = BTreeMap::new();
    for event in Generator::new(settings(3)).take(10_000) {
        let ts = json(&event)["ts"].as_i64().unwrap();
        if let Some(id) = event.message_id {
            lives.entry(id).or_default().push((ts, event.kind));
        }
    }
    let rank = |kind: Kind| match kind {
        Kind::Send | Kind::Reject | Kind::Unknown => 0,
        Kind::Deferral => 1,
        Kind::Delivered | Kind::HardBounce | Kind::SoftBounce => 2,
        Kind::Open | Kind::Click => 3,
        _ => 4,
    };
    for life in lives.values() {
        assert_eq!(rank(life[0].1), 0, "{life:?}");
        assert!(
            life.windows(2)
                .all(|pair| rank(pair[0].1) <= rank(pair[1].1)),
            "{life:?}"
        );
        assert!(
            life.windows(2).all(|pair| pair[0].0 <= pair[1].0),
            "{life:?}"
        );
        let first = |wanted| life.iter().position(|(_, kind)| *kind == wanted);
        assert!(
            first(Kind::Click).is_none_or(|click| first(Kind::Open).unwrap() < click),
            "{life:?}"
        );
    }
}

#[test]
fn times_follow_the_rate() {
    let times: Vec<i64> = Generator::new(settings(3))
        .take(101)
        .map(|event| json(&event)["ts"].as_i64().unwrap())
        .collect();
    assert_eq!(times[0], 1_795_300_000);
    // A reader's second open may be pushed a second or two ahead.
    assert!(
        (1_795_300_020..1_795_300_030).contains(&times[100]),
        "{}",
        times[100]
    );
}

#[test]
fn batches_are_full_add_up_and_keep_inbound_mail_apart() {
    let batches: Vec<Batch> = Batches::new(settings(5), 10, Some(1_234)).collect();
    assert_eq!(
        batches.iter().map(|batch| batch.kinds.len()).sum::<usize>(),
        1_234
    );
    for batch in &batches {
        let inbound = batch
            .kinds
            .iter()
            .filter(|kind| **kind == Kind::Inbound)
            .count();
        assert!(inbound == 0 || inbound == batch.kinds.len());
        assert!(batch.kinds.len() <= 10);
        let events: Vec<Value> = serde_json::from_str(&batch.json).unwrap();
        assert_eq!(events.len(), batch.kinds.len());
    }
}

#[test]
fn the_text_is_written_as_mandrill_writes_it() {
    let events: Vec<Event> = Generator::new(settings(2)).take(3_000).collect();
    assert!(events.iter().all(|event| event.json.is_ascii()));
    assert!(
        events
            .iter()
            .any(|event| event.json.contains(r"https:\/\/"))
    );
    for oddity in [
        r#""metadata":[]"#,
        r#""msg":null"#,
        r#""msg":[]"#,
        r#""tags":null"#,
        r#""diag":"""#,
        r#""reject":{"reason""#,
    ] {
        assert!(
            events.iter().any(|event| event.json.contains(oddity)),
            "{oddity}"
        );
    }
}

#[test]
fn what_is_made_is_what_the_webhook_reads() {
    let batch = Batches::new(settings(2), 1_000, Some(2_000))
        .last()
        .unwrap();
    let body = form_body(&batch.json);
    let form = Form::parse(body.as_bytes());
    let events = form.events();
    assert_eq!(events.len(), batch.kinds.len());
}
